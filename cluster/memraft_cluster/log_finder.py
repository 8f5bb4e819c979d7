"""Finds the sound frames of a segment behind something that is none, without looking at anything twice. Pure.

Where the last write ends, the rest of a segment that is used again begins: whole frames of before, with lower
numbers, and pieces of what clients sent, which can be made to look like any number of heads. A sound frame is
stepped over whole, so that nobody looks into it; what only looks like one is looked into a bounded number of
times.
"""

from __future__ import annotations

from .log_records import FRAME_HEAD_BYTES, FRAME_MARK, FrameHead, decode_frame_head, walk_frame

STEPS_IN_VAIN_MAX = 1 << 20
"""Heads of records looked at in what turns out to be no frame: about a second. A segment of 32 MiB holds as
many at most."""


class FrameFinder:
    """The sound frames of one segment. To be asked for them in the order of offsets.

    Args:
        data: the segment.
        salt: of the log's frames.

    Attributes:
        steps: heads of records looked at so far.
        is_exhausted: there was more that looks like frames than it is looked into: some may be missing.
        synced: the highest frame that one of those found knew to be durable.
    """

    def __init__(self, data: memoryview, salt: int) -> None:
        self.steps = 0
        self.is_exhausted = False
        self.synced = 0
        self._data = data
        self._salt = salt
        self._found: list[tuple[int, FrameHead]] | None = None
        self._next = 0

    def after(self, offset: int, seq: int) -> tuple[int, FrameHead] | None:
        """The first frame that begins at ``offset`` or later and comes after frame ``seq``: where, and its
        head."""
        if self._found is None:
            self._found = self._search(offset)
        found = self._found
        while self._next < len(found):
            where, head = found[self._next]
            if where >= offset and head.seq > seq:
                return where, head
            self._next += 1
        return None

    def _search(self, offset: int) -> list[tuple[int, FrameHead]]:
        data, whole = self._data, self._data.obj
        assert isinstance(whole, bytes)
        found: list[tuple[int, FrameHead]] = []
        in_vain = 0
        while (offset := whole.find(FRAME_MARK, offset)) >= 0:
            head = decode_frame_head(data, offset)
            if head is None:
                break
            is_sound, steps = walk_frame(data, offset, head, self._salt)
            self.steps += steps
            if is_sound:
                found.append((offset, head))
                self.synced = max(self.synced, head.synced)
                offset += FRAME_HEAD_BYTES + head.size
                continue
            in_vain += steps
            if in_vain > STEPS_IN_VAIN_MAX:
                self.is_exhausted = True
                break
            offset += 1
        return found
