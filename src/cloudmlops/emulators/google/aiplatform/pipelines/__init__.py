"""Pipeline jobs, executed: the IR read, tasks as processes with local files, artifacts kept as objects."""
