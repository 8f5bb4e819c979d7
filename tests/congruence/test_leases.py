"""Locks, elections, counters and gates behave alike on every backend."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from memraft import InvalidArgument, LeaseLost, LockTimeout, Memory
from memraft_server.cli.devcluster import DevCluster

Open = Callable[..., Memory]


def test_a_lock_keeps_others_out_until_the_block_ends(open_memory: Open) -> None:
    one, other = open_memory(), open_memory(agent="support/other")
    with one.lock("reindex", ttl=30) as lease:
        assert lease.held and not lease.lost and 0 < lease.remaining_s <= 30
        info = other.lease_info("reindex")
        assert info is not None
        assert (info.holder, info.token, info.agent) == (lease.holder, lease.token, "support")
        assert not other.lock("reindex").acquire(timeout_s=0)
        with pytest.raises(LockTimeout, match="reindex"), other.lock("reindex", timeout_s=0.05):
            raise AssertionError("it was entered")
        assert info.waiting == () == other.lease_info("reindex").waiting  # type: ignore[union-attr]
        lease.memory.put("index", "fresh")
    assert not lease.held and not lease.lost
    assert other.lease_info("reindex") is None
    assert other.lease_info("reindex", at=info.token >> 20) is not None
    with other.lock("reindex") as next_lease:
        assert next_lease.token > info.token


def test_those_who_wait_get_the_lock_in_the_order_in_which_they_came(open_memory: Open) -> None:
    memory = open_memory()
    served: list[int] = []

    def work(number: int) -> None:
        with memory.lock("queue", ttl=30) as lease:
            served.append(lease.token)
            memory.append("order", number)

    threads = []
    with memory.lock("queue", ttl=30):
        for number in range(4):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while len(memory.lease_info("queue").waiting) <= number:  # type: ignore[union-attr]
                pass
    for thread in threads:
        thread.join()
    assert [each.payload for each in memory.events("order")] == [0, 1, 2, 3]
    assert all(one < other for one, other in pairwise(served))


def test_a_lock_is_renewed_while_its_block_runs(open_memory: Open) -> None:
    one, other = open_memory(), open_memory()
    with one.lock("long", ttl=3) as lease:
        first = other.lease_info("long")
        deadline_s = time.monotonic() + 30
        while (info := other.lease_info("long")) == first:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        assert first is not None and info is not None and info.token == first.token
        assert info.expires_at_us > first.expires_at_us
        assert not lease.lost and not other.lock("long").acquire(timeout_s=0)
        lease.memory.put("still", "mine")
    with one.lock("long", ttl=30) as lease, pytest.raises(InvalidArgument, match="already"):
        lease.acquire()


def test_a_holder_that_stops_renewing_loses_the_lock_and_its_writes_are_refused(open_memory: Open) -> None:
    one, other = open_memory(), open_memory()
    with pytest.raises(LeaseLost, match="before the end of the block"), one.lock("reindex", ttl=1) as stale:
        writes = stale.memory
        stale._worker.stop()  # type: ignore[union-attr]  # as if this process were paused
        with other.lock("reindex", ttl=30) as lease:
            lease.memory.put("index", "of the new holder")
            with pytest.raises(LeaseLost) as refused:
                writes.put("index", "of the old one")
            assert refused.value.reason == "STALE_FENCE"
            with pytest.raises(LeaseLost), writes.batch() as batch:
                batch.put("index", "of the old one, in a batch")
        assert stale.lost and stale.wait_lost(timeout_s=0)
        for use in (stale.check, stale.renew, lambda: stale.memory):
            with pytest.raises(LeaseLost):
                use()
    assert one.get("index") == "of the new holder"


HOLDER = """
import sys
from memraft import LeaseLost, Memory
m = Memory(sys.argv[1], certs=sys.argv[2], namespace=sys.argv[3])
try:
    with m.lock("reindex", ttl=2) as lease:
        writes = lease.memory
        print("held", flush=True)
        sys.stdin.readline()
        try:
            writes.put("index", "stale")
        except LeaseLost as error:
            print("refused", error.reason, lease.lost, flush=True)
except LeaseLost:
    print("told at the end of the block", flush=True)
