"""How all plots look: figures, colours, file formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
BLUE, ORANGE = "#1f5fa8", "#d1600a"  # blue and orange, told apart without colour vision and in grey


# Okabe and Ito's colours, told apart without colour vision; markers and dashes tell them apart in grey.
CURVE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
CURVE_MARKERS, CURVE_DASHES = "os^Dv<>", ("-", "--", "-.", ":")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches. Raises ImportError, which says how to mend it, without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib, which is not installed: pip install 'herfast[plot]'") from error
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def style_axes(axes: Axes) -> None:
    """A light grid behind the curves, and no frame on two sides."""
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and SVG; `path` has no suffix. The same figure gives the same files."""
    from matplotlib import rc_context

    paths = [path.with_name(f"{path.name}.{kind}") for kind in FORMATS]
    with rc_context({"svg.hashsalt": "herfast"}):  # else its ids are random
        for file in paths:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else {})
    return paths
