"""Version of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("herfast")
except PackageNotFoundError:  # imported from a source folder that was never installed
    __version__ = "0+unknown"
