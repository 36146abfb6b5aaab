"""Packed goal environments, their Gymnasium interfaces, and adapters for other environments."""
