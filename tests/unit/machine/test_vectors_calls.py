"""VectorService through the machine: replies, refusals, reads of the past, what is counted."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message

from memraft_proto.methods import METHODS
from memraft_proto.v1 import common_pb2, vector_pb2
from memraft_server.machine import Command, Limits, Machine, Refused
from memraft_server.machine.validate import check_read, check_write

NAMESPACE = "acme/docs"
LIMITS = Limits()


def floats(*components: float) -> bytes:
    return np.array(components, "<f4").tobytes()


class Shard:
    """A machine whose calls are checked first, as the server does."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.machine = Machine(0, limits)

    def write(self, name: str, **fields: Any) -> Any:
        """Applies one write; raises what it was refused with."""
        method = METHODS[name]
        request: Any = method.request(namespace=NAMESPACE, **fields)
        check_write(method.kind, request, LIMITS)
        index = self.machine.applied_index + 1
        [reply] = self.machine.apply(index, index * 1000, 7, [Command(method.kind, "tester", request)])
        if isinstance(reply, Refused):
            raise reply
        return reply

    def read(self, name: str, at_index: int | None = None, **fields: Any) -> Any:
        request: Any = METHODS[name].request(namespace=NAMESPACE, **fields)
        if at_index is not None:
            request.context.at_index = at_index
        check_read(name, request, LIMITS)
        return self.machine.query(name, request)

    def create(self, collection: str = "docs", dimension: int = 2, **fields: Any) -> Any:
        return self.write("CreateCollection", collection=collection, dimension=dimension, **fields)

    def upsert(self, id: str, *components: float, **fields: Any) -> Any:
        return self.write("UpsertVector", collection="docs", id=id, vector=floats(*components), **fields)

    def search(self, *components: float, **fields: Any) -> Any:
        return self.read("SearchVectors", collection="docs", vector=floats(*components), **fields)


def test_a_search_returns_as_many_of_the_best_as_fit_a_reply() -> None:
    shard = Shard(Limits(reply_bytes_max=10_000))
    shard.create()
    for number in range(10):
        shard.upsert(f"v{number}", 1.0, number / 10, metadata=b'{"a": "%s"}' % (b"x" * 3_000))
    found = shard.search(1.0, 0.0, k=10)
    assert list(found.ids) == ["v0", "v1", "v2"]
    assert len(found.scores) == len(found.metadatas) == len(found.versions) == 3
    assert found.ByteSize() <= 10_000


def refusal(shard: Shard, call: str, name: str, **fields: Any) -> Refused:
    """Makes a call that must be refused, and makes sure that it changed nothing."""
    before = shard.machine.usage("acme").bytes
    with pytest.raises(Refused) as refused:
        getattr(shard, call)(name, **fields)
    assert shard.machine.usage("acme").bytes == before
    return refused.value


def test_the_same_settings_again_change_nothing_and_other_settings_are_refused() -> None:
    shard = Shard()
    first = shard.create(metric=vector_pb2.METRIC_COSINE, fingerprint="model-1")
    assert first.created and first.version == 1 << 20
    again = shard.create(fingerprint="model-1")  # no metric is cosine
    assert not again.created and (again.version, again.time_us) == (first.version, first.time_us)
    for other in ({"dimension": 3}, {"metric": vector_pb2.METRIC_L2}, {"fingerprint": "model-2"}):
        fields = {"collection": "docs", "dimension": 2, "fingerprint": "model-1", **other}
        refused = refusal(shard, "write", "CreateCollection", **fields)
        assert refused.reason == "COLLECTION_MISMATCH"
        assert "'docs' exists with dimension 2, metric cosine, fingerprint 'model-1'" in refused.message


