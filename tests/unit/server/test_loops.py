"""Which event loop a node runs on, and how it syncs there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from memraft_server.config import parse
from memraft_server.loops import new_event_loop
from memraft_server.node import _driver_config

SMALLEST: dict[str, Any] = {
    "node": {"id": 1, "name": "n1", "data_dir": "data"},
    "cluster": {
        "name": "test",
        "shards": 1,
        "nodes": [{"id": 1, "name": "n1", "peer": "127.0.0.1:1", "client": "127.0.0.1:2"}],
    },
    "tls": {"enabled": False},
}


def _module(loop: asyncio.AbstractEventLoop) -> str:
    loop.close()
    return type(loop).__module__.partition(".")[0]


def test_uvloop_is_taken_where_it_is_installed_and_nothing_else_is_said() -> None:
    pytest.importorskip("uvloop")
    assert _module(new_event_loop()) == "uvloop"
    assert _module(new_event_loop("asyncio")) == "asyncio"


def test_a_node_runs_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert _module(new_event_loop()) == "asyncio"


@pytest.mark.parametrize(
    ("engine", "said", "in_thread"),
    [
        ("grpcio", {}, True),
        ("lean", {}, False),
        ("grpcio", {"sync_in_thread": False}, False),
        ("lean", {"sync_in_thread": True}, True),
    ],
)
def test_the_log_is_synced_where_it_suits_the_engine(
    engine: str, said: dict[str, bool], in_thread: bool
) -> None:
    tree = {**SMALLEST, "client": {"engine": engine}, "raft": said}
    assert _driver_config(parse(tree, "node.toml", Path("/"))).sync_in_thread is in_thread
