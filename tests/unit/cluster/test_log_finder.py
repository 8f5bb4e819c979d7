"""Sound frames are found behind damage and in stale data, with work that is bounded whatever stands there."""

from __future__ import annotations

import random

from memraft_cluster.log_finder import STEPS_IN_VAIN_MAX, FrameFinder
from memraft_cluster.log_records import FRAME_HEAD_BYTES, RECORD_HEAD_BYTES, FrameBuilder, RecordType
from memraft_cluster.raft import Entry

SALT = 4711
NOISE = random.Random(3)


def frame(seq: int, *data: bytes, salt: int = SALT) -> bytes:
    built = FrameBuilder()
    for index, each in enumerate(data):
        built.add_entry(0, Entry(1, index + 1, each))
    head, _ = built.head(seq, seq - 1, 0, salt)
    return head + b"".join(built.parts)


def test_stale_frames_are_each_looked_at_once_however_often_one_asks() -> None:
    frames = [frame(seq, *[b"x" * 50] * 3) for seq in range(1, 2001)]
    finder = FrameFinder(memoryview(b"".join(frames)), SALT)
    for seq in range(5000, 9000):
        assert finder.after(0, seq) is None
    assert finder.steps == 3 * len(frames) and not finder.is_exhausted


def test_each_of_many_damaged_frames_is_passed_with_little_work() -> None:
    data, starts = bytearray(), []
    for seq in range(1, 2001):
        starts.append(len(data))
        data += frame(seq, b"x" * 50)
        if seq % 2:
            data[starts[-1] + 10] ^= 1
    finder = FrameFinder(memoryview(bytes(data)), SALT)
    for seq in range(2, 2001, 2):
        found = finder.after(starts[seq - 2] + 1, seq - 2)
        assert found is not None and (found[0], found[1].seq) == (starts[seq - 1], seq)
    assert finder.steps <= 2 * 2000 and finder.synced == 1999


def test_data_that_looks_like_frames_within_frames_is_not_followed_without_bound() -> None:
    """Each record holds the head of a frame of all records behind it: half of n² to look at."""
    count, data = 4000, b""
    each = RECORD_HEAD_BYTES + FRAME_HEAD_BYTES
    for left in range(count):
        looks = FrameBuilder()
        looks.size, looks.count = left * each, left
        inner, _ = looks.head(10**6 + left, 0, 0, salt=0)
        outer = FrameBuilder()
        outer.add(RecordType.ENTRY, 0, 1, 1, inner)
        data = b"".join(outer.parts) + data
    assert count**2 / 2 > 4 * STEPS_IN_VAIN_MAX
    finder = FrameFinder(memoryview(data), SALT)
    assert finder.after(0, 0) is None and finder.is_exhausted
    assert STEPS_IN_VAIN_MAX < finder.steps <= STEPS_IN_VAIN_MAX + count

    whole = FrameFinder(memoryview(frame(7, data) + frame(8, b"behind")), SALT)
    assert whole.after(1, 7) is None and whole.is_exhausted, "inside of it one must look, and it is said"
    stepped_over = FrameFinder(memoryview(frame(7, data) + frame(8, b"behind")), SALT)
    found = stepped_over.after(0, 7)
    assert found is not None and found[1].seq == 8 and stepped_over.steps == 2


def test_noise_and_what_is_cut_off_are_no_frames() -> None:
    whole = frame(3, b"one", b"two")
    for size in range(len(whole)):
        assert FrameFinder(memoryview(whole[:size]), SALT).after(0, 0) is None
    noise = NOISE.randbytes(500)
    finder = FrameFinder(memoryview(noise + frame(2, b"other", salt=1) + whole), SALT)
    found = finder.after(0, 0)
    assert found is not None and found[1].seq == 3
    assert finder.after(0, 3) is None
