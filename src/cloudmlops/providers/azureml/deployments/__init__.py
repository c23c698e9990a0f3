"""What it takes to deploy to an online endpoint of Azure ML, and to score files."""
