"""Numba kernels. All code that Numba compiles is in this folder."""
