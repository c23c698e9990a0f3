"""What cloudmlops costs beside peers and floors, measured in one run: `python -m benchmarks`."""
