"""The cluster's record as a state machine: what survives, what travels, and what is done about damage."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from memraft_cluster.errors import SnapshotRefused
from memraft_cluster.meta import (
    AddNode,
    Bootstrap,
    ChangeRefused,
    Command,
    NodeEntry,
    Outcome,
    Rebalance,
    Record,
    bootstrap_record,
    encode_command,
)
from memraft_cluster.raft import Membership, SnapshotMeta
from memraft_server.cluster_record import Known, RecordEntryBuilder, RecordMachine, read_record_file
from memraft_server.entries import EntryMalformed

FIRST = bootstrap_record("test", [NodeEntry(1, "n1", "h:1", "h:2")], 2)
META = SnapshotMeta(7, 2, Membership((1,)))


def machine(path: Path) -> tuple[RecordMachine, Known]:
    known = Known(FIRST)
    made = RecordMachine(path / "record", known.learn)
    asyncio.run(made.load(lambda done, total: None))
    return made, known


def apply(made: RecordMachine, *commands: Command) -> list[object]:
    data = RecordEntryBuilder().build([encode_command(each) for each in commands])
    return list(made.apply(1, data, None))


def test_commands_of_an_entry_are_applied_in_order_and_the_newest_record_is_known(tmp_path: Path) -> None:
    made, known = machine(tmp_path)
    assert known.record == FIRST and known.epoch == 0
    begun, added, refused = apply(
        made, Bootstrap(FIRST), AddNode("n2", "h:3", "h:4"), AddNode("n3", "h:3", "h:5")
    )
    assert isinstance(begun, Outcome) and begun.changed
    assert isinstance(added, Outcome) and added.record.epoch == 2
    assert isinstance(refused, ChangeRefused) and "h:3 is an address of n2" in str(refused)
    assert known.record is made.record and known.epoch == 2
    assert made.unsaved == 2


def test_an_entry_of_another_version_ends_the_node(tmp_path: Path) -> None:
    made, _ = machine(tmp_path)
    with pytest.raises(EntryMalformed, match="of the record"):
        made.apply(1, b'[{"type":"of tomorrow"}]', None)


def test_what_was_flushed_is_there_after_a_restart(tmp_path: Path) -> None:
    made, _ = machine(tmp_path)
    apply(made, Bootstrap(FIRST))
    made.save(META)
    assert machine(tmp_path)[0].saved() is None  # saved, and not flushed
    made.flush()
    again, known = machine(tmp_path)
    assert again.saved() == META and again.record == made.record == known.record
    assert read_record_file(tmp_path / "record") == (META, made.record)
    again.drop()
    again.flush()
    assert machine(tmp_path)[0].saved() is None


@pytest.mark.parametrize("position", [0, 9, 40, -1])
def test_a_flipped_bit_is_found_and_the_file_not_used(
    tmp_path: Path, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    made, _ = machine(tmp_path)
    apply(made, Bootstrap(FIRST))
    made.save(META)
    made.flush()
    data = bytearray((tmp_path / "record").read_bytes())
    data[position] ^= 4
    (tmp_path / "record").write_bytes(data)
    damaged, _ = machine(tmp_path)
    assert damaged.saved() is None and damaged.record is None
    assert "damaged" in caplog.text


def test_a_snapshot_is_of_what_was_saved_and_comes_into_force_whole(tmp_path: Path) -> None:
    made, _ = machine(tmp_path)
    apply(made, Bootstrap(FIRST))
    made.save(META)
    saved = made.record
    apply(made, AddNode("n2", "h:3", "h:4"))
    source = made.begin_snapshot()
    chunk = source.read(0)
    assert chunk is not None and source.read(1) is None
    source.close()

    other, known = machine(tmp_path / "other")
    sink = other.begin_install(source.meta)
    sink.write(0, chunk)
    asyncio.run(sink.finish())
    assert other.record is None
    other.install(sink)
    other.flush()
    assert (other.record, other.saved(), known.record) == (saved, META, saved)
    assert machine(tmp_path / "other")[0].record == saved


def test_a_damaged_or_wrong_snapshot_is_refused(tmp_path: Path) -> None:
    made, _ = machine(tmp_path)
    apply(made, Bootstrap(FIRST))
    made.save(META)
    chunk = made.begin_snapshot().read(0)
    assert chunk is not None
    with pytest.raises(SnapshotRefused, match="checksum"):
        made.begin_install(META).write(0, chunk[:-1])
    with pytest.raises(SnapshotRefused, match="of index 7, wanted 8"):
        made.begin_install(SnapshotMeta(8, 2, Membership((1,)))).write(0, chunk)
    with pytest.raises(SnapshotRefused, match="did not come"):
        asyncio.run(made.begin_install(META).finish())


def test_an_older_record_from_elsewhere_is_not_taken_over() -> None:
    known = Known(None)
    assert known.record is None

    def at(epoch: int) -> Record:
        return Record(FIRST.cluster, 1, FIRST.nodes, FIRST.shards, FIRST.meta, epoch=epoch)

    for epoch, knows in ((5, 5), (4, 5), (6, 6)):
        known.learn(at(epoch))
        assert known.epoch == knows


def test_a_change_before_the_record_began_is_refused(tmp_path: Path) -> None:
    made, _ = machine(tmp_path)
    (reply,) = apply(made, Rebalance())
    assert isinstance(reply, ChangeRefused)
