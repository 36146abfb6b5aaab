"""Gymnasium interfaces of packed goal environments."""
