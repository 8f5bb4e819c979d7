"""A collection against a model: any mixture of upserts, deletions, index jobs and reads of any moment."""

import json

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memraft_server.projections import rows, segments
from memraft_server.projections.ann import IndexJob
from memraft_server.projections.filters import FilterLimits, compile_filter
from memraft_server.projections.rows import COSINE
from memraft_server.projections.usage import Usage
from memraft_server.projections.vectors import Settings, VectorStore

DIMENSION = 4
FILTER = b'{"even": true}'

IDS = st.integers(0, 15).map(str)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), IDS),
        st.tuples(st.just("bulk"), st.integers(1, 60)),
        st.tuples(st.just("delete"), IDS),
        st.tuples(st.just("poll"), st.none()),
        st.tuples(st.just("install"), st.none()),
        st.tuples(st.just("abandon"), st.none()),
    ),
    max_size=40,
)


def vector_of(version: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A vector for every version, all different in direction."""
    return np.random.default_rng(version).standard_normal(DIMENSION).astype(np.float32)


def metadata_of(id: str) -> bytes:
    return json.dumps({"even": int(id) % 2 == 0}).encode()


class World:
    """A collection, and beside it what it must hold at every version."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.collection = VectorStore(self.usage).create("c", Settings(DIMENSION, COSINE, ""), 0, 0)
        self.collection.rows.seal_rows = 40
        self.version = 0
        self.model: dict[str, int] = {}
        self.past: list[dict[str, int]] = [{}]
        self.job: IndexJob | None = None

    def step(self, action: str, argument: object) -> None:
        if action == "upsert":
            id = str(argument)
            replaced = self.collection.upsert(
                id, vector_of(self.version + 1), metadata_of(id), self.version + 1
            )
            assert replaced == (id in self.model)
            self._grown([id])
        elif action == "bulk":
            ids = [str(i * 7 % 90) for i in range(int(str(argument)))]
            vectors = np.stack([vector_of(self.version + 1 + i) for i in range(len(ids))])
            self.collection.upsert_many(ids, vectors, [metadata_of(id) for id in ids], self.version + 1)
            self._grown(ids)
        elif action == "delete":
            self.version += 1
            assert self.collection.delete(str(argument), self.version) == (str(argument) in self.model)
            self.model.pop(str(argument), None)
            self.past.append(dict(self.model))
        elif action == "poll" and self.job is None:
            self.job = self.collection.rows.index_job()
        elif action in ("install", "abandon") and self.job is not None:
            self.job.run()
            self.job.install() if action == "install" else self.job.abandon()
            self.job = None

    def _grown(self, ids: list[str]) -> None:
        for id in ids:
            self.version += 1
            self.model[id] = self.version
            self.past.append(dict(self.model))

    def check(self, ceiling: int | None, filtered: bool) -> None:
        held = self.model if ceiling is None else self.past[ceiling]
        if filtered:
            held = {id: version for id, version in held.items() if int(id) % 2 == 0}
        query = vector_of(10**6)
        predicate = compile_filter(FILTER, FilterLimits()) if filtered else None
        # All there are: the answer must be exact whatever stage the index is in.
        ids, scores, metadatas, versions = self.collection.search(query, 1000, ceiling, FILTER, predicate)
        assert dict(zip(ids, versions, strict=True)) == held
        assert metadatas == [metadata_of(id) for id in ids]
        assert scores == sorted(scores, reverse=True)
        if ids:
            best = self.collection.search(query, 1, ceiling, FILTER, predicate)
            assert set(best[0]) <= set(held) and len(best[0]) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, moment=st.floats(0, 1))
def test_a_collection_agrees_with_its_model_at_every_moment(
    steps: list[tuple[str, object]], moment: float
) -> None:
    world = World()
    for action, argument in steps:
        world.step(action, argument)
        world.check(None, filtered=False)
    world.check(None, filtered=True)
    world.check(int(moment * world.version), filtered=False)
    world.check(int(moment * world.version), filtered=True)
    assert world.usage.vectors == world.usage.records == len(world.model)
    assert world.collection.count_alive(None) == len(world.model)


def test_quiet_rows_are_fewer_than_what_is_worth_codes() -> None:
    """Else small tails would wait for more rows instead of for a quiet moment."""
    assert segments.QUIET_ROWS < rows.SEAL_ROWS_MIN
