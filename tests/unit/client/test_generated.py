"""The synchronous facade is the asynchronous one, without `async`."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import memraft

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.mark.skipif(not (ROOT / "scripts/generate_sync.py").exists(), reason="not a source checkout")
def test_the_committed_twin_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts/generate_sync.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("asynchronous", "synchronous"),
    [
        (memraft.AsyncMemory, memraft.Memory),
        (memraft.AsyncBatch, memraft.Batch),
        (memraft.AsyncTxn, memraft.Txn),
    ],
)
def test_both_have_the_same_calls(asynchronous: type, synchronous: type) -> None:
    def calls(of: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(each).parameters)
            for name, each in inspect.getmembers(of, inspect.isfunction)
            if not name.startswith("_")
        }

    assert calls(asynchronous) == calls(synchronous)
    for name, each in inspect.getmembers(synchronous, inspect.isfunction):
        assert not inspect.iscoroutinefunction(each), name


@pytest.mark.parametrize("of", [memraft.AsyncMemory, memraft.Memory, memraft.AsyncBatch, memraft.Batch])
def test_every_public_call_is_documented(of: type) -> None:
    for name, each in inspect.getmembers(of, inspect.isfunction):
        if not name.startswith("_"):
            assert each.__doc__, name
            documented = each.__doc__
            if "see `" in documented:
                continue
            for parameter in list(inspect.signature(each).parameters)[1:]:
                assert f"{parameter}:" in documented, f"{name}: {parameter}"
