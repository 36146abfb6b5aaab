"""Control groups of this process, which limit memory and processors on Linux.

Containers, systemd and batch systems use them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups that the process is in.

    A group is in its parents, too, up to the top of the mounted tree.

    Args:
        root: the folder that holds proc and sys.
        controller: "memory" or "cpu", for the first version of control groups.
    """
    paths: dict[str, PurePosixPath] = {}  # by type of file system
    for line in read_lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths["cgroup2"] = PurePosixPath(path)
        elif controller in controllers.split(","):
            paths["cgroup"] = PurePosixPath(path)
    for line in read_lines(root / "proc/self/mountinfo"):
        mount, _, file_system = line.partition(" - ")
        top, mount_point = mount.split()[3:5]
        kind = file_system.split()[0]
        if kind not in paths:
            continue
        folder = root / mount_point.lstrip("/").replace(r"\040", " ")
        yield folder  # has none of the files if it is of another controller
        if paths[kind].is_relative_to(top):
            for name in paths[kind].relative_to(top).parts:
                folder /= name
                yield folder


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file, none if it cannot be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