def test_upsert_replaces_and_delete_deletes_and_the_past_stays_readable() -> None:
    shard = Shard()
    shard.create()
    assert not shard.upsert("a", 1, 0, metadata=b'{"n": 1}').replaced
    assert not shard.upsert("b", 0, 1).replaced
    assert shard.upsert("a", -1, 0, metadata=b'{"n": 2}').replaced
    found = shard.search(1, 0)
    assert list(found.ids) == ["b", "a"]
    assert list(found.scores) == pytest.approx([0, -1])
    assert list(found.metadatas) == [b"", b'{"n": 2}']
    assert list(found.versions) == [3 << 20, 4 << 20]
    assert found.stamp.applied_index == 4
    assert shard.write("DeleteVector", collection="docs", id="b").found
    assert not shard.write("DeleteVector", collection="docs", id="b").found
    assert list(shard.search(1, 0).ids) == ["a"]
    past = shard.search(1, 0, at_index=3)
    assert (list(past.ids), list(past.metadatas)) == (["a", "b"], [b'{"n": 1}', b""])
    usage = shard.machine.usage("acme")
    assert usage.vectors == 1 and usage.bytes > 0


def test_collections_are_listed_by_name_as_of_any_moment() -> None:
    shard = Shard()
    shard.create("docs")
    shard.create("code", dimension=3, metric=vector_pb2.METRIC_DOT, fingerprint="m")
    shard.upsert("a", 1, 0)
    now = shard.read("ListCollections").collections
    assert [(c.collection, c.dimension, c.metric, c.fingerprint, c.count) for c in now] == [
        ("code", 3, vector_pb2.METRIC_DOT, "m", 0),
        ("docs", 2, vector_pb2.METRIC_COSINE, "", 1),
    ]
    past = shard.read("ListCollections", at_index=1).collections
    assert [(c.collection, c.count) for c in past] == [("docs", 0)]
    refused = refusal(shard, "read", "SearchVectors", collection="code", vector=floats(1, 2, 3), at_index=1)
    assert refused.reason == "NO_SUCH_COLLECTION" and "as of then" in refused.message


def test_many_at_once_take_consecutive_versions_and_the_last_of_equal_ids_stays() -> None:
    shard = Shard()
    shard.create()
    reply = shard.write(
        "UpsertMany",
        collection="docs",
        ids=["a", "b", "a"],
        vectors=floats(1, 0, 0, 1, -1, 0),
        metadatas=[b"", b'{"k": 1}', b""],
    )
    assert (reply.first_version, reply.count) == (2 << 20, 3)
    found = shard.search(0, 1)
    assert list(found.ids) == ["b", "a"]
    assert list(found.versions) == [(2 << 20) + 1, (2 << 20) + 2]
    assert shard.machine.usage("acme").vectors == 2


def test_filters_choose_by_metadata_on_few_and_on_many() -> None:
    shard = Shard()
    shard.create(dimension=8)
    vectors = np.random.default_rng(3).standard_normal((6000, 8)).astype("<f4")
    metadatas = [b'{"lang": "%s", "n": %d}' % (b"en" if i % 3 else b"de", i) for i in range(6000)]
    ids = [str(i) for i in range(6000)]
    for start in (0, 3000):
        part = slice(start, start + 3000)
        shard.write(
            "UpsertMany",
            collection="docs",
            ids=ids[part],
            vectors=vectors[part].tobytes(),
            metadatas=metadatas[part],
        )
    [job] = shard.machine.index_jobs()
    job.run()
    shard.machine.install(job)
    lengths = np.linalg.norm(vectors, axis=1)
    exact = np.argsort(-(vectors @ vectors[0]) / lengths).tolist()
    for _ in range(2):  # the second time the verdicts are known
        broad = [int(i) for i in shard.search(*vectors[0], filter=b'{"lang": "de"}').ids]
        assert len(set(broad) & {*[i for i in exact if i % 3 == 0][:10]}) >= 9
        narrow = [int(i) for i in shard.search(*vectors[0], filter=b'{"n": {"$lt": 20}}').ids]
        assert narrow == [i for i in exact if i < 20][:10]
        assert not shard.search(*vectors[0], filter=b'{"n": {"$lt": 0}}').ids
        past = shard.search(*vectors[0], filter=b'{"n": {"$gte": 2990}}', at_index=2)
        assert [int(i) for i in past.ids] == [i for i in exact if 2990 <= i < 3000][:10]


