"""The durable log: what was written is what is read, or it says what is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memraft_cluster.errors import (
    DirectoryLocked,
    DiskError,
    FormatUnsupported,
    LayoutChanged,
    LogCorrupted,
    WrongDirectory,
)
from memraft_cluster.layout import Layout
from memraft_cluster.log import Durability, DurableLog, GroupUpdate
from memraft_cluster.log_records import FORMAT_VERSION
from memraft_cluster.raft import Entry, HardState


def open_log(path: Path, **options: object) -> DurableLog:
    return DurableLog(path, **{"cluster": "c1", "node": "n1", **options})  # type: ignore[arg-type]


def test_the_names_of_new_directories_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = set(), os.fsync

    def noting(file: int) -> None:
        synced.add(Path(os.readlink(f"/proc/self/fd/{file}")))
        fsync(file)

    monkeypatch.setattr(os, "fsync", noting)
    open_log(tmp_path / "data" / "log").close()
    assert synced >= {tmp_path, tmp_path / "data", tmp_path / "data" / "log"}


def entries(first: int, last: int, term: int = 1, data: bytes = b"data") -> list[Entry]:
    return [Entry(term, index, data + b" %d" % index) for index in range(first, last + 1)]


def crash_image(source: Path, target: Path) -> Path:
    """What a crash would leave: the files of a log that is open, as they are on disk now."""
    shutil.copytree(source, target)
    return target


def write_ahead_log(path: Path) -> Path:
    return max(path.glob("*.log"), key=lambda file: file.stat().st_size)


def test_entries_and_hard_state_come_back_after_a_restart(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 3), HardState(1, 2, 0))
    log.append(0, entries(4, 5, term=3), HardState(3, 1, 4))
    log.append(7, entries(1, 1), HardState(9, 0, 1))
    log.close()
    log = open_log(tmp_path / "log")
    assert log.groups() == [0, 7]
    assert log.hard_state(0) == HardState(3, 1, 4)
    assert list(log.replay(0)) == entries(1, 3) + entries(4, 5, term=3)
    assert [log.group(0).term(index) for index in range(6)] == [0, 1, 1, 1, 3, 3]
    assert list(log.replay(7)) == entries(1, 1)
    assert log.hard_state(8) is None and log.group(8).last_index() == 0
    log.close()


def test_one_batch_carries_many_groups(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    updates = [GroupUpdate(group, HardState(1, 1, 0), entries(1, 2)) for group in range(16)]
    log.persist(updates)
    assert log.group(3).last_index() == 0, "nothing shows before it is accepted"
    log.accept(updates)
    image = crash_image(tmp_path / "log", tmp_path / "image")
    log.close()
    again = open_log(image)
    assert all(list(again.replay(group)) == entries(1, 2) for group in range(16))
    again.close()


@pytest.mark.parametrize("count", [5, 500], ids=["few", "many"])
def test_conflicting_entries_are_replaced_and_what_followed_them_is_gone(tmp_path: Path, count: int) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, count))
    log.append(1, entries(1, 3))
    log.append(0, entries(3, 3, term=2))
    expected = entries(1, 2) + entries(3, 3, term=2)
    assert log.group(0).last_index() == 3
    assert list(log.replay(0)) == expected
    log.append(0, entries(4, 4, term=2))
    log.close()
    log = open_log(tmp_path / "log")
    assert list(log.replay(0)) == expected + entries(4, 4, term=2)
    assert list(log.replay(1)) == entries(1, 3), "the neighbouring group is untouched"
    log.close()


def test_reading_a_range_is_bounded_by_bytes_but_gives_at_least_one(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 10, data=b"x" * 100))
    group = log.group(0)
    assert [each.index for each in group.entries(3, 8, 10_000)] == [3, 4, 5, 6, 7]
    assert [each.index for each in group.entries(3, 8, 210)] == [3, 4]
    assert [each.index for each in group.entries(3, 8, 1)] == [3]
    with pytest.raises(IndexError, match=r"1\.\.10"):
        group.entries(3, 12, 1)
    with pytest.raises(IndexError, match=r"1\.\.10"):
        group.term(11)
    log.close()


def test_a_gap_is_refused_before_it_is_written(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 2))
    with pytest.raises(ValueError, match=r"4\.\.4 do not continue 1\.\.2"):
        log.append(0, entries(4, 4))
    log.close()


def test_the_directory_of_another_node_is_refused_naming_both(tmp_path: Path) -> None:
    open_log(tmp_path / "log").close()
    with pytest.raises(WrongDirectory, match=r"node 'n1' of cluster 'c1'.*node 'n2' of cluster 'c1'"):
        open_log(tmp_path / "log", node="n2")
    with pytest.raises(WrongDirectory, match=r"node 'n1' of cluster 'c1'.*node 'n1' of cluster 'c2'"):
        open_log(tmp_path / "log", cluster="c2")


def test_a_directory_made_for_other_shards_or_nodes_is_refused_by_name(tmp_path: Path) -> None:
    made = Layout(1)
    open_log(tmp_path / "log", layout=made).close()
    others = {
        "was made for 1 shard, the config says 4": {"layout": Layout(4)},
        "was made for 4096 slots, the config says 1024": {"layout": Layout(1, 1024)},
        "was made for node id 1, the config says 2": {"layout": made, "node_id": 2},
    }
    for message, other in others.items():
        with pytest.raises(LayoutChanged, match=message):
            open_log(tmp_path / "log", **other)
    open_log(tmp_path / "log", layout=made).close()


def test_a_directory_of_another_format_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "CURRENT").write_text("MANIFEST-000005")
    with pytest.raises(FormatUnsupported, match=f"has format 2; this version reads format {FORMAT_VERSION}"):
        open_log(tmp_path / "log")
    assert [each.name for each in (tmp_path / "log").iterdir()] == ["CURRENT"]


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    with pytest.raises(DirectoryLocked, match="is in use, by this process or another"):
        open_log(tmp_path / "log")
    log.close()
    open_log(tmp_path / "log").close()


def test_a_log_shorter_than_its_commit_index_is_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(3, entries(1, 9), HardState(1, 1, 12))
    log.close()
    with pytest.raises(LogCorrupted, match="committed up to 12, but the last entry is 9") as refused:
        open_log(tmp_path / "log")
    assert (refused.value.group, refused.value.index) == (3, 10)


def test_a_directory_that_cannot_be_made_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError, match="file"):
        open_log(tmp_path / "file" / "log")


FILL = """
import resource, signal, sys
from memraft_cluster.errors import DiskError
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = DurableLog(sys.argv[1], cluster="c1", node="n1")
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
acknowledged = 0
try:
    for index in range(1, 1000):
        log.append(0, [Entry(1, index, bytes(10_000))])
        acknowledged = index
