"""What runs inside a step: read inputs, call the function, write outputs. Needs no cloud SDK."""
