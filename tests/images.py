"""What a process that is killed now leaves on disk, taken while it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

TRIES = 100


def image(source: Path, target: Path) -> Path:
    """A copy of a directory whose files were those of one moment.

    A state store compacts in the background: it writes new files, then deletes old ones. A copy made across
    that could hold a list of files and lack one of them, which no kill leaves behind. So a copy counts only
    when no file came, went or grew meanwhile.

    Raises:
        RuntimeError: the directory did not hold still for one of 100 copies.
    """
    for _ in range(TRIES):
        before = _files(source)
        try:
            shutil.copytree(source, target)
        except shutil.Error:  # A file went while it was its turn.
            pass
        else:
            if _files(source) == before:
                return target
        shutil.rmtree(target)
    raise RuntimeError(f"{source} did not hold still for one of {TRIES} copies")


def _files(path: Path) -> dict[str, int]:
    """The size of each file by its name."""
    sizes = {}
    for file in path.rglob("*"):
        try:
            sizes[str(file)] = file.stat().st_size
        except FileNotFoundError:  # It is gone: the next look differs from this one.
            sizes[str(file)] = -1
    return sizes
