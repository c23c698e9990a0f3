"""How features are kept and read on this machine: sources, the point-in-time engine, the online store."""
