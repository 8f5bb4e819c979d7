"""The graph against a plain model of it: now, in every past, and after it was saved and loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.v1 import graph_pb2
from memraft_server.machine import Command, Machine, Refused
from memraft_server.machine.journal import Journal
from tests.properties.test_machine_store import Disk
from tests.unit.machine.harness import KINDS

SPACE = "acme/a"
IDS = ("a", "b", "c", "d")
TYPES = ("t", "u")
DOMAINS = ("", "x", "y")
TIMES_US = (None, 0, 5, 15)

ids, types, domains = st.sampled_from(IDS), st.sampled_from(TYPES), st.sampled_from(DOMAINS)
weights = st.sampled_from((0.0, 1.0, 2.5))
properties = st.sampled_from((b"", b'{"n":1}', b'{"n":2,"salience":0.5}'))

Triple = tuple[str, str, str]


@dataclass
class Model:
    """Nodes (domain, forgotten), what merged ids mean, and edges (weight, from, until)."""

    nodes: dict[str, tuple[str, bool]] = field(default_factory=dict)
    means: dict[str, str] = field(default_factory=dict)
    edges: dict[Triple, tuple[float, int, int]] = field(default_factory=dict)

    def copy(self) -> Model:
        return Model(dict(self.nodes), dict(self.means), dict(self.edges))

    def resolve(self, id: str) -> str:
        at = id
        while at in self.means and at not in self.nodes:
            at = self.means[at]
        return at if at in self.nodes else id

    def of(self, id: str) -> list[Triple]:
        return [triple for triple in self.edges if id in (triple[0], triple[2])]

    def apply(self, request: Any) -> str:
        """Applies a command; returns the reason of its refusal, empty for none."""
        return getattr(self, "_" + type(request).__name__)(request)  # type: ignore[no-any-return]

    def _UpsertNodeRequest(self, request: Any) -> str:
        id = self.resolve(request.id)
        self.means.pop(id, None)
        self.nodes[id] = (request.domain, self.nodes.get(id, ("", False))[1])
        return ""

    def _DeleteNodeRequest(self, request: Any) -> str:
        id = self.resolve(request.id)
        if id in self.nodes and self.of(id) and not request.detach:
            return "NODE_HAS_EDGES"
        if self.nodes.pop(id, None) is not None:
            for triple in self.of(id):
                del self.edges[triple]
        return ""

    def _UpsertEdgeRequest(self, request: Any) -> str:
        source, target = self.resolve(request.source), self.resolve(request.target)
        if source not in self.nodes or target not in self.nodes:
            return "NO_SUCH_NODE"
        self.edges[source, request.type, target] = (
            request.weight,
            request.valid_from_us,
            request.valid_until_us,
        )
        return ""

    def _DeleteEdgeRequest(self, request: Any) -> str:
        self.edges.pop((self.resolve(request.source), request.type, self.resolve(request.target)), None)
        return ""

    def _ForgetNodeRequest(self, request: Any) -> str:
        id = self.resolve(request.id)
        if id in self.nodes:
            self.nodes[id] = (self.nodes[id][0], not request.restore)
        return ""

    def _MergeNodesRequest(self, request: Any) -> str:
        stays, goes = self.resolve(request.id), self.resolve(request.merged)
        if stays not in self.nodes or goes not in self.nodes:
            return "NO_SUCH_NODE"
        if stays == goes:
            return "INVALID_ARGUMENT"
        self.nodes[stays] = (self.nodes[stays][0] or self.nodes[goes][0], self.nodes[stays][1])
        del self.nodes[goes]
        self.means[goes] = stays
        moved = sorted(self.of(goes), key=lambda each: (each[0] != goes, each[1], each[2], each[0]))
        for triple in moved:
            fields = self.edges.pop(triple)
            source, type_, target = (stays if part == goes else part for part in triple)
            if not (source == target and triple[0] != triple[2]):
                self.edges.setdefault((source, type_, target), fields)
        return ""

    def neighbours(self, id: str, which: Any) -> list[Triple]:
        id = self.resolve(id)
        if id not in self.nodes or (self.nodes[id][1] and not which.include_forgotten):
            return []

        def passes(triple: Triple, other: str) -> bool:
            _, from_us, until_us = self.edges[triple]
            domain, is_forgotten = self.nodes[other]
            at_us = which.valid_at_us
            return (
                (not which.types or triple[1] in which.types)
                and (not which.domain or domain == which.domain)
                and (not is_forgotten or which.include_forgotten)
                and (
                    not which.HasField("valid_at_us")
                    or (from_us <= at_us and (at_us < until_us or not until_us))
                )
            )

        out = sorted(t for t in self.edges if t[0] == id and passes(t, t[2]))
        into = sorted((t[1], t[0], t) for t in self.edges if t[2] == id and t[0] != id and passes(t, t[0]))
        loop = (
            []
            if which.direction != graph_pb2.DIRECTION_IN
            else [(t[1], id, t) for t in self.edges if t[0] == t[2] == id and passes(t, id)]
        )
        arriving = [each[-1] for each in sorted([*into, *loop])]
        if which.direction == graph_pb2.DIRECTION_BOTH:
            return out + arriving
        return arriving if which.direction == graph_pb2.DIRECTION_IN else out

    def crossing(self) -> list[Triple]:
        found = []
        for triple in sorted(self.edges, key="\1".join):
            (one, one_hidden), (other, other_hidden) = self.nodes[triple[0]], self.nodes[triple[2]]
            if one and other and one != other and not one_hidden and not other_hidden:
                found.append(triple)
        return found


commands: st.SearchStrategy[Any] = st.one_of(
    st.builds(graph_pb2.UpsertNodeRequest, id=ids, domain=domains, properties=properties),
    st.builds(
        graph_pb2.UpsertEdgeRequest,
        source=ids,
        type=types,
        target=ids,
        weight=weights,
        valid_from_us=st.sampled_from((0, 5)),
        valid_until_us=st.sampled_from((0, 15)),
    ),
    st.builds(graph_pb2.DeleteEdgeRequest, source=ids, type=types, target=ids),
    st.builds(graph_pb2.DeleteNodeRequest, id=ids, detach=st.booleans()),
    st.builds(graph_pb2.ForgetNodeRequest, id=ids, restore=st.booleans()),
    st.builds(graph_pb2.MergeNodesRequest, id=ids, merged=ids),
)
every_node = [graph_pb2.UpsertNodeRequest(id=id) for id in IDS]
logs = st.lists(st.lists(commands, max_size=4), max_size=8).map(lambda log: [every_node, *log])


def filters() -> list[graph_pb2.EdgeFilter]:
    return [
        graph_pb2.EdgeFilter(
            direction=number % 3 + 1,
            types=["t"] if number % 4 == 0 else [],
            domain="x" if number % 5 == 0 else "",
            valid_at_us=time_us,
            include_forgotten=number % 2 == 0,
        )
        for number, time_us in zip(count(), TIMES_US * 3, strict=False)
    ]


def check(machine: Machine, model: Model, at_index: int | None) -> None:
    def ask(name: str, request: Any) -> Any:
        request.namespace = SPACE
        if at_index is not None:
            request.context.at_index = at_index
        return machine.query(name, request)

    for id in IDS:
        found = ask("GetNode", graph_pb2.GetNodeRequest(id=id, include_forgotten=True))
        resolved = model.resolve(id)
        assert found.HasField("node") == (resolved in model.nodes)
        if found.HasField("node"):
            expected = (resolved, *model.nodes[resolved])
            assert (found.node.id, found.node.domain, found.node.forgotten) == expected
        for which in filters():
            answer = ask("Neighbours", graph_pb2.NeighboursRequest(id=id, which=which))
            triples = [(edge.source, edge.type, edge.target) for edge in answer.edges]
            assert triples == model.neighbours(id, which)
            for triple, edge in zip(triples, answer.edges, strict=True):
                assert (edge.weight, edge.valid_from_us, edge.valid_until_us) == model.edges[triple]
    crossing = ask("CrossDomainEdges", graph_pb2.CrossDomainEdgesRequest())
    assert [(edge.source, edge.type, edge.target) for edge in crossing.edges] == model.crossing()
    for domain in DOMAINS:
        listed = ask("ListNodes", graph_pb2.ListNodesRequest(domain=domain))
        expected_ids = [
            id for id, (of, hidden) in sorted(model.nodes.items()) if domain in ("", of) and not hidden
        ]
        assert [node.id for node in listed.nodes] == expected_ids


@given(logs, st.data())
def test_graph_and_model_agree_now_in_every_past_and_after_a_load(
    log: list[list[Any]], data: st.DataObject
) -> None:
    machine, model, disk = Machine(0, journal=Journal()), Model(), Disk()
    seen = [model.copy()]
    cut = data.draw(st.integers(0, len(log)), "cut")
    for index, entry in enumerate(log, 1):
        requests = []
        for drawn in entry:
            request = type(drawn).FromString(drawn.SerializeToString())
            request.namespace = SPACE
            requests.append(request)
        expected = [model.apply(request) for request in requests]
        commands = [Command(KINDS[type(request)], "alice", request) for request in requests]
        replies = machine.apply(index, 1_000 * index, index, commands)
        assert [each.reason if isinstance(each, Refused) else "" for each in replies] == expected
        check(machine, model, None)
        seen.append(model.copy())
        if index == cut:
            disk.save(machine)
            machine = disk.load()
            check(machine, model, None)
    for index, past in enumerate(seen):
        check(machine, past, index)


objects = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.none() | st.integers(-5, 5) | st.sampled_from(("x", "y")),
        lambda inner: (
            st.dictionaries(st.sampled_from("abc"), inner, max_size=2) | st.lists(inner, max_size=2)
        ),
        max_leaves=5,
    ),
    max_size=3,
)


@given(objects, objects)
def test_a_patch_does_what_rfc_7396_says(target: dict[str, Any], change: dict[str, Any]) -> None:
    from memraft_server.projections.merging import patch

    def merged(target: Any, change: Any) -> Any:  # The pseudocode of the RFC's section 2.
        if not isinstance(change, dict):
            return change
        result = dict(target) if isinstance(target, dict) else {}
        for name, value in change.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = merged(result.get(name), value)
        return result

    done = patch(msgspec.json.encode(target), msgspec.json.encode(change))
    assert msgspec.json.decode(done) == merged(target, change)
