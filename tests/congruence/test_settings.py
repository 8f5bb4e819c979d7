"""Schemas, times to live and bounds behave alike on every backend."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from memraft import InvalidArgument, Memory, SchemaViolation

Open = Callable[..., Memory]

PERSON = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
}


def test_documents_are_what_the_schema_of_their_prefix_asks_for(memory: Memory) -> None:
    memory.put("users/0", "from before")
    written = memory.set_schema("users/", PERSON)
    assert written.id == "users/"
    memory.put("users/1", {"name": "ann", "tags": ["a"]})
    memory.put("orders/1", 1)
    with pytest.raises(SchemaViolation, match=r"value: \$\.tags\[1\]: 3 is not of type 'string'") as caught:
        memory.put("users/2", {"name": "bob", "tags": ["a", 3]})
    violation = caught.value
    assert (violation.key, violation.path, violation.prefix) == ("users/2", "$.tags[1]", "users/")
    assert violation.asked == 'type: "string"' and not violation.retryable
    with pytest.raises(SchemaViolation, match=r"values\['users/3'\]: \$: 'name' is a required property"):
        memory.put_many({"orders/2": 2, "users/3": {}})
    with pytest.raises(SchemaViolation, match=r"operations\[1\]\.put\.value"), memory.batch() as batch:
        batch.put("orders/2", 2)
        batch.put("users/3", {})
    with pytest.raises(SchemaViolation, match=r"operations\[0\]\.put\.value"):
        memory.transact(lambda txn: txn.put("users/3", []))
    large = {"name": "x", "tags": ["t"] * 2_000}
    memory.put("users/4", large)
    with pytest.raises(SchemaViolation, match=r"\$\.tags\[2000\]"):
        memory.put("users/4", {**large, "tags": [*large["tags"], None]})
    assert memory.get("users/0") == "from before" and memory.get("orders/2") is None
    assert memory.get("users/4") == large
    with pytest.raises(InvalidArgument, match=r'schema: at \$\.type: "objekt" is no type'):
        memory.set_schema("users/", {"type": "objekt"})
    with pytest.raises(InvalidArgument, match="nothing is fetched"):
        memory.set_schema("users/", {"$ref": "http://127.0.0.1:1/x.json"})
    (found,) = memory.schemas("users")
    assert (found.schema, found.version, found.agent) == (PERSON, written.version, "support")
    fork = memory.fork("what-if")
    assert memory.remove_schema("users/").found
    assert memory.schemas().items == () and len(memory.schemas(at=written.log_index)) == 1
    memory.put("users/3", [])
    with pytest.raises(SchemaViolation):
        fork.put("users/3", [])


def test_writes_of_many_are_checked_one_by_one_while_the_schema_changes(open_memory: Open) -> None:
    memory = open_memory()
    memory.set_schema("n/", {"type": "integer"})
    outcomes: dict[int, bool] = {}

    def write(number: int) -> None:
        try:
            memory.put(f"n/{number}", number if number % 4 else "no integer")
            outcomes[number] = True
        except SchemaViolation:
            outcomes[number] = False

    threads = [threading.Thread(target=write, args=(number,)) for number in range(32)]
    for number, thread in enumerate(threads):
        thread.start()
        if number % 8 == 0:
            memory.set_schema("n/", {"type": "integer", "minimum": -number})
    for thread in threads:
        thread.join()
    assert outcomes == {number: number % 4 != 0 for number in range(32)}
    stored = {each.key for each in memory.list("n/", keys_only=True)}
    assert stored == {f"n/{number}" for number in range(32) if number % 4}


def until(condition: Callable[[], bool]) -> None:
    """Waits for what nodes do unasked."""
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s


def test_a_namespace_keeps_so_many_documents_so_long(memory: Memory) -> None:
    memory.put("first", 0)
    written = memory.set_settings(entries_max=3, default_ttl_ms=3_600_000)
    for number in range(3):
        memory.put(f"k{number}", number)
    until(lambda: memory.settings().entries == 3)
    assert memory.get("first") is None
    assert memory.get("k0", consistency="linearizable") == 0  # of its leader: it was used last
    memory.put("k3", 3)
    until(lambda: len(memory.list()) == 3)
    assert [each.key for each in memory.list()] == ["k0", "k2", "k3"]
    ended, began = memory.history("k1")
    assert (ended.reason, ended.deleted, ended.value, began.reason) == ("evicted", True, None, "")
    assert memory.get("k1", at=began.log_index) == 1
    record = memory.record("k3")
    assert record is not None and record.expires_at_us == record.time_us + 3_600 * 1_000_000
    found = memory.settings()
    assert (found.entries_max, found.bytes_max, found.default_ttl_ms) == (3, 0, 3_600_000)
    assert (found.version, found.agent, found.schemas) == (written.version, "support", 0)
    assert memory.settings(at=written.log_index - 1).entries_max == 0
    memory.set_settings(default_ttl_ms=1)
    memory.put("short", 1)
    until(lambda: memory.get("short") is None)
    with memory.watch(after_version=0) as watch:
        reasons = {}
        for change in watch:
            reasons[change.key] = change.reason
            if change.key == "short" and change.deleted:
                break
    assert reasons["k1"] == "evicted" and reasons["short"] == "expired" and reasons["k3"] == ""
    with pytest.raises(InvalidArgument, match=r"default_ttl_ms: .* at most"):
        memory.set_settings(default_ttl_ms=1 << 63)
    with pytest.raises(InvalidArgument, match="nothing to change"):
        memory.set_settings()
