"""Whatever is written afterwards: a recall as of a moment finds what it found then, and every answer holds to
its promises."""

from random import Random
from typing import Any

import numpy as np
import pytest

from memraft_proto.methods import METHODS
from memraft_proto.v1 import memory_pb2
from memraft_server.machine import Command, Limits, Machine, Refused
from memraft_server.machine.validate import check_read, check_write

SPACE = "acme/model"
LIMITS = Limits()
WORDS = ("boat", "tea", "Ann", "Bob", "green", "seven", "7", "not", "harbour", "train", "late", "when", "May")
ENTITIES = ("", "Ann", "Bob", "harbour")
FIELDS = ("text", "vector", "passage", "salience", "recency", "graph", "dated", "diversity", "half_life_days")
OPERATIONS = 120


class World:
    """A machine, what was asked of it when, and what it answered."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.machine = Machine(0, LIMITS)
        self.now_us = 1_700_000_000_000_000
        self.spaces = [SPACE]
        self.asked: list[tuple[int, Any, Any]] = []

    def write(self, name: str, **fields: Any) -> None:
        method = METHODS[name]
        request: Any = method.request(**{"namespace": self.random.choice(self.spaces), **fields})
        check_write(method.kind, request, LIMITS)
        self.now_us += self.random.choice((0, 1_000_000, 86_400_000_000))
        index = self.machine.applied_index + 1
        [reply] = self.machine.apply(index, self.now_us, 7, [Command(method.kind, "alice", request)])
        assert not isinstance(reply, Refused) or reply.reason == "NO_SUCH_MEMORY", reply

    def text(self) -> str:
        return " ".join(self.random.choices(WORDS, k=self.random.randint(1, 8))) + self.random.choice(
            ("", "?")
        )

    def vector(self) -> dict[str, Any]:
        components = [self.random.gauss(0, 1) for _ in range(4)]
        if self.random.random() < 0.2:
            return {}
        return {"embedding": np.array(components, "<f4").tobytes(), "fingerprint": "m"}

    def labels(self) -> dict[str, Any]:
        choice = self.random.choice
        return {"about": choice(ENTITIES), "kind": choice(("", "fact", "profile"))}

    def change(self) -> None:
        id = f"m{self.random.randrange(30)}"
        kind = self.random.random()
        if kind < 0.7:
            more = {
                "thread": self.random.choice(("", "a", "b")),
                "speaker": self.random.choice(("", "Ann", "Bob")),
            }
            self.write("Remember", id=id, text=self.text(), salience=self.random.random(), **self.vector(),
                       **self.labels(), **more)  # fmt: skip
        elif kind < 0.8:
            self.write("Forget", id=id)
        elif kind < 0.9:
            self.write("UpdateMemory", id=id, **self.labels())
        elif kind < 0.93 and len(self.spaces) < 4:
            parent, name = self.random.choice(self.spaces), f"f{len(self.spaces)}"
            self.write("Fork", namespace=parent, fork=name)
            self.spaces.append(f"{parent}@{name}")
        else:
            source, target = self.random.sample(ENTITIES[1:], 2)
            self.write("UpsertNode", namespace=SPACE, id=source)
            self.write("UpsertNode", namespace=SPACE, id=target)
            self.write("UpsertEdge", namespace=SPACE, source=source, type="knows", target=target)

    def request(self) -> Any:
        choice, fields = self.random.choice, dict[str, Any](self.vector())
        if not fields or self.random.random() < 0.8:
            fields["query"] = self.text() + choice(("", " yesterday", " last week"))
        if self.random.random() < 0.5:
            given = {name: self.random.random() for name in self.random.sample(FIELDS, 3)}
            fields["parameters"] = memory_pb2.RecallParameters(
                fusion=choice(memory_pb2.Fusion.keys()), graph_depth=2, **given
            )
        if self.random.random() < 0.4:
            fields |= self.labels()
            fields["about_hops"] = self.random.randrange(3) if fields["about"] else 0
        fields["k"] = choice((1, 3, 10, 40))
        fields["tokens"] = choice((0, 0, 0, 9))
        return memory_pb2.RecallRequest(namespace=choice(self.spaces), **fields)

    def ask(self, request: Any) -> Any:
        check_read("Recall", request, LIMITS)
        return self.machine.query("Recall", request)


def found(response: Any) -> list[tuple[str, int, Any]]:
    return [
        (hit.memory.id, hit.memory.provenance.version, pytest.approx(hit.score, abs=1e-5))
        for hit in response.hits
    ]


def hold_promises(world: World, request: Any, response: Any) -> None:
    scores = [hit.score for hit in response.hits]
    ids = [hit.memory.id for hit in response.hits]
    assert len(ids) == len(set(ids)) <= request.k
    why = response.signals
    assert len(why.counts) == len(ids) and sum(why.counts) == len(why.shares)
    start = 0
    for score, count in zip(scores, why.counts, strict=True):
        assert sum(why.shares[start : start + count]) == pytest.approx(score, abs=1e-5)
        assert score <= 1 + 1e-5
        start += count
    if not request.tokens and not request.parameters.diversity:
        assert scores == sorted(scores, reverse=True)
    if request.tokens:
        assert sum(-(-len(hit.memory.text) // 4) for hit in response.hits) <= request.tokens
    for hit in response.hits:
        assert not request.kind or hit.memory.kind == request.kind
        assert not request.about or request.about_hops or hit.memory.about == request.about
        current = METHODS["GetMemory"].request(namespace=request.namespace, id=hit.memory.id)
        read: Any = world.machine.query("GetMemory", current)
        assert read.memory == hit.memory


@pytest.mark.parametrize("seed", range(12))
def test_a_recall_of_the_past_finds_what_was_found_then(seed: int) -> None:
    world = World(seed)
    for _ in range(OPERATIONS):
        world.change()
        request = world.request()
        response = world.ask(request)
        hold_promises(world, request, response)
        world.asked.append((world.machine.applied_index, request, response))
    assert sum(len(response.hits) for _, _, response in world.asked) > OPERATIONS
    for index, request, response in world.asked:
        request.context.at_index = index
        assert found(world.ask(request)) == found(response), f"index {index}: {request}"
