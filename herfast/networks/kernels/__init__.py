"""All code that Numba compiles, and nothing else."""
