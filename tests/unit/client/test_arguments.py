"""What a call cannot mean is refused before it is sent, by an exception of ours that names the argument."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest

from memraft import (
    AsyncMemory,
    AtInFuture,
    ClosedError,
    ConfigurationError,
    EmbeddingMismatch,
    InvalidArgument,
    Memory,
)
from memraft.embedders import HashedNgrams
from memraft.types import Restored

NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture
def m() -> Iterator[Memory]:
    with Memory(namespace="acme/arguments") as memory:
        memory.create_collection("c", 3)
        yield memory


# -- vectors: only their bytes are sent ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "vectors", "says"),
    [
        (["a", "b"], [[1, 2], [3, 4], [5, 6]], r"2 ids.*\(3, 2\)"),
        (["a"], [[1, 2, 3], [4, 5, 6]], r"1 ids.*\(2, 3\)"),
        (["a", "b"], np.zeros((1, 6)), r"2 ids.*\(1, 6\)"),
        ("ab", [[1, 2, 3], [4, 5, 6]], "ids must be a sequence"),
        (["a", 5], [[1, 2, 3], [4, 5, 6]], r"ids\[1\]"),
    ],
)
def test_vectors_are_one_row_for_each_id(m: Memory, ids: Any, vectors: Any, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        m.upsert_many("c", ids, vectors)
    with pytest.raises(InvalidArgument, match=says), m.batch() as batch:
        batch.upsert_many("c", ids, vectors)
    assert m.collections()[0].count == 0


@pytest.mark.parametrize(
    ("metadatas", "says"),
    [([], "2 ids, not 0"), ([{}], "2 ids, not 1"), ([{}, []], r"metadatas\[1\]"), ({"a": {}}, "metadatas")],
)
def test_metadatas_are_one_object_for_each_id(m: Memory, metadatas: Any, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        m.upsert_many("c", ["a", "b"], np.ones((2, 3)), metadatas=metadatas)


# -- JSON has no word for NaN --------------------------------------------------------------------------


@dataclasses.dataclass
class Reading:
    celsius: float
    note: str | None = None


@pytest.mark.parametrize("number", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("value", lambda m, bad: m.put("k", bad)),
        ("value", lambda m, bad: m.put("k", {"a": [1, None, bad]})),
        ("value", lambda m, bad: m.put("k", Reading(bad))),
        ("value", lambda m, bad: m.put("k", {"a": (bad,), "b": msgspec.Raw(b"null")})),
        ("values", lambda m, bad: m.put_many({"a": 1, "b": {"c": bad}})),
        ("payload", lambda m, bad: m.append("s", {"n": bad})),
        ("payloads", lambda m, bad: m.append_many("s", [1, {"n": bad}])),
        ("value", lambda m, bad: m.cas("n", [bad], expected_version=0)),
        ("metadata", lambda m, bad: m.upsert("c", "a", [1, 2, 3], metadata={"x": bad})),
        ("metadatas", lambda m, bad: m.upsert_many("c", ["a"], [[1, 2, 3]], metadatas=[{"x": bad}])),
        ("metadata", lambda m, bad: m.remember("tea", metadata={"x": bad})),
        ("filter", lambda m, bad: m.recall("tea", filter={"x": {"$lt": bad}})),
        ("inputs", lambda m, bad: m.begin_run("r", inputs={"x": bad})),
        ("outputs", lambda m, bad: m.end_run("r", outputs={"x": bad})),
    ],
)
def test_a_number_that_is_not_finite_is_not_stored_as_null(
    m: Memory, number: float, argument: str, call: Callable[[Memory, float], object]
) -> None:
    with pytest.raises(InvalidArgument, match=rf"^{argument}\b.* is {number}\b"):
        call(m, number)
    assert not m.list() and not m.streams() and not m.runs()


def test_null_and_whatever_reads_like_it_is_stored(m: Memory) -> None:
    for value in (None, "null", {"null": [None, 1.5]}, [[], {}, "nan"], {"a": {1, 2}}):
        m.put("k", value)
        m.append("s", value)
    assert m.get("k") == {"a": [1, 2]}
    m.put("k", Reading(21.5))
    assert m.get("k") == {"celsius": 21.5, "note": None}
    m.put("k", [None, msgspec.Raw(b'{"a": null}')])
    assert m.get("k") == [None, {"a": None}]


@pytest.mark.parametrize("before", range(6))
def test_one_of_very_many_numbers_that_is_not_finite_is_found_wherever_it_is(m: Memory, before: int) -> None:
    # Long texts are looked through in parts of 32 KiB: this is where the second one ends.
    values: list[Any] = ["n" * 1_000, {"nu": "nul"}] * 63 + ["u" * (1_648 + before), NAN, "l" * 10_000]
    with pytest.raises(InvalidArgument, match=r"^payloads is nan"):
        m.append_many("s", values)
    values[-2] = 1.5
    assert m.append_many("s", values).count == len(values)


def test_it_says_where_the_number_is(m: Memory) -> None:
    with pytest.raises(InvalidArgument, match=r"value\['rows'\]\[2\]\['x'\] is nan"):
        m.put("k", {"note": None, "rows": [1, 2, {"x": NAN}]})


# -- a batch is sent once ------------------------------------------------------------------------------


def test_a_batch_is_over_after_its_block(m: Memory) -> None:
    batch = m.batch()
    with batch:
        batch.append("s", 1)
    uses: list[Callable[[], object]] = [lambda: batch.append("s", 2), batch.__enter__]
    for use in uses:
        with pytest.raises(ClosedError, match="batch is over"):
            use()
    assert len(batch.results) == len(batch) == 1
    assert len(m.events("s")) == 1


def test_a_batch_that_was_given_up_stays_so(m: Memory) -> None:
    batch = m.batch()
    with pytest.raises(KeyError), batch:
        batch.append("s", 1)
        raise KeyError
    with pytest.raises(ClosedError, match="batch is over"), batch:
        pass
    assert not m.events("s")


def test_blocks_of_one_batch_do_not_nest(m: Memory) -> None:
    with m.batch() as batch:
        batch.append("s", 1)
        with pytest.raises(InvalidArgument, match="under way"), batch:
            pass
    assert len(m.events("s")) == 1


# -- nothing is taken for a default that does not say so -----------------------------------------------


@pytest.mark.parametrize("count", [0, -5, None, "3", 1.5])
@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("k", lambda m, n: m.search("c", [1, 2, 3], k=n)),
        ("k", lambda m, n: m.search("c", [1, 2, 3], k=n, consistency="linearizable")),
        ("limit", lambda m, n: m.list(limit=n)),
        ("limit", lambda m, n: m.history("k", limit=n)),
        ("limit", lambda m, n: m.events("s", limit=n)),
        ("limit", lambda m, n: m.streams(limit=n)),
        ("limit", lambda m, n: m.memories(limit=n)),
        ("limit", lambda m, n: m.runs(limit=n)),
    ],
)
def test_how_many_is_one_at_least(
    m: Memory, count: Any, argument: str, call: Callable[[Memory, Any], object]
) -> None:
    with pytest.raises(InvalidArgument, match=f"^{argument} must be an integer from 1, not "):
        call(m, count)
    assert call(m, np.int64(1)) is not None


@pytest.mark.parametrize("count", [0, -5, "3", 1.5])
@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("k", lambda m, n: m.recall("tea", k=n)),
        ("tokens", lambda m, n: m.recall("tea", tokens=n)),
        ("rerank_k", lambda m, n: m.recall("tea", rerank=lambda _, texts: [0.0] * len(texts), rerank_k=n)),
    ],
)
def test_what_a_recall_may_leave_out_is_one_at_least_where_it_is_given(
    m: Memory, count: Any, argument: str, call: Callable[[Memory, Any], object]
) -> None:
    with pytest.raises(InvalidArgument, match=f"^{argument} must be an integer from 1, not "):
        call(m, count)


@pytest.mark.parametrize(
    ("says", "call"),
    [
        ("expected_version", lambda m: m.cas("n", 1, expected_version=None)),
        ("expected_version", lambda m: m.cas_remove("n", expected_version=None)),
        ("metadata must be an object", lambda m: m.remember("tea", metadata=[])),
        ("metadata must be an object", lambda m: m.upsert("c", "a", [1, 2, 3], metadata=[])),
        ("metadata must be an object", lambda m: m.upsert("c", "a", [1, 2, 3], metadata=0)),
        ("filter must be an object", lambda m: m.recall("tea", filter="")),
        ("salience", lambda m: m.remember("tea", salience=None)),
        ("consistency", lambda m: m.list(consistency="")),
        ("consistency", lambda m: m.scoped(consistency="")),
    ],
)
def test_nothing_is_no_value(m: Memory, says: str, call: Callable[[Memory], object]) -> None:
    with pytest.raises(InvalidArgument, match=says):
        call(m)


# -- no exception but ours -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "call"),
    [
        ("key must be a str", lambda m: m.get(["a"])),
        ("key must be a str", lambda m: m.get({})),
        ("consistency", lambda m: m.get("a", consistency=["session"])),
        ("metric", lambda m: m.create_collection("d", 2, metric=["l2"])),
        ("status", lambda m: m.end_run("r", ["failed"])),
        ("values must be a mapping", lambda m: m.put_many([("a", 1)])),
        ("delete must be a sequence", lambda m: m.put_many({"a": 1}, delete=5)),
        ("keys must be a sequence", lambda m: m.get_many(None)),
        (r"keys\[1\] must be a str", lambda m: m.get_many(["a", 5])),
        ("payloads must be a sequence", lambda m: m.append_many("s", None)),
        ("payloads must be a sequence", lambda m: m.append_many("s", 5)),
        ("payloads must be a sequence", lambda m: m.append_many("s", "text")),
        ("payloads must be a sequence", lambda m: m.append_many("s", {"n": 1})),
        ("type must be a sequence", lambda m: m.append_many("s", [1], type=5)),
        (r"ttl_ms must be an integer from 0 to .*, not -5$", lambda m: m.put("a", 1, ttl_ms=-5)),
        ("ttl_ms must be an integer from 0", lambda m: m.put_many({"a": 1}, ttl_ms=-5)),
        ("ttl_ms must be an integer from 0", lambda m: m.put_many({"a": 1}, ttl_ms="")),
        ("embedding must have one number at least", lambda m: m.remember("tea", embedding=[])),
        (r"if_version must be an integer from 0 to 2\*\*64-1", lambda m: m.put("a", 1, if_version=-5)),
        ("from_sequence must be an integer from 1", lambda m: m.events("s", from_sequence=-5)),
        ("dimension must be an integer from 0", lambda m: m.create_collection("d", -5)),
        ("key must be a str that UTF-8 can encode", lambda m: m.put("\ud800", 1)),
        ("text must be a str", lambda m: m.remember(None)),
        ("query must be a str", lambda m: m.recall(5)),
    ],
)
def test_a_malformed_argument_is_named(m: Memory, says: str, call: Callable[[Memory], object]) -> None:
    with pytest.raises(InvalidArgument, match=says):
        call(m)


@pytest.mark.parametrize(
    ("error", "says", "arguments"),
    [
        (ConfigurationError, "'commit' or 'relaxed', not 'none'", {"durability": "none"}),
        (ConfigurationError, "for a memory in a directory: give path=", {"durability": "relaxed"}),
        (ConfigurationError, "address", {"target": 5, "insecure": True}),
        (ConfigurationError, "address", {"target": [None], "insecure": True}),
        (ConfigurationError, "path", {"path": 5}),
        (ConfigurationError, "path must not be empty", {"path": ""}),
        (ConfigurationError, "certs", {"target": "n1:1", "certs": 5}),
        (ConfigurationError, "certs must not be empty", {"target": "n1:1", "certs": ""}),
        (ConfigurationError, "timeout_s", {"timeout_s": "5"}),
        (ConfigurationError, "timeout_s", {"timeout_s": NAN}),
        (ConfigurationError, "timeout_s", {"timeout_s": INFINITY}),
        (ConfigurationError, "embedder", {"embedder": 5}),
        (InvalidArgument, "consistency", {"consistency": ["session"]}),
        (InvalidArgument, "segment '' of 'bad//ns': 1 to 63", {"namespace": "bad//ns"}),
        (InvalidArgument, "namespace", {"namespace": ""}),
        (InvalidArgument, "namespace", {"namespace": "a b"}),
        (InvalidArgument, "namespace", {"namespace": 5}),
        (InvalidArgument, "agent", {"agent": 0}),
    ],
)
def test_a_memory_is_not_opened_on_what_cannot_be(
    error: type[Exception], says: str, arguments: dict[str, Any]
) -> None:
    for kind in (Memory, AsyncMemory):
        with pytest.raises(error, match=says):
            kind(**arguments)


def test_a_view_s_namespace_is_checked_too(m: Memory) -> None:
    with pytest.raises(InvalidArgument, match="bad//ns"):
        m.scoped("bad//ns")


# -- moments ------------------------------------------------------------------------------------------


def test_a_moment_in_the_future_is_told_as_the_caller_gave_it(m: Memory) -> None:
    with pytest.raises(AtInFuture, match=r"^at: 2100-01-01T00:00:00\+00:00 lies .* it is 20\d\d-\S+\+00:00 "):
        m.get("k", at=datetime(2100, 1, 1, tzinfo=UTC))
    with pytest.raises(AtInFuture, match=r"^at: 1000000 is above"):
        m.get("k", at=1_000_000)


def test_what_was_written_is_a_moment_too(m: Memory) -> None:
    first, many = m.put("k", 1), m.put_many({"k": 2, "l": 2})
    last = m.put("k", 3)
    assert [m.get("k", at=at) for at in (first, many, last, m.record("k"))] == [1, 2, 3, 3]
    seen = m.list()
    m.put("k", 4)
    assert m.get("k", at=seen) == 3
    assert m.fork("f", at=many).get("k") == 2
    assert [change.name for change in m.diff(first, many)] == ["k", "l"]
    for nothing in ("k", True, -1, 1.5, object()):
        with pytest.raises(
            InvalidArgument, match=r"at must be an aware datetime, a log index .* or something"
        ):
            m.get("k", at=nothing)  # type: ignore[arg-type]


def test_a_moment_before_all_others_is_refused(m: Memory) -> None:
    with pytest.raises(InvalidArgument, match=r"^at: 1960-01-01\S* is before 1970"):
        m.get("k", at=datetime(1960, 1, 1, tzinfo=UTC))


# -- what nothing is near ------------------------------------------------------------------------------


def test_an_empty_query_is_refused(m: Memory) -> None:
    with pytest.raises(InvalidArgument, match="query must not be empty"):
        m.recall("")


def test_a_query_without_words_finds_nothing(m: Memory) -> None:
    written = m.remember("likes tea")
    for query in ("?!", "  ", "\N{HOT BEVERAGE}"):
        hits = m.recall(query)
        assert not hits and hits.log_index == written.log_index
    assert m.recall("tea")[0].id == written.id


@pytest.mark.parametrize(
    ("says", "call"),
    [
        ("rerank must be callable, not 5", lambda m: m.recall("tea", rerank=5)),
        ("memories must be a mapping of names to numbers, not 5", lambda m: m.set_settings(memories=5)),
        ("memories must be texts or mappings, not 5", lambda m: m.remember_many(5)),
        (
            r"memories\[1\]: there is no 'body'; there are text, ",
            lambda m: m.remember_many(["a", {"body": "b"}]),
        ),
        (r"memories\[0\] has no text", lambda m: m.remember_many([{"about": "tea"}])),
        (r"memories\[1\] must be a text or a mapping with one, not 5", lambda m: m.remember_many(["tea", 5])),
        ("dry_run must be a bool, not None", lambda m: m.consolidate(dry_run=None)),
    ],
)
def test_what_only_the_client_sees_is_named_where_it_is_wrong(
    m: Memory, says: str, call: Callable[[Memory], object]
) -> None:
    with pytest.raises(InvalidArgument, match=says):
        call(m)
    assert not m.memories()


def test_another_embedder_is_named_beside_the_one_that_a_namespace_has(m: Memory) -> None:
    m.remember("tea")
    says = r"256 components, .* this one has 3072 bytes .*'static-minilm-l6-v1:.*'.*'hashed-ngrams-v1:768'"
    with pytest.raises(EmbeddingMismatch, match=says):
        m.with_embedder(HashedNgrams()).recall("tea")


def test_the_asynchronous_client_refuses_the_same() -> None:
    async def use() -> None:
        async with AsyncMemory() as memory:
            with pytest.raises(InvalidArgument, match="2 ids"):
                await memory.upsert_many("c", ["a", "b"], [[1, 2, 3]])
            async with memory.batch() as batch:
                batch.put("k", 1)
            with pytest.raises(ClosedError, match="batch is over"):
                await batch.remember("tea")

    asyncio.run(use())


def test_only_an_edge_is_named_by_its_parts(m: Memory) -> None:
    m.put_node("a")
    assert len(m.history_of("node", "a")) == 1
    with pytest.raises(InvalidArgument, match=r"^name: of a node it is a str, not \('a',\)"):
        m.history_of("node", ("a",))


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("ttl", lambda m: m.lock("l", ttl="9")),
        ("ttl", lambda m: m.lock("l", ttl=True)),
        ("ttl", lambda m: m.elect("e", ttl="9")),
        ("from_sequence", lambda m: m.events("s", from_sequence=0)),
        ("from_sequence", lambda m: m.tail("s", from_sequence=0)),
        ("from_sequence", lambda m: m.txn().__enter__().events("s", from_sequence=0)),
    ],
)
def test_what_is_no_time_and_no_place_is_refused(
    m: Memory, argument: str, call: Callable[[Memory], object]
) -> None:
    with pytest.raises(InvalidArgument, match=argument):
        call(m)


def test_a_forgotten_node_is_restored(m: Memory) -> None:
    m.put_node("ann")
    m.forget_node("ann")
    restored = m.restore_node("ann")
    assert isinstance(restored, Restored) and restored.found and not m.restore_node("eve").found
    with m.batch() as b:
        b.restore_node("ann")
    assert isinstance(b.results[0], Restored)
