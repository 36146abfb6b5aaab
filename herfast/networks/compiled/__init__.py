"""Compiled kernels: compilation, cache on disk, and calls."""
