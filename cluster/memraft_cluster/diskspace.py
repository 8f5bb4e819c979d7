"""Keeps a node from filling its disk to the last byte: it stops taking writes while it can still run.

A disk that is full in the middle of a write ends the process, because what reached the disk is unknown. So
room is measured before each write (``statvfs``, about 1 µs), and writes are refused while less than a
reserve is free; they are taken again when there is a quarter more than that, so that the answer does not
flicker. Part of the reserve is a file, the ballast: were the disk filled by somebody else nevertheless,
giving it up lets the node start, cut its log and tell what is the matter.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from .errors import DiskFull

__all__ = ["BALLAST_NAME", "RESERVE_BYTES", "DiskSpace"]

logger = logging.getLogger("memraft.disk")

RESERVE_BYTES = 64 << 20
"""Must stay free on a large disk; on a small one 5 % of it. Room for what has been acknowledged and is still
to be applied, for the tables that the state store writes meanwhile, and for the next start."""
_RESERVE_SHARE = 20
_BALLAST_SHARE = 4
BALLAST_NAME = "ballast"


class DiskSpace:
    """The room on the disk that holds a node's data.

    Args:
        path: the data directory, which exists.
        reserve_bytes: what must stay free; None: 64 MiB, or 5 % of a disk of less than 1.25 GiB.

    Raises:
        OSError: the directory cannot be measured.
        ValueError: a negative reserve.
    """

    def __init__(self, path: str | Path, reserve_bytes: int | None = None) -> None:
        if reserve_bytes is not None and reserve_bytes < 0:
            raise ValueError(f"reserve_bytes is {reserve_bytes}: it must not be negative")
        self.path = Path(path)
        self._where = str(path)
        self.is_full = False
        self._ballast = self.path / BALLAST_NAME
        room = os.statvfs(self._where)
        size_bytes = room.f_blocks * room.f_frsize
        wanted = min(RESERVE_BYTES, size_bytes // _RESERVE_SHARE)
        self.reserve_bytes = wanted if reserve_bytes is None else reserve_bytes
        self.free_bytes = 0
        self._answer: DiskFull | None = None
        self.check()

    @property
    def ballast_bytes(self) -> int:
        """What the ballast holds now. It counts as free: giving it up makes it so."""
        try:
            return self._ballast.stat().st_blocks * 512
        except OSError:
            return 0

    def check(self) -> DiskFull | None:
        """Measure anew.

        Returns:
            What to answer while the disk is full, else None.
        """
        room = os.statvfs(self._where)
        self.free_bytes = room.f_bavail * room.f_frsize
        least = self.reserve_bytes + (self.reserve_bytes // 4 if self.is_full else 0)
        is_full = self.free_bytes < least
        if is_full != self.is_full:
            self.is_full = is_full
            fields = {"path": str(self.path), "free_bytes": self.free_bytes, "reserve": self.reserve_bytes}
            what = "the disk is full: no writes" if is_full else "the disk has room again: writes go on"
            logger.log(logging.ERROR if is_full else logging.INFO, what, extra={"fields": fields})
            self._answer = None
        if not is_full:
            return None
        if self._answer is None or self._answer.free_bytes != self.free_bytes:
            self._answer = DiskFull(str(self.path), self.free_bytes, self.reserve_bytes)
        return self._answer

    def release(self) -> int:
        """Give the ballast up, to start on a full disk. Returns how many bytes that freed."""
        freed = self.ballast_bytes
        self._ballast.unlink(missing_ok=True)
        if freed:
            fields = {"path": str(self._ballast), "bytes": freed}
            logger.warning("gave up the ballast, for the disk is full", extra={"fields": fields})
        self.check()
        return freed

    def prepare_start(self) -> None:
        """Before anything is opened: make room when there is hardly any."""
        if self.free_bytes < self.reserve_bytes // _BALLAST_SHARE:
            self.release()

    def restore(self) -> bool:
        """Make the ballast, a quarter of the reserve, when there is room for it beside all of the reserve.

        To be called after the start, and now and then. Returns whether there is one now.
        """
        wanted = self.reserve_bytes // _BALLAST_SHARE
        if self.ballast_bytes >= wanted:
            return True
        if self.free_bytes < self.reserve_bytes + 2 * wanted:
            return False
        try:
            with self._ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(wanted, 1))
        except OSError as error:
            self._ballast.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EOPNOTSUPP):
                raise
            return False
        self.check()
        return True
