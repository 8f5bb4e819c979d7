"""A process that forks while a memory is open: the child is told, and the parent goes on undisturbed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from memraft import Memory
from memraft_server.cli.devcluster import DevCluster

WAIT_S = 60.0

TOOLS = """
import asyncio, gc, os, sys, threading
from memraft import AsyncMemory, ClosedError, ConfigurationError, Memory

TOLD = f"this memory was opened by process {os.getpid()} before a fork; open one in this process"

def refused(use):
    try:
        outcome = use()
    except ClosedError as error:
        assert TOLD in str(error), error
    else:
        raise AssertionError(f"{outcome!r} from {use}")

def in_child(work):
    "Does it in a child, which ends as any process does; returns its number in the parent."
    child = os.fork()
    if child == 0:
        work()
        gc.collect()
        sys.exit(7)
    return child

def wait(child):
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 7, status
"""

SYNC = """
m = opened()
view = m.scoped(agent="other")
m.put("k", {"before": 1})
m.remember("the sky is blue")
m.append("thread:t", "one")
m.append("thread:t", "two")
assert m.recall("sky")
tail = iter(m.tail("thread:t", from_sequence=1))
assert next(tail).payload == "one"
lease = m.lock("l", ttl=60)
assert lease.acquire(timeout_s=30)
seat = m.elect("e", ttl=60)
seat.stand()
assert seat.wait(30)
block = m.run("r")
run = block.__enter__()
batch = m.batch()
batch.__enter__()
batch.put("batched", 1)
fenced = lease.memory

def child():
    for each in (m, view, fenced):
        refused(lambda: each.put("child", 1))
        refused(lambda: each.get("k"))
    refused(lambda: m.get("k", consistency="linearizable"))
    refused(lambda: m.query())
    refused(lambda: m.recall("sky"))
    refused(lambda: m.remember("more"))
    refused(lambda: m.append("thread:t", "child"))
    refused(lambda: next(tail))
    refused(lambda: next(iter(m.watch())))
    refused(lambda: m.lock("other").acquire(timeout_s=None))
    refused(lambda: m.elect("other").__enter__().wait(None))
    refused(lambda: m.neighbours("n"))
    refused(run.now)
    refused(lease.check)
    refused(lambda: seat.wait(None))
    refused(lambda: lease.wait_lost(3600))
    refused(lambda: batch.__exit__(None, None, None))
    lease.release()
    repr((lease, seat, m))
    tail.close()
    m.close()
    m.close()
    refused(lambda: m.put("child", 1))
    with Memory() as own:
        own.put("k", 1)
        assert own.get("k") == 1
    in_cluster()

for _ in range(3):
    children = [in_child(child), in_child(lambda: None)]
    for number in range(50):
        m.put(f"meanwhile-{number}", number)
    for each in children:
        wait(each)
    assert next(tail) is not None
    m.append("thread:t", "two")
    assert lease.held
    m.put("k", {"after": 1})
batch.__exit__(None, None, None)
block.__exit__(None, None, None)
assert m.get("batched") == 1
assert [m.get(f"meanwhile-{number}") for number in range(50)] == list(range(50))
assert m.get("child") is None
seat.resign()
lease.release()
tail.close()
m.close()
"""

ASYNC = """
async def before():
    m = async_opened()
    await m.put("k", 1)
    await m.remember("the sky is blue")
    await m.append("thread:t", "one")
    tail = aiter(m.tail("thread:t", from_sequence=1))
    assert (await anext(tail)).payload == "one"
    return m, tail

async def after(m):
    for number in range(50):
        await m.put(f"after-{number}", number)
    assert [await m.get(f"after-{number}") for number in range(50)] == list(range(50))

def child():
    def refused_here(use):
        refused(lambda: asyncio.run(use()))
    refused_here(lambda: m.put("child", 1))
    refused_here(lambda: m.get("k"))
    refused_here(lambda: m.get("k", consistency="linearizable"))
    refused_here(lambda: m.query())
    refused_here(lambda: m.remember("more"))
    refused_here(lambda: m.recall("sky"))
    refused_here(lambda: anext(tail))
    refused_here(lambda: m.lock("l").acquire())
    asyncio.run(tail.close())
    asyncio.run(m.close())

loop = asyncio.new_event_loop()
m, tail = loop.run_until_complete(before())
for _ in range(3):
    forked = in_child(child), in_child(lambda: None)
    loop.run_until_complete(after(m))
    for each in forked:
        wait(each)
loop.run_until_complete(after(m))
loop.run_until_complete(tail.close())
loop.run_until_complete(m.close())
loop.run_until_complete(loop.shutdown_default_executor())
loop.close()
"""

IN_PROCESS = """
def opened():
    return Memory({options})

