"""Memories that are forgotten: over, without room, worth too little, or forgotten on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memraft_proto.v1 import (
    forgetting_pb2,
    fork_pb2,
    log_pb2,
    memory_pb2,
    namespace_pb2,
    recall_pb2,
    retention_pb2,
    txn_pb2,
)
from memraft_server.machine import Refused, forgetting
from memraft_server.machine.facts import Encoder
from memraft_server.machine.forgetting import EVICTED_MAX, EVICTION_BYTES_MAX
from memraft_server.machine.journal import Journal
from memraft_server.machine.loader import load
from memraft_server.machine.machine import Machine
from memraft_server.machine.retention import Trimmer
from memraft_server.projections.forgetting import PRUNE_INTERVAL_US, ForgettingProjection
from memraft_server.recall.receipts import make_receipt
from tests.unit.machine.harness import LIMITS, NAMESPACE, SECOND_US, Shard
from tests.unit.machine.test_settings import sweep

FORK = f"{NAMESPACE}@f"
DAY_US = 86_400 * SECOND_US
FORGOTTEN, EXPIRED = forgetting_pb2.FORGET_REASON_FORGOTTEN, forgetting_pb2.FORGET_REASON_EXPIRED
EVICTED, PRUNED = forgetting_pb2.FORGET_REASON_EVICTED, forgetting_pb2.FORGET_REASON_PRUNED
MERGED = forgetting_pb2.FORGET_REASON_MERGED


def remember(shard: Shard, id: str, text: str = "", *embedding: float, **more: Any) -> Any:
    if embedding:
        more |= {"embedding": np.array(embedding, "<f4").tobytes(), "fingerprint": "two:2"}
    request = memory_pb2.RememberRequest(id=id, text=text or id, **{"namespace": NAMESPACE, **more})
    return shard.write(request)


def limit(shard: Shard, namespace: str = NAMESPACE, **rules: Any) -> Any:
    memories = namespace_pb2.MemorySettings(**rules)
    return shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=namespace, memories=memories))


def settings(shard: Shard, **when: int) -> Any:
    return shard.read(namespace_pb2.GetNamespaceSettingsRequest(namespace=NAMESPACE), **when)


def ids(shard: Shard, namespace: str = NAMESPACE, **when: int) -> list[str]:
    listed = shard.read(memory_pb2.ListMemoriesRequest(namespace=namespace), **when)
    return sorted(each.id for each in listed.memories)


def forgotten(shard: Shard, namespace: str = NAMESPACE, *, at_index: int | None = None, **which: Any) -> Any:
    request = forgetting_pb2.ListForgottenRequest(namespace=namespace, **which)
    return shard.read(request, at_index=at_index).memories


def gone(shard: Shard, **which: Any) -> list[tuple[str, int]]:
    return [(each.memory.id, each.reason) for each in forgotten(shard, **which)]


def forget(shard: Shard, id: str, **more: Any) -> Any:
    return shard.write(memory_pb2.ForgetRequest(id=id, **{"namespace": NAMESPACE, **more}))


def recall(shard: Shard, *ids: str) -> None:
    """Stores the receipt of a recall that found these."""
    id = f"receipt {shard.machine.applied_index}"
    found = memory_pb2.RecallResponse()
    for each in ids:
        found.hits.add().memory.id = each
    receipts = [make_receipt("alice", memory_pb2.RecallRequest(), found, 0)]
    shard.write(log_pb2.RecordRecallsCommand(namespace=NAMESPACE, ids=[id], receipts=receipts))


def answer(shard: Shard, *used: str) -> None:
    """Ties an answer to these memories."""
    named = {"receipt": "r", "answer_id": "a", "used": used, "versions": [1 for _ in used]}
    shard.write(recall_pb2.RecordInfluenceRequest(namespace=NAMESPACE, **named))


def wait(shard: Shard, time_us: int) -> None:
    shard.time_us += time_us
    sweep(shard)


def test_memories_are_forgotten_when_their_time_is_over() -> None:
    shard = Shard()
    remember(shard, "stays")
    written = remember(shard, "own", ttl_ms=5_000, about="user:1")
    limit(shard, default_ttl_ms=60_000)
    remember(shard, "default")
    remember(shard, "pinned", pinned=True)
    remember(shard, "pinned for a while", pinned=True, ttl_ms=60_000)
    remember(shard, "renewed", ttl_ms=30_000)
    shard.write(memory_pb2.UpdateMemoryRequest(namespace=NAMESPACE, id="renewed", ttl_ms=0))
    assert shard.machine.next_due_us() == written.time_us + 5 * SECOND_US
    wait(shard, 50 * SECOND_US)
    assert ids(shard) == ["default", "pinned", "pinned for a while", "renewed", "stays"]
    wait(shard, 60 * SECOND_US)
    assert ids(shard) == ["pinned", "renewed", "stays"]
    assert shard.machine.next_due_us() is None
    assert gone(shard) == [("pinned for a while", EXPIRED), ("default", EXPIRED), ("own", EXPIRED)]
    own = forgotten(shard, id="own")[0]
    assert (own.memory.about, own.provenance.agent, own.provenance.tool) == ("user:1", "", "expiry")
    assert not own.HasField("worth")
    assert "own" in ids(shard, at_index=(own.provenance.version >> 20) - 1)
    assert "own" not in ids(shard, at_index=own.provenance.version >> 20)


def test_what_is_worth_least_is_evicted_with_its_reason() -> None:
    shard = Shard()
    limit(shard, entries_max=3, recency=1, frequency=2, salience=4, impact=1)
    for id, salience in (("dull", 0.1), ("used", 0.1), ("good", 0.9)):
        remember(shard, id, salience=salience)
    assert shard.machine.next_due_us() is None
    for _ in range(4):
        recall(shard, "used", "nothing")
    wait(shard, 30 * DAY_US)
    remember(shard, "new", salience=0.5)
    assert shard.machine.next_due_us() == 0
    sweep(shard)
    assert ids(shard) == ["good", "new", "used"]
    [each] = forgotten(shard)
    assert (each.memory.id, each.reason, each.provenance.tool) == ("dull", EVICTED, "eviction")
    worth = each.worth
    # Thirty days halve recency and what salience counts.
    assert worth.recency == pytest.approx(1 / 8 / 2, abs=1e-5)
    assert worth.salience == pytest.approx(4 / 8 * 0.1 / 2, abs=1e-5)
    assert (worth.frequency, worth.impact) == (0, 0)
    assert worth.score == pytest.approx(worth.recency + worth.salience)
    answer(shard, "used")
    remember(shard, "newer", salience=0.0)
    sweep(shard)
    # used: 1/8 * .5 + 2/8 * .5 + 4/8 * .05 + 1/8 / 3 = .254, newer: 1/8 + 0
    assert gone(shard) == [("newer", EVICTED), ("dull", EVICTED)]


def test_pinned_memories_stay_and_so_does_the_last_of_the_others() -> None:
    shard = Shard()
    for number in range(5):
        remember(shard, f"pinned {number}", pinned=True, salience=0.0)
    remember(shard, "loose")
    limit(shard, entries_max=2)
    sweep(shard)
    assert len(ids(shard)) == 6 and shard.machine.next_due_us() is None
    remember(shard, "second", salience=1.0)
    sweep(shard)
    assert gone(shard) == [("loose", EVICTED)]
    shard.write(memory_pb2.UpdateMemoryRequest(namespace=NAMESPACE, id="pinned 3", pinned=False))
    sweep(shard)
    assert [each for each, _ in gone(shard)] == ["pinned 3", "loose"]


def test_a_limit_in_bytes_counts_embeddings_and_makes_room_for_more() -> None:
    shard = Shard()
    for number in range(200):
        remember(shard, f"m{number:03d}", "x" * 600, 1.0, float(number), salience=number / 200)
    limit(shard, bytes_max=100_000)
    found = settings(shard)
    assert found.memories_entries == 200 and found.memories_bytes > 200 * 950
    sweep(shard)
    found = settings(shard)
    assert 0.97 * 100_000 < found.memories_bytes <= 0.99 * 100_000
    assert found.memories_entries == len(ids(shard)) < 105
    assert ids(shard)[-1] == "m199" and ids(shard)[0] > "m090"


def test_one_command_evicts_what_a_log_can_take() -> None:
    shard = Shard()
    for number in range(1_200):
        remember(shard, f"{number:0500d}")
    limit(shard, entries_max=10)
    command, *others = shard.machine.due(shard.time_us, 100)
    assert 0.9 * EVICTION_BYTES_MAX < command.request.ByteSize() <= EVICTION_BYTES_MAX
    assert command.request.ids[0] == f"{0:0500d}"  # all are worth the same but for their age
    assert others and all(each.request.ByteSize() <= EVICTION_BYTES_MAX for each in others)
    sweep(shard)
    assert len(ids(shard)) == 10


def test_one_command_evicts_few_enough_for_others_to_have_their_turn() -> None:
    shard = Shard()
    for number in range(1_300):
        remember(shard, f"{number:04d}")
    limit(shard, entries_max=100)
    due = shard.machine.due(shard.time_us, 100)
    assert [len(each.request.ids) for each in due] == [EVICTED_MAX, EVICTED_MAX]
    assert [id for each in due for id in each.request.ids] == [f"{n:04d}" for n in range(2 * EVICTED_MAX)]
    sweep(shard)
    assert ids(shard) == [f"{n:04d}" for n in range(1_201, 1_300)]


@pytest.mark.parametrize("digits", [4, 500])
def test_one_command_ends_no_more_memories_whose_time_is_over_than_it_evicts(digits: int) -> None:
    shard = Shard()
    for number in range(600):
        remember(shard, f"{number:0{digits}d}", ttl_ms=1_000_000)
    shard.time_us += 2_000 * SECOND_US
    due = [each.request for each in shard.machine.due(shard.time_us, 1_000)]
    assert [id for each in due for id in each.ids] == [f"{n:0{digits}d}" for n in range(600)]
    assert len(due) == 2 and all(each.reason == EXPIRED for each in due)
    assert all(len(each.ids) <= EVICTED_MAX and each.ByteSize() <= EVICTION_BYTES_MAX for each in due)
    sweep(shard)
    assert not ids(shard)


def test_an_eviction_leaves_alone_what_was_written_since() -> None:
    shard = Shard()
    limit(shard, entries_max=1)
    remember(shard, "a")
    remember(shard, "b")
    [command] = shard.machine.due(shard.time_us, 100)
    assert list(command.request.ids) == ["a"]
    remember(shard, "a", "said again")
    shard.machine.apply(shard.machine.applied_index + 1, shard.time_us, 1, [command])
    assert ids(shard) == ["a", "b"] and not forgotten(shard)
    sweep(shard)
    assert gone(shard) == [("b", EVICTED)]


def test_what_is_worth_less_than_the_threshold_is_pruned() -> None:
    shard = Shard()
    limit(shard, prune_below=0.25, half_life_days=10, frequency=0, impact=0)
    remember(shard, "good", salience=1.0)
    remember(shard, "poor", salience=0.0)
    remember(shard, "pinned", salience=0.0, pinned=True)
    due_us = shard.machine.next_due_us()
    assert due_us is not None  # poor: 1/2 * 2^(-days/10) < 1/4 after 10 days; good after 20
    assert due_us - shard.time_us == pytest.approx(10 * DAY_US, abs=5 * SECOND_US)
    wait(shard, 9 * DAY_US)
    assert len(ids(shard)) == 3
    wait(shard, DAY_US)
    assert ids(shard) == ["good", "pinned"]
    [each] = forgotten(shard, reason=PRUNED)
    assert (each.memory.id, each.provenance.tool) == ("poor", "pruning")
    assert each.worth.score == pytest.approx(0.25, abs=1e-3)
    wait(shard, PRUNE_INTERVAL_US)
    recall(shard, "good")
    wait(shard, 15 * DAY_US)
    assert ids(shard) == ["good", "pinned"]
    wait(shard, 5 * DAY_US + PRUNE_INTERVAL_US)
    assert ids(shard) == ["pinned"]
    wait(shard, PRUNE_INTERVAL_US)
    assert shard.machine.next_due_us() is None


def test_the_worthless_are_looked_for_once_a_minute() -> None:
    shard = Shard()
    limit(shard, prune_below=0.9, salience=10)
    remember(shard, "poor", salience=0.1)
    wait(shard, SECOND_US)
    assert gone(shard) == [("poor", PRUNED)]
    looked_us = shard.time_us
    remember(shard, "poorer", salience=0.0)
    assert shard.machine.next_due_us() == looked_us + PRUNE_INTERVAL_US
    wait(shard, PRUNE_INTERVAL_US)
    assert not ids(shard)


def test_who_forgets_on_purpose_may_say_why() -> None:
    shard = Shard()
    remember(shard, "a", "the address of bob")
    remember(shard, "b")
    assert forget(shard, "a", reason="bob asked for it").found
    assert not forget(shard, "a", reason="twice").found
    forget(shard, "b")
    assert gone(shard) == [("b", FORGOTTEN), ("a", FORGOTTEN)]
    [each] = forgotten(shard, id="a")
    assert (each.memory.text, each.note, each.provenance.agent) == (
        "the address of bob", "bob asked for it", "alice",
    )  # fmt: skip
    with pytest.raises(Refused, match="reason"):
        forget(shard, "b", reason="x" * 1_025)
    remember(shard, "a", "another address")
    forget(shard, "a")
    assert [each.memory.text for each in forgotten(shard, id="a")] == [
        "another address",
        "the address of bob",
    ]


def test_what_was_forgotten_is_listed_page_by_page_and_as_of_a_moment() -> None:
    shard = Shard()
    for number in range(5):
        remember(shard, f"m{number}")
        last = forget(shard, f"m{number}")
    request = forgetting_pb2.ListForgottenRequest(namespace=NAMESPACE, limit=2)
    found: list[str] = []
    while True:
        page = shard.read(request)
        found += [each.memory.id for each in page.memories]
        if not page.next_cursor:
            break
        request.cursor = page.next_cursor
    assert found == ["m4", "m3", "m2", "m1", "m0"]
    before = forgotten(shard, at_index=(last.version >> 20) - 1)
    assert [each.memory.id for each in before] == ["m3", "m2", "m1", "m0"]
    with pytest.raises(Refused, match="cursor"):
        shard.read(forgetting_pb2.ListForgottenRequest(namespace=NAMESPACE, id="m1", cursor=request.cursor))


def test_why_is_kept_until_retention_lets_the_memory_go() -> None:
    shard = Shard()
    remember(shard, "a")
    remember(shard, "b")
    forget(shard, "b", reason="of no use")
    shard.write(retention_pb2.SetRetentionRequest(namespace=NAMESPACE, age_ms=1_000))
    kept = shard.machine.usage("acme").bytes
    trimmer = Trimmer(shard.machine)
    shard.time_us += 60 * SECOND_US
    for _ in range(5):
        command = trimmer.step(shard.time_us)
        if command is not None:
            shard.machine.apply(shard.machine.applied_index + 1, shard.time_us, 1, [command])
    assert not forgotten(shard)
    assert shard.machine.usage("acme").bytes < kept
    space = shard.machine.space(NAMESPACE)
    assert space is not None and not space.projection(ForgettingProjection).records.heads
    assert ids(shard) == ["a"]


def test_a_fork_has_its_parents_reasons_and_a_merge_takes_its_own_over() -> None:
    shard = Shard()
    for id in ("a", "b", "c", "d"):
        remember(shard, id)
    forget(shard, "a", reason="before")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    forget(shard, "b", reason="in the parent")
    forget(shard, "c", reason="in the fork", namespace=FORK)
    assert [each.note for each in forgotten(shard)] == ["in the parent", "before"]
    assert [each.note for each in forgotten(shard, FORK)] == ["in the fork", "before"]
    assert [each.memory.id for each in forgotten(shard, FORK)] == ["c", "a"]
    shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="f"))
    assert [each.note for each in forgotten(shard)] == ["in the fork", "in the parent", "before"]
    assert ids(shard) == ["d"]


def test_a_fork_evicts_what_was_written_in_it() -> None:
    shard = Shard()
    limit(shard, entries_max=2)
    remember(shard, "a")
    remember(shard, "b")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    for id in ("c", "d", "e"):
        remember(shard, id, namespace=FORK)
        sweep(shard)
    assert ids(shard, FORK) == ["a", "b", "d", "e"]
    assert ids(shard) == ["a", "b"]
    shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="f"))
    sweep(shard)
    assert ids(shard) == ["d", "e"]


def reopened(shard: Shard) -> Machine:
    """The machine as it is read from a disk."""
    sealed = shard.machine.seal()
    rows = sorted((key, value) for key, value in sealed.all(Encoder()) if value is not None)
    deleted = {key for key, value in sealed.changes if value is None}
    kept = [row for row in rows if row[0] not in deleted]
    machine, beyond = load(kept, sealed.label, 0, Journal())
    assert not beyond
    return machine


def test_all_of_it_is_read_from_a_disk() -> None:
    shard = Shard()
    shard.machine = Machine(0, LIMITS, Journal())
    limit(shard, entries_max=3, prune_below=0.01)
    remember(shard, "brief", salience=0.5, ttl_ms=1_000_000)
    remember(shard, "poor", salience=0.0)
    remember(shard, "pinned", pinned=True)
    remember(shard, "a", salience=0.9)
    sweep(shard)
    forget(shard, "a", reason="why not")
    machine = reopened(shard)
    other = Shard()
    other.machine, other.time_us = machine, shard.time_us
    assert gone(other) == gone(shard) == [("a", FORGOTTEN), ("poor", EVICTED)]
    assert forgotten(other)[1] == forgotten(shard)[1]
    assert settings(other) == settings(shard)
    assert machine.next_due_us() == shard.machine.next_due_us()
    for each in (shard, other):
        remember(each, "b", salience=0.8)
        remember(each, "c", salience=0.7)
        wait(each, 1_001 * SECOND_US)
    assert gone(other) == gone(shard)
    assert other.machine.applied_hash == shard.machine.applied_hash


def test_settings_of_memories_have_a_past_and_limits() -> None:
    shard = Shard()
    first = limit(shard, entries_max=10, recency=0.5)
    limit(shard, bytes_max=5_000, half_life_days=2)
    rules = settings(shard).memories
    assert (rules.entries_max, rules.bytes_max, rules.recency, rules.salience) == (10, 5_000, 0.5, 1.0)
    assert settings(shard).memories_provenance.agent == "alice"
    assert settings(shard, at_index=first.version >> 20).memories.half_life_days == 30
    for fault in (
        {"prune_below": 1.5},
        {"impact": -1},
        {"salience": float("nan")},
        {"half_life_days": 0},
        {"entries_max": 1 << 40},
    ):
        with pytest.raises(Refused, match=f"memories.{next(iter(fault))}"):
            limit(shard, **fault)
    with pytest.raises(Refused, match="one of these weights must be above 0"):
        limit(shard, recency=0, frequency=0, salience=0, impact=0)
    limit(shard, entries_max=0, bytes_max=0)
    assert settings(shard).memories_entries == 0 == settings(shard).memories_bytes


def duplicates(shard: Shard, threshold: float = 0.95, **which: Any) -> list[tuple[str, list[str]]]:
    request = forgetting_pb2.FindDuplicatesRequest(namespace=NAMESPACE, threshold=threshold, **which)
    return [(group.keep_id, [each.id for each in group.duplicates]) for group in shard.read(request).groups]


def merge(shard: Shard, keep: Any, *others: Any) -> Any:
    request = forgetting_pb2.MergeMemoriesRequest(
        namespace=NAMESPACE,
        keep_id=keep.id,
        keep_version=keep.version,
        ids=[each.id for each in others],
        versions=[each.version for each in others],
    )
    return shard.write(request)


def test_near_duplicates_are_found_among_memories_of_the_same_labels() -> None:
    shard = Shard()
    remember(shard, "a", "likes tea", 1.0, 0.0)
    remember(shard, "b", "likes green tea", 1.0, 0.1)
    remember(shard, "other", "likes tea", 1.0, 0.0, about="user:2")
    remember(shard, "far", "likes tea", 0.0, 1.0)
    remember(shard, "coffee", "likes coffee", 1.0, 0.0)
    remember(shard, "none", "has no embedding")
    remember(shard, "c", "really likes tea", 1.0, 0.05)
    remember(shard, "not", "does not like tea", 1.0, 0.05)
    assert duplicates(shard) == [("c", ["a"]), ("b", ["a"])]
    assert duplicates(shard, paraphrases=True)[0] == ("c", ["b", "a", "coffee"])
    assert duplicates(shard, about="user:2") == []
    assert duplicates(shard, kind="fact") == []
    assert duplicates(shard, threshold=0.9999) == []
    first = shard.read(forgetting_pb2.FindDuplicatesRequest(namespace=NAMESPACE, threshold=0.95, limit=6))
    assert first.looked == 6 and first.next_cursor and [each.keep_id for each in first.groups] == ["c"]
    rest = shard.read(
        forgetting_pb2.FindDuplicatesRequest(
            namespace=NAMESPACE, threshold=0.95, limit=6, cursor=first.next_cursor
        )
    )
    assert [each.keep_id for each in rest.groups] == ["b"] and not rest.next_cursor


def test_of_duplicates_the_newest_is_kept_unless_another_is_pinned() -> None:
    shard = Shard()
    remember(shard, "old", "likes tea", 1.0, 0.0)
    remember(shard, "pinned", "likes tea", 1.0, 0.1, pinned=True)
    remember(shard, "new", "likes tea", 1.0, 0.05)
    assert duplicates(shard) == [("pinned", ["new"]), ("pinned", ["old"])]
    remember(shard, "pinned too", "likes tea", 1.0, 0.2, pinned=True)
    assert duplicates(shard)[0] == ("pinned too", ["new", "old"])


def test_of_duplicates_the_one_that_says_more_is_kept() -> None:
    shard = Shard()
    remember(shard, "more", "Bob likes green tea", 1.0, 0.0)
    remember(shard, "less", "Bob likes tea", 1.0, 0.1)
    assert duplicates(shard) == [("more", ["less"])]
    remember(shard, "swapped", "Tea likes Bob", 1.0, 0.1)
    remember(shard, "up", "the server is up", 0.0, 1.0)
    remember(shard, "down", "the server is down", 0.0, 1.0)
    assert duplicates(shard) == [("more", ["less"])]


def test_merging_keeps_one_memory_with_what_the_others_were() -> None:
    shard = Shard()
    a = remember(shard, "a", "likes tea", 1.0, 0.0, salience=0.9, ttl_ms=1_000)
    b = remember(shard, "b", "likes tea a lot", 1.0, 0.1, pinned=True)
    c = remember(shard, "c", "likes tea", 1.0, 0.0, metadata=b'{"lang":"en"}', salience=0.2)
    done = merge(shard, c, a, b)
    assert (done.count, done.conflict) == (2, False)
    kept = shard.read(memory_pb2.GetMemoryRequest(namespace=NAMESPACE, id="c")).memory
    assert kept.metadata == b'{"lang":"en","merged_from":["a","b"]}'
    assert (kept.salience, kept.pinned, kept.expires_at_us) == (pytest.approx(0.9), True, 0)
    assert kept.text == "likes tea" and kept.provenance.version == done.version
    assert ids(shard) == ["c"]
    found = forgotten(shard)
    assert [(each.memory.id, each.reason, each.merged_into) for each in found] == [
        ("b", MERGED, "c"),
        ("a", MERGED, "c"),
    ]
    assert found[0].provenance.agent == "alice"
    assert ids(shard, at_index=(done.version >> 20) - 1) == ["a", "b", "c"]


def test_a_merge_is_all_or_nothing() -> None:
    shard = Shard()
    a, b = remember(shard, "a"), remember(shard, "b")
    changed = remember(shard, "a", "another text")
    for keep, other in ((a, b), (b, a)):
        assert merge(shard, keep, other).conflict
    forget(shard, "b")
    assert merge(shard, changed, b).conflict
    with pytest.raises(Refused, match="NO_SUCH_MEMORY"):
        merge(shard, b, changed)
    with pytest.raises(Refused, match="each once"):
        merge(shard, changed, changed)
    assert ids(shard) == ["a"]
    request = txn_pb2.CommitTxnRequest(namespace=NAMESPACE)
    request.operations.add().merge_memories.CopyFrom(
        forgetting_pb2.MergeMemoriesRequest(keep_id="a", keep_version=1, ids=["x"], versions=[1])
    )
    assert not shard.write(request).committed


def test_the_ids_of_merged_memories_fit_the_metadata() -> None:
    shard = Shard()
    long = [remember(shard, f"{number:0500d}") for number in range(40)]
    keep = remember(shard, "keep")
    merge(shard, keep, *long)
    kept = shard.read(memory_pb2.GetMemoryRequest(namespace=NAMESPACE, id="keep")).memory
    assert 15 << 10 < len(kept.metadata) <= 16 << 10
    assert b"%0500d" % 39 in kept.metadata and b"%0500d" % 0 not in kept.metadata
    full = remember(shard, "full", metadata=b'{"x":"%s"}' % (b"y" * 16_370))
    merge(shard, full, remember(shard, "more"))
    assert (
        len(shard.read(memory_pb2.GetMemoryRequest(namespace=NAMESPACE, id="full")).memory.metadata) == 16_378
    )


def test_memories_that_were_there_before_are_counted_a_portion_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forgetting, "COUNTED_MAX", 10)
    leader, follower = Shard(), Shard()
    for number in range(35):
        for shard in (leader, follower):
            remember(shard, f"m{number}", salience=number / 35)
    for shard in (leader, follower):
        limit(shard, entries_max=30, prune_below=0.3, frequency=0, impact=0)
        assert settings(shard).memories_entries == 10
        assert shard.machine.next_due_us() == 0
        remember(shard, "m0", "not counted yet", salience=1.0)
        forget(shard, "m1")
    for _ in range(5):
        follower.machine.count_on()
    assert settings(follower).memories_entries == 34
    assert leader.machine.due(leader.time_us, 100) == [] == leader.machine.due(leader.time_us, 100)
    sweep(leader)
    assert settings(leader).memories_entries == 30
    assert {id for id, reason in gone(leader) if reason == EVICTED} == {"m2", "m3", "m4", "m5"}
    limit(leader, prune_below=0.9)
    wait(leader, PRUNE_INTERVAL_US)
    assert 0 < settings(leader).memories_entries < 10
    assert "m0" in ids(leader)


def test_settings_that_are_refused_change_nothing() -> None:
    shard = Shard()
    nothing_counts = namespace_pb2.MemorySettings(recency=0, frequency=0, salience=0, impact=0)
    request = namespace_pb2.SetNamespaceSettingsRequest(
        namespace=NAMESPACE, default_ttl_ms=5, receipts_ttl_ms=5, entries_max=5, memories=nothing_counts
    )
    with pytest.raises(Refused, match="one of these weights must be above 0"):
        shard.write(request)
    found = settings(shard)
    assert (found.default_ttl_ms, found.receipts_ttl_ms, found.entries_max) == (0, 0, 0)
