"""What is measured: a folder a topic, whose `drive` runs an engine's module in the engine's own environment."""
