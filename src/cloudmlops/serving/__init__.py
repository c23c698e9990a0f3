"""The scoring server: one process image for local endpoints, Vertex custom containers and Azure ML."""
