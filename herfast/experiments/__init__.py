"""Run folders, trials, sweeps, and their execution on Dask."""