def test_metadata_nested_beyond_measure_does_not_keep_others_from_being_found() -> None:
    shard = Shard()
    shard.create()
    for levels in (500, 700, 900, 950, 980):  # somewhere here lies what this interpreter's stack can take
        nested = b'{"lang":' * levels + b'"en"' + b"}" * levels
        try:
            shard.upsert(str(levels), 1, 1, metadata=nested)
        except Refused as refused:
            assert "nested too deeply" in refused.message
    shard.upsert("a", 1, 0, metadata=b'{"lang": "en"}')
    assert list(shard.search(1, 0, filter=b'{"lang": "en"}').ids) == ["a"]


INVALID = "INVALID_ARGUMENT"
MISMATCH = "EMBEDDING_MISMATCH"
VECTOR = {"collection": "docs", "id": "a", "vector": floats(1, 2)}
MANY = {"collection": "docs", "ids": ["a", "b"], "vectors": floats(1, 2, 3, 4)}
SEARCH = {"collection": "docs", "vector": floats(1, 2)}


@pytest.mark.parametrize(
    ("call", "name", "fields", "reason", "told"),
    [
        ("write", "CreateCollection", {"collection": ""}, INVALID, "collection: missing"),
        ("write", "CreateCollection", {"collection": "c"}, INVALID, "dimension: 0, from 1 to 4096"),
        ("write", "CreateCollection", {"collection": "c", "dimension": 4097}, INVALID, "at most 4096|4096"),
        ("write", "CreateCollection", {"collection": "c", "dimension": 2, "metric": 9}, INVALID, "metric: 9"),
        (
            "write",
            "UpsertVector",
            VECTOR | {"collection": "other"},
            "NO_SUCH_COLLECTION",
            "no 'other' in 'acme/docs'",
        ),
        (
            "write",
            "UpsertVector",
            VECTOR | {"vector": floats(1, 2, 3)},
            MISMATCH,
            "2 components, 8 bytes; this one has 12",
        ),
        (
            "write",
            "UpsertVector",
            VECTOR | {"vector": b"12345"},
            INVALID,
            "vector: 5 bytes; 4 bytes (float32)",
        ),
        ("write", "UpsertVector", VECTOR | {"vector": b""}, INVALID, "vector: 0 bytes"),
        (
            "write",
            "UpsertVector",
            VECTOR | {"vector": bytes(4 * 4097)},
            INVALID,
            "vector: 4097 components, at most 4096",
        ),
        (
            "write",
            "UpsertVector",
            VECTOR | {"vector": floats(1, np.nan)},
            INVALID,
            "vector: component 1 is NaN or infinite",
        ),
        (
            "write",
            "UpsertVector",
            VECTOR | {"fingerprint": "m2"},
            MISMATCH,
            "made by 'm1'; this one was made by 'm2'",
        ),
        ("write", "UpsertVector", VECTOR | {"id": "x" * 513}, INVALID, "id: 513 bytes, at most 512"),
        ("write", "UpsertVector", VECTOR | {"metadata": b"[1]"}, INVALID, "metadata: a JSON object"),
        (
            "write",
            "UpsertVector",
            VECTOR | {"metadata": b"{" + b" " * (16 << 10) + b"}"},
            INVALID,
            "at most 16384",
        ),
        ("write", "UpsertMany", MANY | {"vectors": floats(1, 2, 3)}, INVALID, "vectors: 12 bytes for 2 ids"),
        (
            "write",
            "UpsertMany",
            MANY | {"vectors": floats(1, 2, 3, np.inf)},
            INVALID,
            "vectors[1]: component 1 is NaN",
        ),
        ("write", "UpsertMany", MANY | {"vectors": floats(1, 2)}, MISMATCH, "this one has 4 bytes"),
        ("write", "UpsertMany", MANY | {"ids": []}, INVALID, "ids: 0, from 1 to 10000"),
        ("write", "UpsertMany", MANY | {"ids": ["a", ""]}, INVALID, "ids[1]: missing"),
        (
            "write",
            "UpsertMany",
            MANY | {"metadatas": [b"{}"]},
            INVALID,
            "metadatas: 1 elements, but ids has 2",
        ),
        ("write", "UpsertMany", MANY | {"metadatas": [b"{}", b"{"]}, INVALID, "metadatas[1]: not JSON"),
        ("read", "SearchVectors", SEARCH | {"k": 1001}, INVALID, "k: 1001, at most 1000"),
        ("read", "SearchVectors", SEARCH | {"vector": floats(1)}, MISMATCH, "this one has 4 bytes"),
        ("read", "SearchVectors", SEARCH | {"vector": floats(np.nan, 1)}, INVALID, "component 0 is NaN"),
        ("read", "SearchVectors", SEARCH | {"fingerprint": "m2"}, MISMATCH, "'m2'"),
        (
            "read",
            "SearchVectors",
            SEARCH | {"filter": b'{"a": {"$near": 1}}'},
            INVALID,
            "filter: a.$near: no such operator",
        ),
        (
            "read",
            "SearchVectors",
            SEARCH | {"filter": b"{" + b" " * (16 << 10)},
            INVALID,
            "filter: 16385 bytes, at most 16384",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name_and_change_nothing(
    call: str, name: str, fields: dict[str, Any], reason: str, told: str
) -> None:
    shard = Shard()
    shard.create(fingerprint="m1")
    refused = refusal(shard, call, name, **fields)
    assert refused.reason == reason
    assert any(text in refused.message for text in told.split("|"))
    assert not shard.search(1, 2).ids


def test_two_machines_agree_whatever_graphs_they_have() -> None:
    def apply(build: bool) -> Machine:
        shard = Shard()
        shard.create(dimension=4)
        for start in range(0, 12_000, 3000):
            vectors = np.random.default_rng(start).standard_normal((3000, 4)).astype("<f4")
            ids = [str((start + i) % 5000) for i in range(3000)]
            shard.write("UpsertMany", collection="docs", ids=ids, vectors=vectors.tobytes())
            for job in shard.machine.index_jobs() if build else ():
                job.run()
                shard.machine.install(job)
        return shard.machine

    one, other = apply(build=True), apply(build=False)
    assert one.applied_hash == other.applied_hash
    assert vars_of(one.usage("acme")) == vars_of(other.usage("acme"))


def vars_of(usage: Any) -> Sequence[int]:
    return usage.bytes, usage.records, usage.vectors


def test_a_graph_is_built_in_a_thread_while_the_machine_writes_and_searches() -> None:
    shard = Shard()
    shard.create(dimension=16)
    random = np.random.default_rng(1)
    vectors = random.standard_normal((6000, 16)).astype("<f4")
    ids = [str(i) for i in range(6000)]
    shard.write("UpsertMany", collection="docs", ids=ids[:5000], vectors=vectors[:5000].tobytes())
    installed = 0
    following = 5000
    while following < 6000 or installed < 2:
        for job in shard.machine.index_jobs():
            thread = threading.Thread(target=job.run)
            thread.start()
            while thread.is_alive():
                if following < 6000:
                    shard.upsert(ids[following], *vectors[following])
                    following += 1
                assert shard.search(*vectors[following - 1], k=1).ids == [ids[following - 1]]
            thread.join()
            shard.machine.install(job)
            installed += 1
        if following < 6000:
            shard.upsert(ids[following], *vectors[following])
            following += 1
    nearest = [shard.search(*vectors[i], k=1).ids[0] for i in range(0, 6000, 60)]
    assert sum(id == ids[i] for id, i in zip(nearest, range(0, 6000, 60), strict=True)) >= 95


def test_replies_are_the_messages_of_the_contract() -> None:
    shard = Shard()
    replies: list[tuple[str, Message]] = [
        ("CreateCollection", shard.create()),
        ("UpsertVector", shard.upsert("a", 1, 2)),
        ("SearchVectors", shard.search(1, 2)),
        ("ListCollections", shard.read("ListCollections")),
    ]
    for name, reply in replies:
        assert isinstance(reply, METHODS[name].response)
    assert isinstance(shard.search(1, 2).stamp, common_pb2.ReadStamp)
