"""The machine in process, where a write breaks off: nothing goes on from a state that nobody knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memraft_cluster.errors import DiskError
from memraft_proto.methods import METHODS
from memraft_proto.v1 import kv_pb2, retention_pb2
from memraft_server.embedded import Closed, EmbeddedEngine, NotWritten, Refused
from memraft_server.machine import registry

PUT, GET = METHODS["Put"], METHODS["Get"]


def put(key: str, value: bytes = b"1") -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace="acme/x", key=key, value=value)


def refuses_everything(engine: EmbeddedEngine) -> None:
    for call in (
        lambda: engine.call(PUT, put("b")),
        lambda: engine.call(GET, kv_pb2.GetRequest(namespace="acme/x", key="a")),
        lambda: engine.nearest("acme/x", "c", [1.0], 1),
    ):
        with pytest.raises(Closed, match=r"broke off in the middle .*reopen it"):
            call()
    assert engine.head("acme/x", "a") is None, "so that a call says why"


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), MemoryError(), RuntimeError("a defect")])
def test_an_apply_that_breaks_off_ends_the_engine(
    failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise failure

    engine = EmbeddedEngine(tmp_path / "m")
    engine.call(PUT, put("a"))
    with monkeypatch.context() as patch:
        patch.setitem(registry.COMMAND_HANDLERS, PUT.kind, interrupted)
        with pytest.raises(type(failure)):
            engine.call(PUT, put("b", b"2"))
    refuses_everything(engine)
    engine.close()
    with pytest.raises(Closed, match="this memory is closed"):
        engine.call(PUT, put("b"))
    again = EmbeddedEngine(tmp_path / "m")
    assert again.head("acme/x", "a") == b"1"
    assert again.head("acme/x", "b") == b"2", "the log had it"
    again.call(PUT, put("c"))
    again.close()


def test_a_failing_disk_leaves_what_was_acknowledged_readable(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "m")
    engine.call(PUT, put("a"))
    assert engine._storage is not None
    engine._storage.log.fail(OSError("the disk is full"))
    with pytest.raises(DiskError, match="full"):
        engine.call(PUT, put("b"))
    with pytest.raises(NotWritten, match=r"not made; an earlier one failed: .*full"):
        engine.call(PUT, put("a", b"2"))
    assert engine.head("acme/x", "a") == b"1"
    assert engine.head("acme/x", "b") is None
    engine.close()


def test_a_refusal_ends_nothing() -> None:
    engine = EmbeddedEngine()
    with pytest.raises(Refused):
        engine.call(PUT, put(""))
    engine.call(PUT, put("a"))
    assert engine.head("acme/x", "a") == b"1"
    engine.close()


def test_retention_keeps_up_with_calls_that_write_many() -> None:
    engine = EmbeddedEngine()
    engine.call(METHODS["SetRetention"], retention_pb2.SetRetentionRequest(namespace="acme/x", versions=2))
    keys = [f"k{number}" for number in range(2_000)]
    for _ in range(10):
        values = [b"1"] * len(keys)
        engine.call(METHODS["MultiPut"], kv_pb2.MultiPutRequest(namespace="acme/x", keys=keys, values=values))
    for key in keys[::20]:
        found: Any = engine.call(METHODS["History"], kv_pb2.HistoryRequest(namespace="acme/x", key=key))
        assert 2 <= len(found.versions) <= 3
    engine.close()
