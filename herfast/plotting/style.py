"""Common style of all plots: figures, colours and file formats."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herfast.common.atomic_file import atomic_write, check_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = {"png": "agg", "svg": "svg"}  # with the backend of matplotlib that writes each

# Distinguishable without colour vision and in greyscale.
BLUE = "#1f5fa8"
ORANGE = "#d1600a"

# Colours of Okabe and Ito, distinguishable without colour vision. Markers and dashes distinguish curves in
# greyscale.
CURVE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
CURVE_MARKERS = "os^Dv<>"
CURVE_DASHES = ("-", "--", "-.", ":")


@contextmanager
def default_style() -> Iterator[None]:
    """Draw and save figures within the block in matplotlib's default style.

    The user's matplotlibrc and rcParams have no effect, and are restored.

    Raises:
        ImportError: matplotlib is not installed. The message names the command that installs it.
    """
    _import_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "herfast"  # by default the ids in an SVG file are random
        yield


def _import_matplotlib() -> None:
    """Import matplotlib, also if MPLBACKEND names no backend."""
    backend = None
    if "matplotlib" not in sys.modules:
        backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib.figure
    except ModuleNotFoundError as error:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install 'herfast[plot]'"
        ) from error
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend is not None:
        with suppress(ValueError):  # it names no backend
            matplotlib.rcParams["backend"] = backend  # as matplotlib itself does


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure.

    Args:
        width: in inches.
        height: in inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def style_axes(axes: Axes) -> None:
    """Draw a light grid behind the curves, and remove the top and right spines."""
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and SVG. Equal figures give equal files.

    Args:
        figure: the figure.
        path: path of the files without a suffix.

    Returns:
        The paths of the files.

    Raises:
        OSError: a file cannot be written. An older one is then unchanged.
    """
    files = [path.with_name(f"{path.name}.{suffix}") for suffix in FORMATS]
    for file in files:
        check_file(file)  # all, before one of them is written
    for file, (suffix, backend) in zip(files, FORMATS.items(), strict=True):
        metadata: dict[str, Any] = {}
        if suffix == "svg":
            metadata["Date"] = None
        with atomic_write(file) as new:
            figure.savefig(new, format=suffix, backend=backend, metadata=metadata)
    return files
