"""Traces against a model, and read back from a disk at any moment: trees, in order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.v1 import common_pb2, run_pb2, traces_pb2
from memraft_server.machine import Command, Machine
from memraft_server.machine.journal import Journal
from tests.properties.test_machine_store import Disk, apply_step, held

SPACE = "acme/a"
RUNS = ("r1", "r2")
IDS = ("z", "", "", "y", "a", "b", "c", "d", "e\0", "é")

new_traces = st.builds(
    traces_pb2.NewTrace,
    id=st.sampled_from(IDS),
    run=st.sampled_from(("", "", "", "", *RUNS)),
    parent=st.sampled_from(("",) * 16 + IDS),
    parent_item=st.sampled_from((0, 0, 0, 0, 0, 1)),
    attributes=st.sampled_from((b"", b'{"n":1}', b"{")),
    assumption=st.builds(traces_pb2.Assumption, statement=st.sampled_from(("x", "y")), holds=st.booleans()),
)
requests = st.builds(
    traces_pb2.RecordTracesRequest,
    namespace=st.just(SPACE),
    context=st.builds(common_pb2.WriteContext, run=st.sampled_from(RUNS)),
    traces=st.lists(new_traces, min_size=1, max_size=4),
)
Model = dict[str, tuple[str, str]]
"""Id -> (run, parent), in order."""


def expected(model: Model, request: Any, reply: Any) -> Model | None:
    """What there is after a request that can be done; None where it cannot."""
    after, here = dict(model), []
    for item, each in enumerate(request.traces):
        id = each.id or (
            reply.ids[item] if hasattr(reply, "ids") and item < len(reply.ids) else f"new {item}"
        )
        run = each.run or request.context.run
        if each.parent_item > item:
            return None
        parent = here[each.parent_item - 1] if each.parent_item else each.parent
        if id in after or (parent and after.get(parent, ("",))[0] != run):
            return None
        after[id] = (run, parent)
        here.append(id)
    return after


def stored(machine: Machine, index: int | None = None, **wanted: Any) -> Model:
    request = traces_pb2.ListTracesRequest(namespace=SPACE, limit=2, **wanted)
    if index is not None:
        request.context.at_index = index
    found: Model = {}
    while True:
        page: Any = machine.query("ListTraces", request)
        found |= {each.id: (each.run, each.parent) for each in page.traces}
        if not page.next_cursor:
            return found
        request.cursor = page.next_cursor


@given(st.lists(requests, min_size=1, max_size=8), st.data())
def test_traces_are_the_trees_that_a_model_has(log: list[Any], data: st.DataObject) -> None:
    begun = [
        Command(13, "ann", run_pb2.BeginRunRequest(namespace=SPACE, run_id=run, record=run == "r1"))
        for run in RUNS
    ]
    cut = data.draw(st.integers(0, len(log)), "cut")
    never_saved, machine, disk = Machine(0), Machine(0, journal=Journal()), Disk()
    states: dict[int, Model] = {}
    model: Model = {}
    for index, request in enumerate([None, *log], 1):
        step = (1, begun if request is None else [Command(37, "ann", request)])
        replies = apply_step(machine, index, step)
        assert apply_step(never_saved, index, step) == replies
        if request is not None:
            after = expected(model, request, replies[0])
            is_done = not isinstance(replies[0], tuple) and not replies[0].conflict
            assert is_done == (after is not None)
            model = after if after is not None else model
        states[machine.applied_index] = model
        if index == cut + 1:
            disk.save(machine)
            machine = disk.load()
            assert held(machine) == held(never_saved)
    for index, then in states.items():
        assert list(stored(machine, index).items()) == list(then.items())
    for run in RUNS:
        assert stored(machine, run=run) == {id: each for id, each in model.items() if each[0] == run}
    for id in model:
        assert stored(machine, parent=id) == {each: told for each, told in model.items() if told[1] == id}