def async_opened():
    return AsyncMemory({options})

def in_cluster():
    pass
"""

ON_CLUSTER = """
def opened():
    return Memory({where}, engine="{engine}")

def async_opened():
    return AsyncMemory({where}, engine="{engine}")

def in_cluster():
    if "{engine}" == "lean":
        with Memory({where}) as own:
            own.put("own", "child")
            assert own.get("own") == "child"
"""


def execute(*parts: str) -> None:
    """Runs a script, which must say nothing. One that blocks fails, too."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", "".join((TOOLS, *parts))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr


def options_of(where: str, path: Path) -> str:
    return {"in memory": "", "on disk": f"path={str(path)!r}"}.get(
        where, f"path={str(path)!r}, durability='relaxed'"
    )


@pytest.mark.parametrize("script", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("where", ["in memory", "on disk", "relaxed"])
def test_a_child_is_told_that_a_memory_in_process_is_its_parents(
    where: str, script: str, tmp_path: Path
) -> None:
    path = tmp_path / "memory"
    execute(IN_PROCESS.replace("{options}", options_of(where, path)), script)
    if where != "in memory":
        with Memory(path=path) as memory:
            name = "meanwhile" if script is SYNC else "after"
            assert [memory.get(f"{name}-{number}") for number in range(50)] == list(range(50))
            assert memory.get("child") is None


@pytest.mark.parametrize("script", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("engine", ["lean", "grpcio"])
def test_a_child_is_told_that_a_memory_on_a_cluster_is_its_parents(
    engine: str, script: str, one_node: DevCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    certs = str(one_node.agent_certs("acme", "support"))
    namespace = f"acme/{engine}/{'sync' if script is SYNC else 'async'}"
    where = f"{one_node.endpoints!r}, certs={certs!r}, namespace={namespace!r}"
    # What gRPC itself does at a fork aborts children of a process that uses grpc.aio.
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "false")
    execute(ON_CLUSTER.replace("{where}", where).replace("{engine}", engine), script)
    if script is SYNC and engine == "lean":
        with Memory(one_node.endpoints, certs=certs, namespace=namespace) as memory:
            assert memory.get("own") == "child"


@pytest.mark.parametrize("where", ["in memory", "on disk"])
def test_a_lock_that_another_thread_held_blocks_no_child(where: str, tmp_path: Path) -> None:
    execute(
        f"""
m = Memory({options_of(where, tmp_path / "memory")})
m.put("k", 1)
is_held, may_go = threading.Event(), threading.Event()

def hold():
    with m._link._engine._engine._lock:
        is_held.set()
        may_go.wait()

holder = threading.Thread(target=hold)
holder.start()
is_held.wait()

def child():
    refused(lambda: m.get("k"))
    refused(lambda: m.put("k", 2))
    m.close()

wait(in_child(child))
may_go.set()
holder.join()
assert m.get("k") == 1
m.close()
"""
    )


def test_a_child_does_not_keep_the_directory_from_others(tmp_path: Path) -> None:
    execute(
        f"""
path = {str(tmp_path / "memory")!r}
m = Memory(path=path)
m.put("k", 1)
goes_on, go = os.pipe()
child = in_child(lambda: os.read(goes_on, 1))

def another():
    code = "import sys; from memraft import Memory; print(Memory(path=sys.argv[1]).get('k'))"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    return done.stdout, done.stderr

import subprocess
refused_to = another()
assert refused_to[0] == "" and "DataDirectoryError" in refused_to[1] and "in use" in refused_to[1], refused_to
m.close()
assert another() == ("1\\n", "")
with Memory(path=path) as again:
    assert again.get("k") == 1
os.write(go, b"x")
wait(child)
"""
    )


def test_a_child_of_a_process_with_a_directory_is_told_that_it_can_open_none(tmp_path: Path) -> None:
    execute(
        f"""
with Memory(path={str(tmp_path / "one")!r}) as m:
    m.put("k", 1)

def child():
    try:
        Memory(path={str(tmp_path / "two")!r})
    except ConfigurationError as error:
        assert "spawn" in str(error), error
    else:
        raise AssertionError("opened")

wait(in_child(child))
"""
    )
    assert not (tmp_path / "two").exists()


def test_workers_that_never_use_the_memory_are_not_disturbed(tmp_path: Path) -> None:
    execute(
        f"""
import multiprocessing
m, durable = Memory(), Memory(path={str(tmp_path / "memory")!r})
durable.put("k", 1)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, range(-8, 0)) == list(range(8, 0, -1))
durable.put("k", 2)
assert durable.get("k") == 2
m.close()
durable.close()
"""
    )
