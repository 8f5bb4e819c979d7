"""Rounds of reads: who shares one, and what counts as its confirmation."""

from __future__ import annotations

from memraft_cluster.raft import ReadState
from memraft_cluster.raft.read_only import ReadRounds

OTHERS_OF_FIVE = 2


def test_a_round_needs_a_quorum_and_each_node_counts_once() -> None:
    reads = ReadRounds()
    reads.add(7)
    reads.add(8)
    assert reads.begin(commit=42) == 1
    assert reads.acknowledge(2, 1, OTHERS_OF_FIVE) == []
    assert reads.acknowledge(2, 1, OTHERS_OF_FIVE) == [], "the same node again, a duplicated message"
    assert reads.acknowledge(3, 1, OTHERS_OF_FIVE) == [ReadState(42, 7), ReadState(42, 8)]
    assert reads.acknowledge(4, 1, OTHERS_OF_FIVE) == [], "each read is served once"
    assert len(reads) == 0


def test_newcomers_wait_for_the_next_round_and_old_answers_do_not_count_there() -> None:
    reads = ReadRounds()
    reads.add(7)
    reads.begin(commit=1)
    reads.add(8)
    assert not reads.can_begin
    assert len(reads) == 2
    reads.acknowledge(2, 1, OTHERS_OF_FIVE)
    reads.acknowledge(3, 1, OTHERS_OF_FIVE)
    assert reads.can_begin
    assert reads.begin(commit=2) == 2
    assert reads.acknowledge(4, 1, OTHERS_OF_FIVE) == []
    assert reads.acknowledge(5, 1, OTHERS_OF_FIVE) == []
    assert reads.acknowledge(4, 2, OTHERS_OF_FIVE) == []
    assert reads.acknowledge(5, 2, OTHERS_OF_FIVE) == [ReadState(2, 8)]


def test_lost_leadership_gives_up_every_read() -> None:
    reads = ReadRounds()
    reads.add(7)
    reads.begin(commit=1)
    reads.add(8)
    assert list(reads.drop()) == [7, 8]
    assert len(reads) == 0
    assert reads.acknowledge(2, 1, 1) == []


def test_a_round_begins_anew_when_other_nodes_make_a_quorum() -> None:
    reads = ReadRounds()
    reads.add(7)
    reads.begin(commit=1)
    reads.acknowledge(2, 1, OTHERS_OF_FIVE)
    reads.add(8)
    reads.restart()
    assert reads.can_begin
    assert reads.begin(commit=2) == 2
    assert reads.acknowledge(3, 1, 1) == []
    assert reads.acknowledge(3, 2, 1) == [ReadState(2, 7), ReadState(2, 8)]


def test_a_round_may_be_wanted_without_reads_and_is_never_one_under_way() -> None:
    reads = ReadRounds()
    reads.add(7)
    reads.begin(commit=1)
    assert reads.want_round() == 2
    assert not reads.can_begin
    reads.acknowledge(2, 1, 1)
    assert reads.can_begin
    assert reads.begin(commit=1) == 2
    assert reads.acknowledge(2, 2, 1) == []
    assert not reads.can_begin
