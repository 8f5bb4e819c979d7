"""Whatever is written, moved, given up, saved and loaded, in whatever order: each model finds just the
memories that have an embedding by it, now and as of every moment before."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.v1 import memory_pb2, reembed_pb2
from memraft_server.machine import Machine, Refused
from memraft_server.machine.journal import Journal
from tests.properties.test_machine_store import Disk, held
from tests.unit.machine.harness import NAMESPACE, Shard

DIMENSIONS = {"a": 2, "b": 3, "c": 3}
ids = st.sampled_from("xy")
models = st.sampled_from(sorted(DIMENSIONS))
newest_or_any = st.one_of(st.none(), st.none(), models)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("remember"), ids, st.one_of(models, st.just(""))),
        st.tuples(st.just("update"), ids),
        st.tuples(st.just("forget"), ids),
        st.tuples(st.just("begin"), models),
        st.tuples(st.just("store"), ids, newest_or_any),
        st.tuples(st.just("finish"), newest_or_any, st.booleans()),
        st.tuples(st.just("reload")),
    ),
    min_size=8,
    max_size=40,
)


class World:
    """A shard, and beside it what it must have: of each memory the models that made something of it."""

    def __init__(self) -> None:
        self.shard, self.disk = Shard(), Disk()
        self.shard.machine = Machine(0, journal=Journal())
        self.memories: dict[str, set[str]] = {}
        self.main, self.next = "", ""
        self.past: dict[int, dict[str, set[str]]] = {}

    def open(self) -> set[str]:
        return {each for each in (self.main, self.next) if each}

    def write(self, request: Any, is_refused: bool) -> Any:
        request.namespace = NAMESPACE
        if not is_refused:
            return self.shard.write(request)
        with pytest.raises(Refused, match=r"EMBEDDING_MISMATCH|NO_SUCH_MEMORY"):
            self.shard.write(request)
        return None

    def remember(self, id: str, model: str) -> None:
        is_refused = bool(model and self.main and model not in self.open())
        data = vector(model) if model else b""
        self.write(memory_pb2.RememberRequest(id=id, text=id, embedding=data, fingerprint=model), is_refused)
        if not is_refused:
            self.memories[id] = {model} - {""}
            self.main = self.main or model

    def update(self, id: str) -> None:
        self.write(memory_pb2.UpdateMemoryRequest(id=id, kind="k"), id not in self.memories)
        if id in self.memories:
            self.memories[id] &= self.open()

    def forget(self, id: str) -> None:
        self.write(memory_pb2.ForgetRequest(id=id), False)
        self.memories.pop(id, None)

    def begin(self, model: str) -> None:
        is_refused = bool(self.next and model not in self.open())
        asked = reembed_pb2.BeginReembedRequest(dimension=DIMENSIONS[model], fingerprint=model)
        reply = self.write(asked, is_refused)
        if is_refused:
            return
        if not self.main:
            self.main = model
        elif model != self.main and not self.next:
            self.next = model
            for made in self.memories.values():
                made.discard(model)  # a model that was there before begins anew
        assert reply.remaining == sum(model not in made for made in self.memories.values())

    def store(self, id: str, model: str | None) -> None:
        model = model or self.next or self.main or "a"
        found = self.shard.read(memory_pb2.GetMemoryRequest(namespace=NAMESPACE, id=id))
        version = found.memory.provenance.version
        request = reembed_pb2.StoreEmbeddingsRequest(fingerprint=model, embeddings=vector(model))
        request.ids.append(id)
        request.versions.append(version)
        reply = self.write(request, model not in self.open())
        if reply is not None:
            lacked = id in self.memories and model not in self.memories[id]
            assert reply.stored == lacked
            if lacked:
                self.memories[id].add(model)
            assert reply.remaining == sum(model not in made for made in self.memories.values())

    def finish(self, model: str | None, cancel: bool) -> None:
        target = self.next or self.main
        model = model or target or "a"
        request = reembed_pb2.FinishReembedRequest(fingerprint=model, cancel=cancel)
        reply = self.write(request, model != target)
        if reply is None or not self.next:
            return
        left = sum(model not in made for made in self.memories.values())
        assert reply.finished == (cancel or not left)
        if reply.finished:
            self.main, self.next = (self.main if cancel else self.next), ""

    def reload(self) -> None:
        before = held(self.shard.machine)
        self.disk.save(self.shard.machine)
        self.shard.machine = self.disk.load()
        assert held(self.shard.machine) == before

    def look(self) -> None:
        expected = {
            model: {id for id, made in self.memories.items() if model in made} for model in self.open()
        }
        self.check(expected, {})
        live = sum(model in self.open() for made in self.memories.values() for model in made)
        assert self.shard.machine.usage("acme").vectors == live
        self.past[self.shard.machine.applied_index] = expected

    def check(self, expected: dict[str, set[str]], at: dict[str, int]) -> None:
        for model in DIMENSIONS:
            asked = memory_pb2.RecallRequest(namespace=NAMESPACE, embedding=vector(model), fingerprint=model)
            if model in expected:
                found = self.shard.read(asked, **at).hits
                assert {hit.memory.id for hit in found} == expected[model], (model, at)
            elif expected:
                with pytest.raises(Refused, match="EMBEDDING_MISMATCH"):
                    self.shard.read(asked, **at)


def vector(model: str) -> bytes:
    return np.ones(DIMENSIONS[model], "<f4").tobytes()


@given(steps)
def test_each_model_finds_what_it_made_now_and_then(chosen: list[tuple[Any, ...]]) -> None:
    world = World()
    world.remember("x", "a")
    for name, *arguments in chosen:
        getattr(world, name)(*arguments)
        world.look()
    for _ in range(2):
        for index, expected in world.past.items():
            world.check(expected, {"at_index": index})
        world.reload()
