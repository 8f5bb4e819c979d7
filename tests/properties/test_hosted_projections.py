"""A registered projection against a model: whatever is written, asked and moved, in whatever order."""

from typing import Any, ClassVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.methods import METHODS
from memraft_proto.v1 import projection_pb2
from memraft_server.machine import Command, Machine, Refused
from memraft_server.projections.protocol import Change

FORK = "acme/a@f"
NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("Put"), NAMES, st.integers(0, 9)),
        st.tuples(st.just("Delete"), NAMES, st.none()),
        st.tuples(st.just("PutInFork"), NAMES, st.integers(10, 19)),
        st.tuples(st.just("DeleteInFork"), NAMES, st.none()),
        st.tuples(st.just("step"), st.none(), st.none()),
        st.tuples(st.just("ask"), st.none(), st.none()),
        st.tuples(st.just("move"), st.none(), st.none()),
    ),
    max_size=40,
)


class Latest:
    """What there is; it insists that `old` is what it was told last."""

    name: ClassVar[str] = "latest"
    kinds: ClassVar[tuple[str, ...]] = ("document",)

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.version = 0

    def apply(self, change: Change) -> None:
        assert change.version > self.version
        assert self.values.get(change.name) == change.old
        self.version, self.values[change.name] = change.version, change.value

    def query(self, argument: Any) -> Any:
        return {name: value for name, value in self.values.items() if value is not None}


def apply(machine: Machine, call: str, **fields: Any) -> None:
    method = METHODS[call]
    command = Command(method.kind, "ann", method.request(**fields))
    index = machine.applied_index + 1
    [reply] = machine.apply(index, index * 1000, index, [command])
    assert not isinstance(reply, Refused), reply


def ask(machine: Machine, namespace: str) -> Any:
    while True:
        request = projection_pb2.QueryProjectionRequest(namespace=namespace, projection="latest")
        try:
            found: Any = machine.query("QueryProjection", request)
        except Refused as refused:
            assert refused.reason == "PROJECTION_BUILDING", refused
        else:
            return msgspec.json.decode(found.result)


class World:
    """A machine, all that was written to it, and what its projection must answer."""

    def __init__(self) -> None:
        self.machine = Machine(0)
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.model: dict[str, dict[str, int]] = {"acme/a": {}}

    def write(self, call: str, **fields: Any) -> None:
        self.log.append((call, fields))
        apply(self.machine, call, **fields)

    def step(self, action: str, name: str, value: Any) -> None:
        namespace = FORK if action.endswith("InFork") else "acme/a"
        if namespace not in self.model:
            return
        if action.startswith("Put"):
            self.write("Put", namespace=namespace, key=name, value=b"%d" % value)
            self.model[namespace][name] = value
        elif action.startswith("Delete"):
            self.write("Delete", namespace=namespace, key=name)
            self.model[namespace].pop(name, None)
        elif action == "move":  # as with the snapshot of another replica
            other = Machine(0)
            for call, fields in self.log:
                apply(other, call, **fields)
            self.machine.become(other)
        elif self.machine.hosted is not None and action == "step":
            self.machine.hosted.step()
        elif self.machine.hosted is not None:
            self.ask()

    def ask(self) -> None:
        for namespace, expected in self.model.items():
            assert ask(self.machine, namespace) == expected


@given(before=STEPS, after=STEPS)
def test_it_holds_what_there_is(before: list[Any], after: list[Any]) -> None:
    world = World()
    for step in before:
        world.step(*step)
    world.write("Put", namespace="acme/a", key="a", value=b"5")
    world.model["acme/a"]["a"] = 5
    world.write("Fork", namespace="acme/a", fork="f")
    world.model[FORK] = dict(world.model["acme/a"])
    world.machine.host({"latest": Latest}, lambda fault: None)
    for step in after:
        world.step(*step)
    world.ask()
