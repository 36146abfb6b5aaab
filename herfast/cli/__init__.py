"""Command line, imported by `herfast.__main__` only."""
