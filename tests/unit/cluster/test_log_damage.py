"""A damaged log: what is not as it was written is found and named, and nothing is lost in silence."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from memraft_cluster.errors import LogCorrupted
from memraft_cluster.log import DurableLog
from memraft_cluster.log_records import FRAME_MARK, FrameBuilder, RecordType
from memraft_cluster.raft import Entry, EntryKind, HardState, Membership, SnapshotMeta
from memraft_cluster.segments import segment_files

NOISE = random.Random(7)


def open_log(path: Path, **options: object) -> DurableLog:
    return DurableLog(path, **{"cluster": "c1", "node": "n1", "segment_bytes": 40_000, **options})  # type: ignore[arg-type]


def content(log: DurableLog) -> dict[int, object]:
    """All that a log tells its groups' cores."""
    return {
        group: (
            log.hard_state(group),
            log.group(group).base(),
            list(log.group(group).memberships()),
            list(log.replay(group)),
            log.group(group).term(log.group(group).last_index()),
        )
        for group in log.groups()
    }


def opened(path: Path) -> dict[int, object]:
    log = open_log(path)
    try:
        return content(log)
    finally:
        log.close()


def fill(log: DurableLog) -> None:
    """Several segments, three groups: replaced entries, a membership, a cut, a reset, empty data."""
    members = Membership.of((1, 2, 3))
    log.append(0, [Entry(1, 1, members.encode(), EntryKind.MEMBERSHIP)], HardState(1, 2, 0))
    for index in range(2, 40):
        size = NOISE.choice([0, 10, 200, 3000, 9000])
        log.append(0, [Entry(1, index, NOISE.randbytes(size))], HardState(1, 2, index - 1))
        log.append(1, [Entry(1, index - 1, NOISE.randbytes(50))], sync=False)
    log.append(1, [Entry(2, 30, b"another")], HardState(2, 3, 29))
    log.cut(0, SnapshotMeta(25, 1, members))
    log.wait_given_back()
    log.reset(2, SnapshotMeta(1000, 4, Membership.of((1, 2), (3,))))
    log.append(2, [Entry(5, 1001, NOISE.randbytes(3000))], HardState(5, 1, 1000, False))
    log.append(0, [Entry(3, 40 + n, NOISE.randbytes(100)) for n in range(5)], HardState(3, 1, 39))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What SIGKILL leaves of a log: its files as they are while it is open."""
    path = tmp_path_factory.mktemp("killed") / "log"
    log = open_log(path)
    fill(log)
    image = path.with_name("image")
    shutil.copytree(path, image)
    log.close()
    return image


def damaged(source: Path, target: Path) -> Iterator[tuple[Path, bytes, str]]:
    """Copies with one file damaged, in turn: (file, what it held, what was done)."""
    shutil.copytree(source, target)
    for file in sorted(target.iterdir()):
        whole = file.read_bytes()
        used = len(whole.rstrip(b"\0"))
        flips = [NOISE.randrange(used) for _ in range(60 if used else 0)]
        if file.suffix == ".log":
            # Heads of frames and records, where lengths and counts are.
            at = whole.find(FRAME_MARK)
            while at >= 0:
                flips += [at + NOISE.randrange(66) for _ in range(2)]
                at = whole.find(FRAME_MARK, at + 1)
        for offset in flips:
            if offset >= len(whole):
                continue
            changed = bytearray(whole)
            changed[offset] ^= 1 << NOISE.randrange(8)
            file.write_bytes(changed)
            yield file, whole, f"bit at {offset} of {used}"
        for size in {0, 1, used - 1, used // 2, *(NOISE.randrange(max(used, 1)) for _ in range(15))}:
            if 0 <= size < used:
                file.write_bytes(whole[:size])
                yield file, whole, f"cut to {size} of {used}"
        file.unlink()
        yield file, whole, "removed"
        file.write_bytes(whole)


def test_one_damage_anywhere_is_named_or_does_no_harm(tmp_path: Path, killed: Path) -> None:
    shutil.copytree(killed, tmp_path / "whole")
    expected = opened(tmp_path / "whole")
    assert len(segment_files(killed)) > 2 and sorted(expected) == [0, 1, 2]
    copy, refused, passed = tmp_path / "copy", 0, 0
    silent: list[str] = []
    for file, _, what in damaged(killed, tmp_path / "damaged"):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(file.parent, copy)
        try:
            found = opened(copy)
        except LogCorrupted as error:
            refused += 1
            if file.name not in str(error):
                silent.append(f"{file.name}: {what}: unnamed: {error}")
        else:
            passed += 1
            if found != expected:
                silent.append(f"{file.name}: {what}: not what was written")
            elif file.suffix == ".log":
                silent.append(f"{file.name}: {what}: went unnoticed")
    assert not silent, "\n".join(silent)
    assert refused > 200


def torn_images(path: Path, target: Path, **options: object) -> Iterator[tuple[Path, dict[int, object]]]:
    """What a crash in the middle of the last write may leave, and what the log held before that write."""
    log = open_log(path, segment_bytes=1 << 20, **options)
    for index in range(1, 20):
        log.append(0, [Entry(1, index, NOISE.randbytes(1500))], HardState(1, 1, index - 1))
    before = path.with_name("before")
    shutil.copytree(path, before)
    start = len((before / "0000000001.log").read_bytes().rstrip(b"\0"))
    log.append(0, [Entry(1, 20, NOISE.randbytes(1500))], HardState(1, 1, 19))
    after = (path / "0000000001.log").read_bytes()
    end = len(after.rstrip(b"\0"))
    log.close()
    expected = opened(shutil.copytree(before, path.with_name("opened")))
    for cut in (start + 1, start + 30, start + 40, start + 500, end - 1):
        for rest in (b"", bytes(64)):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(before, target)
            (target / "0000000001.log").write_bytes(after[:cut] + rest)
            yield target, expected


def test_a_write_that_a_crash_tore_is_dropped_and_written_over(tmp_path: Path) -> None:
    for image, expected in torn_images(tmp_path / "log", tmp_path / "image"):
        log = open_log(image)
        assert content(log) == expected
        log.append(0, [Entry(2, 20, b"another")], HardState(2, 1, 19))
        log.append(0, [Entry(2, 21, b"and more")])
        again = shutil.copytree(image, tmp_path / "again", dirs_exist_ok=True)
        log.close()
        assert opened(again)[0][3][-2:] == [Entry(2, 20, b"another"), Entry(2, 21, b"and more")]  # type: ignore[index]
        shutil.rmtree(again)


def test_unsynced_writes_may_be_torn_in_any_order(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, [Entry(1, index, b"x" * 100) for index in range(1, 5)], HardState(1, 1, 0))
    file = tmp_path / "log" / "0000000001.log"
    start = len(file.read_bytes().rstrip(b"\0"))
    for index in range(5, 9):
        log.append(0, [Entry(1, index, b"x" * 100)], sync=False)
    shutil.copytree(tmp_path / "log", tmp_path / "image")
    log.close()
    image = tmp_path / "image" / "0000000001.log"
    changed = bytearray(image.read_bytes())
    changed[start + 90] ^= 1  # the first of them is torn, and later ones are whole
    image.write_bytes(changed)
    log = open_log(tmp_path / "image")
    assert log.group(0).last_index() == 4
    log.append(0, [Entry(1, 5, b"x" * 100)], HardState(1, 1, 5))
    shutil.copytree(tmp_path / "image", tmp_path / "again")
    log.close()
    log = open_log(tmp_path / "again")
    assert log.group(0).last_index() == 5, "what stood behind the torn write stays gone"
    log.close()


def test_damage_met_while_running_is_raised_with_file_group_and_index(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", segment_bytes=1 << 20)
    log.append(4, [Entry(1, index, NOISE.randbytes(500)) for index in range(1, 30)])
    file = tmp_path / "log" / "0000000001.log"
    with file.open("r+b") as raw:
        raw.seek(5000)
        raw.write(b"\xff\x00\xff")
    with pytest.raises(LogCorrupted, match=r"0001\.log, offset \d+, group 4, index 10: checksum") as met:
        log.group(4).entries(1, 30, 1 << 20)
    assert (met.value.group, met.value.index) == (4, 10)
    assert len(log.group(4).entries(11, 30, 1 << 20)) == 19
    file.write_bytes(file.read_bytes()[:7000])
    with pytest.raises(LogCorrupted, match=r"group 4, index 14"):
        log.group(4).entries(11, 30, 1 << 20)
    log.close()


def test_a_lost_mark_is_made_anew_when_the_log_is_whole(tmp_path: Path, killed: Path) -> None:
    expected = opened(shutil.copytree(killed, tmp_path / "whole"))
    image = shutil.copytree(killed, tmp_path / "image")
    (image / "marks").unlink()
    assert opened(image) == expected
    assert (image / "marks").exists()


def test_data_that_looks_like_a_frame_is_none(tmp_path: Path) -> None:
    """What a client stored stays behind in segments that are used again, after the last frame."""
    frame = FrameBuilder()
    frame.add(RecordType.ENTRY, 0, 1, 1, b"x")
    head, _ = frame.head(2**40, 2**40 - 1, 0, 0)
    looks_like_a_frame = (head + b"".join(frame.parts)) * 20
    log = open_log(tmp_path)
    log.append(0, (), HardState(1, 1, 0))
    for index in range(1, 101):
        log.append(0, (Entry(1, index, looks_like_a_frame),))
    log.cut(0, SnapshotMeta(98, 1, Membership.of((1,))))
    log.wait_given_back()
    index = 100
    while len(list(tmp_path.glob("*.spare"))) == 2:
        index += 1
        log.append(0, (Entry(1, index, bytes(1000)),))
    log.close()
    assert opened(tmp_path)[0][3][-1].index == index  # type: ignore[index]


def states(entries_covered: tuple[int, ...]) -> list[dict[int, SnapshotMeta]]:
    """What the states of the three groups may cover; the base of group 2 is where it begins."""
    members = Membership.of((1, 2, 3))
    other = SnapshotMeta(1000, 4, Membership.of((1, 2), (3,)))
    return [
        {0: SnapshotMeta(index, 1 if index < 40 else 3, members), 1: SnapshotMeta(29, 1, members), 2: other}
        for index in entries_covered
    ]


def behind(found: dict[int, object], bases: dict[int, SnapshotMeta]) -> dict[int, object]:
    """Of the content of a log, what the states do not cover."""
    left = {}
    for group, (hard, _, memberships, entries, term) in found.items():  # type: ignore[misc]
        index = bases[group].index
        left[group] = (
            (hard.term, hard.vote, hard.is_whole),
            [each for each in memberships if each[0] > index],
            [each for each in entries if each.index > index],
            term,
        )
    return left


def blocks_lost(source: Path, target: Path) -> Iterator[str]:
    """Copies in which blocks, files, heads or single bits are damaged, one thing or two, and the marks."""
    files = [each.name for each in segment_files(source).values()]
    for number in range(250):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        done = []
        if number % 9 == 0:
            (target / "marks").unlink()
            done.append("no marks")
        for _ in range(1 + number % 2):
            path = target / NOISE.choice(files)
            if not path.exists():
                continue
            if number % 40 == 0:
                path.unlink()
                done.append(f"{path.name} removed")
                continue
            data = bytearray(path.read_bytes())
            used = len(data.rstrip(b"\0"))
            start = NOISE.randrange(used)
            size = NOISE.choice([1, 1, 1, 30, 512, 4096])
            for at in range(start, min(start + size, len(data))):
                data[at] ^= NOISE.randrange(1, 256)
            path.write_bytes(data)
            done.append(f"{path.name}: {size} bytes at {start} of {used}")
        yield "; ".join(done)


def test_damage_that_states_cover_does_no_harm_and_any_other_is_refused(
    tmp_path: Path, killed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = opened(shutil.copytree(killed, tmp_path / "whole"))
    choices = states((25, 33, 39, 41, 44))
    passed, refused = 0, 0
    for what in blocks_lost(killed, tmp_path / "copy"):
        bases = NOISE.choice(choices)
        caplog.clear()
        try:
            log = open_log(tmp_path / "copy", state_bases=bases)
        except LogCorrupted:
            refused += 1
            continue
        if "no marks" in what:  # a last write that is damaged is taken for a torn one
            assert not any("which does no harm" in each.getMessage() for each in caplog.records)
            log.close()
            continue
        try:
            assert behind(content(log), bases) == behind(expected, bases), f"{what}, {bases[0].index}"
            assert sum(".log" in str(vars(each).get("fields")) for each in caplog.records) == 1, what
            for group in log.groups():
                last = log.group(group).last_index()
                log.append(group, [Entry(9, last + 1, b"goes on")], HardState(9, 0, last))
        finally:
            log.close()
        passed += 1
        log = open_log(tmp_path / "copy", state_bases=bases)
        assert all(log.group(group).term(log.group(group).last_index()) == 9 for group in log.groups())
        log.close()
    assert passed > 50 and refused > 50, (passed, refused)
