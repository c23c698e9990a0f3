"""Adapters: ask, map, return. Providers do not import each other."""
