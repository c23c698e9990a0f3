"""Jobs of Azure Machine Learning: what they are, how they go, and their execution on this machine."""
