"""What only a memory in process has: files, locks, threads, and nothing else that it needs."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from memraft import AsyncMemory, ClosedError, DataDirectoryError, InvalidArgument, Memory


def test_nothing_is_needed_for_the_three_lines() -> None:
    m = Memory(agent="support", namespace="acme/support")
    m.remember("Refund for order #1458 initiated on 10/20", about="user:4321", salience=0.9)
    hits = m.recall("refund status", about="user:4321")
    assert hits[0].text == "Refund for order #1458 initiated on 10/20"


def test_memories_are_apart_and_have_defaults() -> None:
    with Memory() as one, Memory() as other:
        one.put("k", 1)
        assert other.get("k") is None
        assert one.namespace == "default"
        assert one.record("k").agent == "local"  # type: ignore[union-attr]


def test_what_a_write_returns_shows_its_log_index() -> None:
    with Memory() as memory:
        done = (memory.put("k", 1), memory.cas("s", 1, expected_version=0), memory.put_many({"a": 1, "b": 2}))
        for each in (*done, memory.append("t", 1), memory.record("k")):
            assert each is not None
            assert repr(each).endswith(f", log_index={each.log_index})")
            assert repr(each).startswith(f"{type(each).__name__}(")


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    with Memory(path=tmp_path / "m", namespace="acme/x") as memory:
        first = memory.put("k", "old")
        memory.put("k", "new")
        memory.put("short", 1, ttl_ms=1)
        remembered = memory.remember("likes tea", about="user:1")
        event = memory.append("s", {"n": 1})
        while memory.get("short") is not None:
            pass
        history = memory.history("short")
    with Memory(path=tmp_path / "m", namespace="acme/x") as memory:
        assert memory.get("k") == "new"
        assert memory.get("k", at=first.log_index) == "old"
        assert memory.get("k", at=first.at) == "old"
        assert memory.recall("tea")[0].id == remembered.id
        assert memory.verify("s").last_hash == event.hash
        assert memory.history("short").items == history.items
        assert memory.put("k", "newest").version > history[0].version


def test_a_directory_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    with Memory(path=tmp_path / "m"):
        with pytest.raises(DataDirectoryError, match="in use"):
            Memory(path=tmp_path / "m")
    Memory(path=tmp_path / "m").close()


def test_a_directory_of_a_node_is_refused(tmp_path: Path) -> None:
    from memraft_cluster.log import DurableLog

    DurableLog(tmp_path / "node", cluster="prod", node="n1").close()
    with pytest.raises(DataDirectoryError, match="no embedded memory, such as a node's log"):
        Memory(path=tmp_path / "node")


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(DataDirectoryError, match="file"):
        Memory(path=tmp_path / "file")


@pytest.mark.parametrize("path", [None, "m"])
def test_after_close_every_call_says_so(tmp_path: Path, path: str | None) -> None:
    memory = Memory(path=tmp_path / path if path else None)
    memory.put("k", 1)
    view = memory.scoped("default/view")
    memory.close()
    memory.close()
    for call in (
        lambda: memory.get("k"),
        lambda: memory.put("k", 2),
        lambda: memory.recall("x"),
        lambda: view.get("k"),
        lambda: view.list(),
    ):
        with pytest.raises(ClosedError):
            call()


def test_threads_share_a_memory() -> None:
    with Memory() as memory:

        def count_up() -> None:
            for _ in range(200):
                while True:
                    seen = memory.state("counter")
                    value, version = (seen.value, seen.version) if seen else (0, 0)
                    if memory.cas("counter", value + 1, expected_version=version).swapped:
                        break

        threads = [threading.Thread(target=count_up) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert memory.state("counter").value == 800  # type: ignore[union-attr]


def test_closing_waits_for_the_index_that_is_being_built() -> None:
    generator = np.random.default_rng(7)
    memory = Memory()
    memory.create_collection("docs", 32)
    for start in range(0, 6_000, 2_000):
        ids = [f"v{i}" for i in range(start, start + 2_000)]
        memory.upsert_many("docs", ids, generator.standard_normal((2_000, 32)))
    memory.close()
    assert not [each for each in threading.enumerate() if each.name == "memraft-index"]


def test_malformed_arguments_of_the_memory_itself() -> None:
    with pytest.raises(InvalidArgument, match="consistency"):
        Memory(consistency="eventual")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="agent"):
        Memory(agent="\ud800")
    with Memory() as memory, pytest.raises(InvalidArgument, match="errors"):
        memory.batch(errors="ignore")  # type: ignore[arg-type]


def test_asyncio_has_the_same_memory(tmp_path: Path) -> None:
    async def slow_embedder(text: str) -> list[float]:
        await asyncio.sleep(0)
        return [float(len(text)), 1.0]

    async def use(memory: AsyncMemory) -> None:
        async with memory as m:
            written = await asyncio.gather(*(m.put(f"k{i}", i) for i in range(50)))
            assert len({each.version for each in written}) == 50
            assert await m.get("k7") == 7
            await m.remember("likes tea")
            assert (await m.recall("likes tea"))[0].text == "likes tea"
            async with m.batch() as batch:
                batch.put("a", 1)
                await batch.remember("likes coffee")
            assert len(batch.results) == 2
        with pytest.raises(ClosedError):
            await m.get("k7")

    asyncio.run(use(AsyncMemory()))
    asyncio.run(use(AsyncMemory(path=tmp_path / "m")))
    asyncio.run(use(AsyncMemory(embedder=slow_embedder)))


WITHOUT = """
import sys
sys.modules["{package}"] = None
import memraft
try:
    memraft.Memory()
except memraft.ConfigurationError as error:
    print(error)
"""


def test_without_the_servers_needs_it_says_what_to_install() -> None:
    package = "rocksdict"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package=package)], capture_output=True, text=True, check=True
    )
    assert package in done.stdout
    assert "pip install 'memraft[server]'" in done.stdout


def test_importing_the_client_imports_no_server() -> None:
    code = "import sys, memraft; print([n for n in sys.modules if n.startswith(('memraft_server', 'rocks'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_process_that_forgets_to_close_ends() -> None:
    code = "import memraft; m = memraft.Memory(); m.remember('x'); print(m.recall('x')[0].text)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "x"