except DiskError as error:
    assert sys.argv[1] in str(error), error
    try:
        log.append(0, [Entry(1, acknowledged + 1, b"again")])
    except DiskError:
        print(acknowledged)
"""


def test_a_write_that_the_disk_refuses_is_an_error_for_good_and_loses_nothing_before(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "log")],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    acknowledged = int(run.stdout)
    assert 50 < acknowledged < 200
    log = open_log(tmp_path / "log")
    assert log.group(0).last_index() >= acknowledged
    assert len(list(log.replay(0))) == log.group(0).last_index()
    log.close()


FULL = """
import resource, sys
from pathlib import Path
from memraft_cluster.segments import Segments
segments = Segments(Path(sys.argv[1]))
segments.begin(1, 1)
segments.write([bytes(60_000)], 60_000)
segments.sync()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
segments.begin(2, 2)
segments.write([bytes(3_000)], 3_000)
segments.write([bytes(10_000)], 10_000)
segments.sync()
"""


def test_where_there_is_no_room_for_more_a_write_that_fits_still_does(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert run.stderr == ""


def test_relaxed_durability_is_synced_on_close_and_says_what_it_is(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", durability=Durability.RELAXED)
    log.append(0, entries(1, 100))
    log.close()
    log.close()
    log = open_log(tmp_path / "log")
    assert log.durability is Durability.COMMIT
    assert list(log.replay(0)) == entries(1, 100)
    log.close()


def test_opening_reports_progress(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 3000))
    log.close()
    seen: list[int] = []
    open_log(tmp_path / "log", progress=seen.append).close()
    assert seen == [1024, 2048, 3000]


def test_blocks_that_were_written_ahead_count_for_nothing(tmp_path: Path) -> None:
    """Small writes and large ones in turn, over the ends of what is allocated, written ahead, and a file."""
    log = open_log(tmp_path / "log", segment_bytes=300 << 10)
    index, written = 0, []
    for size in [200, 3_000, 20_000, 200, 70_000] * 12:
        made = [Entry(1, index := index + 1, b"x" * size)]
        log.append(0, made, HardState(1, 0, 0) if index == 1 else None)
        written += made
        if index % 7 == 0:
            again = open_log(crash_image(tmp_path / "log", tmp_path / f"crash {index}"))
            assert list(again.replay(0)) == written
            again.append(0, [Entry(1, index + 1, b"after the crash")])
            again.close()
    log.close()
    log = open_log(tmp_path / "log")
    assert list(log.replay(0)) == written
    log.close()


def test_a_small_write_is_synced_into_blocks_that_were_written_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[bool, set[int]]] = []
    pwritev = os.pwritev

    def noting(descriptor: int, parts: list[bytes], offset: int) -> int:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".log"):
            last = offset + sum(map(len, parts)) - 1
            found.append((not any(map(any, parts)), {*range(offset >> 12, (last >> 12) + 1)}))
        return pwritev(descriptor, parts, offset)

    monkeypatch.setattr(os, "pwritev", noting)
    log = open_log(tmp_path / "log")
    for index in range(1, 300):
        log.append(0, entries(index, index, data=b"x" * 400), HardState(1, 0, 0) if index == 1 else None)
    log.close()
    blocks: set[int] = set()
    fresh = 0
    for is_ahead, touched in found:
        fresh += not is_ahead and not touched <= blocks
        blocks |= touched
    assert len(found) > 300 and fresh <= 4, "nearly all went where something had been written"