"""


def test_a_process_that_was_paused_while_it_held_the_lock_cannot_write(nodes: DevCluster) -> None:
    endpoints, certs, namespace = nodes.endpoints, nodes.agent_certs("acme", "support"), "acme/paused"
    arguments = [sys.executable, "-c", HOLDER, str(endpoints), str(certs), namespace]
    with (
        Memory(endpoints, certs=certs, namespace=namespace) as memory,
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder,
    ):
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        try:
            with memory.lock("reindex", ttl=30, timeout_s=30) as lease:
                lease.memory.put("index", "fresh")
                os.kill(holder.pid, signal.SIGCONT)
                said, _ = holder.communicate("go on\n", timeout=30)
        finally:
            holder.kill()
        assert said == "refused STALE_FENCE True\ntold at the end of the block\n"
        assert memory.get("index") == "fresh"


def test_one_candidate_leads_at_a_time_and_the_next_follows(open_memory: Open) -> None:
    memory = open_memory()
    assert memory.leader("planner") is None
    with memory.elect("planner", ttl=30) as first:
        assert first.wait(timeout_s=30) and first.is_leader
        with memory.elect("planner", ttl=30) as second:
            while not memory.leader("planner").waiting:  # type: ignore[union-attr]
                pass
            leader = memory.leader("planner")
            assert leader is not None and leader.token == first.term > 0 == second.term
            first.memory.put("plan", 1)
            with pytest.raises(LeaseLost, match="planner"):
                _ = second.memory
            old = first.memory
            first.resign()
            assert second.wait(timeout_s=30) and second.term > leader.token
            with pytest.raises(LeaseLost):
                old.put("plan", 2)
            second.memory.put("plan", 3)
            first.stand()
            assert not first.wait(timeout_s=0.3)
        assert first.wait(timeout_s=30)
    assert memory.leader("planner") is None
    assert memory.leader("planner", at=leader.token >> 20).token == leader.token  # type: ignore[union-attr]


def test_locks_are_listed(open_memory: Open) -> None:
    memory = open_memory()
    with memory.lock("b"), memory.lock("a:2"), memory.lock("a:1"), memory.elect("x") as seat:
        assert seat.wait(timeout_s=30)
        assert [each.name for each in memory.leases()] == ["a:1", "a:2", "b", "election/x"]
        page = memory.leases("a:", limit=1)
        assert [each.name for each in memory.leases("a:", cursor=page.next_cursor)] == ["a:2"]
        assert page[0].agent == "support"
    assert len(memory.leases()) == 0


def test_counters_lose_no_addition(open_memory: Open) -> None:
    memory = open_memory()
    assert memory.counter("hits") == 0
    before = memory.put("any", 1)

    def work() -> None:
        for _ in range(25):
            memory.add("hits", 3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.counter("hits") == 300
    assert memory.add("hits", -1) == 299 and memory.add("hits") == 300
    assert memory.counter("hits", at=before.log_index) == 0
    with memory.batch() as batch:
        batch.add("hits", 5)
    assert batch.results == (305,)
    with pytest.raises(InvalidArgument, match="outside of"):
        memory.add("hits", 2**63 - 1)
    for wrong in (2**63, 1.5, "1"):
        with pytest.raises(InvalidArgument, match="delta"):
            memory.add("hits", wrong)  # type: ignore[arg-type]


def test_a_gate_lets_nobody_through_until_it_is_open(open_memory: Open) -> None:
    memory = open_memory()
    gate = memory.gate("approved")
    assert not gate.wait(timeout_s=0.05)
    passed = threading.Event()
    waiter = threading.Thread(target=lambda: passed.set() if gate.wait(timeout_s=30) else None)
    waiter.start()
    opened = gate.open()
    waiter.join()
    assert passed.is_set()
    info = gate.info()
    assert (info.is_open, info.agent, info.version) == (True, "support", opened.version)
    gate.close()
    assert not gate.is_open() and gate.is_open(at=opened.log_index)


def test_a_gate_opens_when_all_have_arrived(open_memory: Open) -> None:
    memory = open_memory()
    gate = memory.gate("phase 1")
    assert not gate.arrive(3, arrival="a") and not gate.arrive(3, arrival="a")
    assert not gate.arrive(3)
    assert (gate.info().arrived, gate.info().parties) == (2, 3)
    with pytest.raises(InvalidArgument, match="waits for 3"):
        gate.arrive(2)
    assert gate.arrive(3) and gate.wait(timeout_s=0)


@pytest.mark.parametrize(
    ("thing", "call"),
    [
        ("name", lambda m: m.lock("").acquire()),
        ("ttl", lambda m: m.lock("x", ttl=0)),
        ("ttl", lambda m: m.lock("x", ttl="long")),
        ("ttl_ms", lambda m: m.lock("x", ttl=90_000).acquire()),
        ("timeout_s", lambda m: m.lock("x", timeout_s=-1)),
        ("parties", lambda m: m.gate("x").arrive(0)),
        ("parties", lambda m: m.gate("x").arrive(1001)),
        ("cursor", lambda m: m.leases(cursor="x")),
    ],
)
def test_what_is_malformed_is_refused_by_name(
    memory: Memory, thing: str, call: Callable[[Memory], object]
) -> None:
    with pytest.raises(InvalidArgument, match=thing):
        call(memory)
