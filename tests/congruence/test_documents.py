"""Documents behave alike on every backend."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from memraft import AtInFuture, ConflictError, InvalidArgument, Memory

WAIT_S = 20.0


def test_what_is_put_is_got(memory: Memory) -> None:
    document = {"name": "Ada", "tags": ["vip", "é"], "orders": 3, "ratio": 0.5, "none": None}
    written = memory.put("user:1", document)
    assert memory.get("user:1") == document
    record = memory.record("user:1")
    assert record is not None
    assert (record.key, record.value, record.version) == ("user:1", document, written.version)
    assert record.agent == "support"
    assert record.at == written.at
    assert record.expires_at is None


def test_an_absent_key_gives_the_default(memory: Memory) -> None:
    assert memory.get("nobody") is None
    assert memory.get("nobody", {}) == {}
    assert memory.record("nobody") is None


def test_a_write_tells_id_version_log_index_and_time(memory: Memory) -> None:
    before = datetime.now(UTC)
    first, second = memory.put("k", 1), memory.put("k", 2)
    assert first.id == second.id == "k"
    assert second.version > first.version
    assert second.log_index == second.version >> 20 > first.log_index
    assert second.at > first.at
    assert abs((first.at - before).total_seconds()) < WAIT_S


def test_the_past_is_read_by_log_index_and_by_time(memory: Memory) -> None:
    first = memory.put("k", "old")
    second = memory.put("k", "new")
    third = memory.delete("k")
    assert memory.get("k", at=first.log_index) == "old"
    assert memory.get("k", at=first.at) == "old"
    assert memory.get("k", at=second.at) == "new"
    assert memory.get("k", at=third.at) is None
    assert memory.get("k") is None
    assert memory.get("k", at=first.log_index - 1) is None


def test_the_future_cannot_be_read(memory: Memory) -> None:
    written = memory.put("k", 1)
    with pytest.raises(AtInFuture):
        memory.get("k", at=written.log_index + 1_000_000)
    with pytest.raises(AtInFuture):
        memory.get("k", at=datetime(2999, 1, 1, tzinfo=UTC))


def test_if_version_guards_a_put(memory: Memory) -> None:
    first = memory.put("k", 1, if_version=0)
    with pytest.raises(ConflictError) as absent_expected:
        memory.put("k", 2, if_version=0)
    assert absent_expected.value.current_version == first.version
    second = memory.put("k", 2, if_version=first.version)
    with pytest.raises(ConflictError, match=f"expected version {first.version}") as outdated:
        memory.put("k", 3, if_version=first.version)
    assert outdated.value.current_version == second.version
    assert memory.get("k") == 2


def test_if_version_guards_a_delete(memory: Memory) -> None:
    first = memory.put("k", 1)
    second = memory.put("k", 2)
    with pytest.raises(ConflictError):
        memory.delete("k", if_version=first.version)
    assert memory.delete("k", if_version=second.version).found
    assert not memory.delete("k").found


def test_listing_is_in_key_order_and_paged(memory: Memory) -> None:
    for key in ("b/2", "a/1", "b/1", "b/3", "c/1"):
        memory.put(key, key)
    assert [each.key for each in memory.list()] == ["a/1", "b/1", "b/2", "b/3", "c/1"]
    assert [each.key for each in memory.list("b/")] == ["b/1", "b/2", "b/3"]
    assert [each.key for each in memory.list(start="b/2", end="c/1")] == ["b/2", "b/3"]
    page = memory.list("b/", limit=2)
    assert [each.value for each in page] == ["b/1", "b/2"]
    rest = memory.list("b/", limit=2, cursor=page.next_cursor)
    assert [each.key for each in rest] == ["b/3"]
    assert rest.next_cursor == ""
    assert [each.value for each in memory.list(keys_only=True)] == [None] * 5


def test_history_tells_every_version_newest_first(memory: Memory) -> None:
    memory.put("k", 1)
    memory.scoped(run="run-7", tool="crm").put("k", 2)
    memory.delete("k")
    history = memory.history("k")
    assert [(each.value, each.deleted) for each in history] == [(None, True), (2, False), (1, False)]
    assert (history[1].run, history[1].tool, history[1].agent) == ("run-7", "crm", "support")
    assert history.next_cursor == ""
    first = memory.history("k", limit=1)
    assert first.items == history[:1] and first.next_cursor
    assert memory.history("k", cursor=first.next_cursor).items == history[1:]


def test_many_are_written_and_read_at_once(memory: Memory) -> None:
    memory.put("gone", 0)
    written = memory.put_many({f"k{i}": {"n": i} for i in range(100)}, delete=["gone"])
    assert written.count == 101
    assert memory.record("k99").version == written.versions[99]  # type: ignore[union-attr]
    found = memory.get_many(["k0", "k99", "gone", "never"])
    assert found.values == {"k0": {"n": 0}, "k99": {"n": 99}}
    assert found.versions["k0"] == written.first_version
    assert "gone" not in found
    before = memory.get_many(["k0", "gone"], at=written.log_index - 1)
    assert before.values == {"gone": 0}


def test_a_document_expires_and_leaves_a_trace(memory: Memory) -> None:
    written = memory.put("k", "soon gone", ttl_ms=50)
    record = memory.record("k", at=written.log_index)
    assert record is not None and record.expires_at is not None and record.expires_at > written.at
    deadline = time.monotonic() + WAIT_S
    while memory.get("k") is not None:
        assert time.monotonic() < deadline, "the document did not expire"
        time.sleep(0.005)
    newest = memory.history("k")[0]
    assert newest.deleted
    assert newest.at >= record.expires_at
    assert memory.get("k", at=written.log_index) == "soon gone"


@pytest.mark.parametrize("consistency", ["session", "linearizable", "stale"])
def test_every_consistency_answers(memory: Memory, consistency: str) -> None:
    memory.put("k", 1)
    deadline = time.monotonic() + WAIT_S
    while memory.get("k", consistency=consistency) != 1:  # type: ignore[arg-type]
        assert consistency == "stale" and time.monotonic() < deadline
        time.sleep(0.005)


def test_namespaces_are_apart(memory: Memory) -> None:
    other = memory.scoped(memory.namespace + "/other")
    memory.put("k", "here")
    other.put("k", "there")
    assert (memory.get("k"), other.get("k")) == ("here", "there")
    assert other.namespace == memory.namespace + "/other"


def test_two_clients_see_one_memory(open_memory: Callable[..., Memory]) -> None:
    one, other = open_memory(), open_memory(agent="support/worker-3")
    one.put("k", "from one")
    assert other.get("k", consistency="linearizable") == "from one"
    other.put("k", "from the other")
    record = one.scoped(consistency="linearizable").record("k")
    assert record is not None
    assert (record.value, record.agent) == ("from the other", "support/worker-3")


MALFORMED: list[tuple[str, Callable[[Memory], object]]] = [
    ("key", lambda m: m.put("", 1)),
    ("key", lambda m: m.put("k" * 513, 1)),
    ("key", lambda m: m.put("a\nb", 1)),
    ("key", lambda m: m.put("\ud800", 1)),
    ("key", lambda m: m.get("a\x00b")),
    ("value", lambda m: m.put("k", "x" * (1 << 20))),
    ("value", lambda m: m.put("k", object())),
    ("ttl_ms", lambda m: m.put("k", 1, ttl_ms=-1)),
    ("at", lambda m: m.get("k", at=datetime(2026, 1, 1))),
    ("at", lambda m: m.get("k", at="yesterday")),  # type: ignore[arg-type]
    ("consistency", lambda m: m.get("k", consistency="eventual")),  # type: ignore[arg-type]
    ("namespace", lambda m: m.scoped("acme//x").put("k", 1)),
    ("namespace", lambda m: m.scoped("acme/" + "x" * 300).put("k", 1)),
    ("keys", lambda m: m.get_many([f"k{i}" for i in range(10_001)])),
    ("limit", lambda m: m.list(limit=1_000_000)),
    ("cursor", lambda m: m.list(cursor="nonsense")),
]


@pytest.mark.parametrize(("thing", "call"), MALFORMED, ids=[str(i) for i in range(len(MALFORMED))])
def test_what_is_malformed_is_refused_by_name(
    memory: Memory, thing: str, call: Callable[[Memory], object]
) -> None:
    with pytest.raises(InvalidArgument, match=thing):
        call(memory)
    assert len(memory.list()) == 0
