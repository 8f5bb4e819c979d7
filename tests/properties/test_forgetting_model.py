"""What is evicted and pruned is what arithmetic says; what is kept in mind is what a disk gives back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.v1 import forgetting_pb2, fork_pb2, memory_pb2, namespace_pb2
from memraft_server.machine import Refused
from memraft_server.machine.forgetting import count_on
from memraft_server.machine.journal import Journal
from memraft_server.machine.machine import Machine
from memraft_server.projections.forgetting import DAY_US, ForgettingProjection, Keeping, Worths
from tests.unit.machine.harness import LIMITS, NAMESPACE, Shard
from tests.unit.machine.test_forgetting import FORK, answer, recall, reopened
from tests.unit.machine.test_settings import sweep

NOW_US = 1_700_000_000_000_000
names = st.sampled_from("abcdefgh")
shares = st.integers(0, 10).map(lambda tenths: tenths / 10)
memories = st.tuples(
    names, st.integers(0, 200), st.integers(1, 9), shares, st.booleans(), st.integers(0, 5), st.integers(0, 3)
)
rules = st.builds(
    Keeping,
    entries_max=st.integers(0, 4),
    bytes_max=st.integers(0, 30),
    prune_below=shares,
    recency=shares,
    frequency=shares,
    salience=shares,
    impact=st.just(0.5),
    half_life_days=st.sampled_from((1.0, 30.0)),
)


def score(rule: Keeping, days: int, salience: float, recalls: int, answers: int) -> float:
    fresh: float = 0.5 ** (days / rule.half_life_days)
    parts = (
        rule.recency * fresh,
        rule.frequency * recalls / (recalls + 4),
        rule.salience * salience * fresh,
        rule.impact * answers / (answers + 2),
    )
    return sum(parts) / rule.weight


@given(rules, st.lists(memories | names, max_size=30))
def test_what_goes_is_what_is_worth_least(rule: Keeping, steps: list[Any]) -> None:
    worths, model = Worths(rule), {}
    for step in steps:
        if isinstance(step, str):
            worths.drop(step)
            model.pop(step, None)
        else:
            id, days, size, salience, pinned, recalls, answers = step
            worths.put(id, NOW_US - days * DAY_US, size, salience, pinned, recalls, answers)
            model[id] = step
    assert len(worths) == len(model) and worths.bytes == sum(each[2] for each in model.values())
    worth = {
        id: score(rule, days, salience, recalls, answers)
        for id, days, _, salience, pinned, recalls, answers in model.values()
        if not pinned
    }
    found = worths.victims(NOW_US, 100)
    count, size = len(model), worths.bytes
    for place, (id, each) in enumerate(found):
        assert count > rule.entries_max > 0 or size > rule.bytes_max > 0
        assert abs(each.score - worth.pop(id)) < 1e-9 and abs(sum(each[1:]) - each.score) < 1e-9
        assert each.score <= min(worth.values()) + 1e-9, place  # one that can stay is left
        count, size = count - 1, size - model[id][2]
    is_over = count > rule.entries_max > 0 or size > rule.bytes_max > 0
    assert not is_over or len(worth) <= 1
    if not found:
        due_us = worths.prune_due_us
        pruned = {id for id, _ in worths.worthless(NOW_US, 100)}
        sure = {id for id, each in worth.items() if each < rule.prune_below - 1e-9}
        assert sure <= pruned <= {id for id, each in worth.items() if each < rule.prune_below + 1e-9}
        assert not sure or due_us <= NOW_US


changes = st.one_of(
    st.builds(
        memory_pb2.RememberRequest,
        id=names,
        text=st.sampled_from(("short", "a longer text")),
        salience=shares,
        pinned=st.booleans(),
        ttl_ms=st.sampled_from((0, 0, 3_000)),
        embedding=st.sampled_from((b"", b"\0\0\x80?\0\0\0\0")),
    ),
    st.builds(memory_pb2.ForgetRequest, id=names),
    st.builds(memory_pb2.UpdateMemoryRequest, id=names, salience=shares, pinned=st.booleans()),
    st.builds(
        namespace_pb2.SetNamespaceSettingsRequest,
        memories=st.builds(
            namespace_pb2.MemorySettings,
            entries_max=st.integers(0, 5),
            prune_below=st.sampled_from((0.0, 0.2)),
            default_ttl_ms=st.sampled_from((0, 5_000)),
        ),
    ),
    st.tuples(st.sampled_from((recall, answer)), st.lists(names, min_size=1, max_size=3, unique=True)),
    st.just("merge"),
    st.just("fork"),
    st.just("sweep"),
)


def do(shard: Shard, change: Any) -> None:
    if change == "sweep":
        sweep(shard)
    elif change == "fork":
        shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="f"))
    elif change == "merge":
        listed = shard.read(memory_pb2.ListMemoriesRequest(namespace=NAMESPACE)).memories
        request = forgetting_pb2.MergeMemoriesRequest(namespace=NAMESPACE)
        if len(listed) > 1:
            request.keep_id, request.keep_version = listed[0].id, listed[0].provenance.version
            request.ids.append(listed[1].id)
            request.versions.append(listed[1].provenance.version)
            shard.write(request)
    elif isinstance(change, tuple):
        change[0](shard, *change[1])
    else:
        shard.write(change)


def in_mind(machine: Machine, namespace: str) -> Any:
    """What is known of the memories of a namespace, for the one who chooses."""
    space = machine.space(namespace)
    assert space is not None
    projection = space.projection(ForgettingProjection)
    while projection.counting is not None:
        count_on(space)
    worths = projection.worths
    if worths is None:
        return None
    rows = {id: [column[row] for column in worths._columns] for id, row in worths._rows.items()}
    return worths.rules, rows, worths.bytes, worths.is_over


@given(st.lists(st.tuples(changes, st.booleans()), max_size=25))
def test_what_is_kept_in_mind_is_what_a_disk_gives_back(steps: list[tuple[Any, bool]]) -> None:
    shard = Shard()
    shard.machine = Machine(0, LIMITS, Journal())
    shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, default_ttl_ms=0))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    for change, is_in_fork in steps:
        if not isinstance(change, str | tuple):
            change.namespace = FORK if is_in_fork else NAMESPACE
        try:
            do(shard, change)
        except Refused:
            continue
    live = [in_mind(shard.machine, name) for name in (NAMESPACE, FORK)]
    due = shard.machine.due(shard.time_us + 10_000_000, 100)
    machine = reopened(shard)
    found = [in_mind(machine, name) for name in (NAMESPACE, FORK)]
    for before, after in zip(live, found, strict=True):
        assert before is None or after is None or before == after
    commands = {command.request.SerializeToString() for command in due if command.request.ids}
    again = machine.due(shard.time_us + 10_000_000, 100)
    assert commands == {command.request.SerializeToString() for command in again if command.request.ids}
