"""Servers on loopback that the unmodified SDKs of the clouds talk to."""
