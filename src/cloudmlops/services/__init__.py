"""What a user calls: the story of each noun, told once for all providers."""
