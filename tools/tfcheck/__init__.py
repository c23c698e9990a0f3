"""Run the real terraform offline: a program of ours stands in for each provider and serves its recorded schema."""
