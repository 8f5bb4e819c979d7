"""Transactions behave alike on every backend: all of their writes or none, and none over what has changed."""

import threading
import time
from collections.abc import Callable

import pytest

from memraft import InvalidArgument, LeaseLost, Memory, NotFound, Txn, TxnConflict, TxnFailed
from tests.linearizability import Operation, Outcome, check_transactions

Open = Callable[..., Memory]


def test_writes_of_many_primitives_happen_together(memory: Memory) -> None:
    memory.put("a", 1)
    with memory.txn() as t:
        assert t.get("a") == 1 and t.get("absent", "none") == "none"
        t.put("b", t.get("a") + 1)
        t.append("log", {"b": 2})
        t.add("hits", 3)
        t.cas("state", {"x": 1}, expected_version=0)
        t.remember("the sum is two", about="user:1")
        t.open_gate("done")
    assert len(t.results) == len(t) == 6 and t.results[2] == 3
    assert {each.log_index for each in t.results if hasattr(each, "log_index")} == {t.log_index}
    assert (memory.get("b"), memory.counter("hits"), memory.gate("done").is_open()) == (2, 3, True)
    assert memory.get("b", at=t.log_index - 1) is None


def test_one_operation_that_cannot_be_done_undoes_all(memory: Memory) -> None:
    found = "operation 2 .*: named record 'state': expected version 5, found version 0"
    with pytest.raises(TxnFailed, match=found) as failed, memory.txn() as t:
        t.put("a", 1)
        t.append("log", 1)
        t.cas("state", 1, expected_version=5)
    assert failed.value.operation == 2 and not failed.value.outcome.swapped  # type: ignore[attr-defined]
    with pytest.raises(TxnFailed) as failed, memory.txn() as t:
        t.put("a", 1)
        t.upsert("nowhere", "v", [1.0])
    assert isinstance(failed.value.outcome, NotFound)
    with pytest.raises(ZeroDivisionError), memory.txn() as t:
        t.put("a", 1 // 0)
    assert memory.get("a") is None and len(memory.events("log")) == 0


def test_reads_are_of_one_moment(open_memory: Open) -> None:
    memory, other = open_memory(), open_memory()
    memory.put_many({"a": 1, "b": 1})
    with memory.txn() as t:
        assert t.get("a") == 1
        other.put_many({"a": 2, "b": 2})
        assert t.get("b") == 1 and t.get_many(["a", "b"]).values == {"a": 1, "b": 1}


def withdraw(t: Txn, mine: str, other: str) -> None:
    """Both together must not fall below zero."""
    if t.get(mine) + t.get(other) >= 100:
        t.put(mine, t.get(mine) - 100)


def test_write_skew_happens_under_snapshot_isolation_and_not_where_reads_are_declared(
    open_memory: Open,
) -> None:
    memory, other = open_memory(), open_memory()
    memory.put_many({"x": 50, "y": 50})
    with memory.txn(isolation="snapshot") as one, other.txn(isolation="snapshot") as two:
        withdraw(one, "x", "y")
        withdraw(two, "y", "x")
    assert memory.get("x") + memory.get("y") == -100
    memory.put_many({"x": 50, "y": 50})
    with pytest.raises(TxnConflict) as conflict, memory.txn() as one, other.txn() as two:
        withdraw(one, "x", "y")
        withdraw(two, "y", "x")
    assert conflict.value.retryable
    assert [(each.kind, each.name, each.is_read) for each in conflict.value.conflicts] == [
        ("document", "y", True)
    ]
    memory.put_many({"x": 50, "y": 50})
    with pytest.raises(TxnConflict), memory.txn(isolation="snapshot") as one:
        record = one.record("y")
        withdraw(one, "x", "y")
        one.expect("document", "y", record.version)  # type: ignore[union-attr]
        other.put("y", 0)
    assert memory.get("x") == 50


def test_under_snapshot_isolation_the_first_to_commit_wins(open_memory: Open) -> None:
    memory, other = open_memory(), open_memory()
    memory.put("x", 1)
    with pytest.raises(TxnConflict), memory.txn(isolation="snapshot") as t:
        t.put("x", t.get("x") + 1)
        other.put("x", 10)
    assert memory.get("x") == 10


def test_a_block_that_would_have_read_the_same_is_committed_all_the_same(open_memory: Open) -> None:
    memory, other = open_memory(), open_memory()
    memory.put("x", 1)
    with memory.txn() as t:
        t.put("y", t.get("x") + 1)
        other.put("x", 1)
    assert memory.get("y") == 2
    with pytest.raises(TxnConflict), memory.txn() as t:
        t.put("y", t.record("x").version)  # type: ignore[union-attr]
        other.put("x", 1)
    with pytest.raises(TxnConflict), memory.txn(attempts=1) as t:
        t.put("y", t.get("x"))
        other.put("x", 1)


def test_what_is_put_into_a_range_that_was_read_is_a_conflict(open_memory: Open) -> None:
    memory, other = open_memory(), open_memory()
    memory.put_many({"k1": 1, "k2": 2})
    with pytest.raises(TxnConflict), memory.txn() as t:
        t.put("sum", sum(each.value for each in t.list("k")))
        other.put("k3", 3)
    assert memory.get("sum") is None


@pytest.mark.parametrize(
    ("read", "change"),
    [
        (lambda t: t.state("s"), lambda m: m.cas("s", 1, expected_version=0)),
        (lambda t: t.counter("c"), lambda m: m.add("c")),
        (lambda t: t.gate_info("g"), lambda m: m.gate("g").open()),
        (lambda t: t.lease_info("l"), lambda m: m.lock("l").acquire(timeout_s=0)),
        (lambda t: t.events("e"), lambda m: m.append("e", 1)),
        (lambda t: t.memory("m"), lambda m: m.remember("hello", id="m")),
        (lambda t: t.run_info("r"), lambda m: m.begin_run("r")),
        (lambda t: t.expect("document", "d", 0), lambda m: m.put("d", 1)),
    ],
)
def test_a_read_of_any_primitive_is_compared(
    open_memory: Open, read: Callable[[Txn], object], change: Callable[[Memory], object]
) -> None:
    memory, other = open_memory(), open_memory()
    with memory.txn() as t:
        read(t)
        t.put("out", 1)
    with pytest.raises(TxnConflict), memory.txn() as t:
        read(t)
        t.put("out", 2)
        change(other)
    assert memory.get("out") == 1


def test_transact_runs_a_function_until_it_commits(open_memory: Open) -> None:
    memory = open_memory()

    def count(t: Txn) -> int:
        now: int = t.get("count", 0) + 1
        t.put("count", now)
        return now

    def work() -> None:
        for _ in range(5):
            results.append(memory.transact(count, attempts=100))

    results: list[int] = []
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(1, 21)) and memory.get("count") == 20
    runs = []

    def hopeless(t: Txn) -> None:
        runs.append(t.get("count"))
        t.put("count", 0)
        memory.put("count", runs[-1] + 1)

    with pytest.raises(TxnConflict):
        memory.transact(hopeless, attempts=3)
    assert runs == [20, 21, 22]


def test_concurrent_transactions_have_an_order(open_memory: Open) -> None:
    """List appends and reads of several keys, checked for cycles between them."""
    memory = open_memory()
    history: list[Operation] = []

    def work(process: int) -> None:
        for turn in range(6):
            asked = [["r", "x", None], ["append", "xy"[process % 2], 100 * process + turn], ["r", "y", None]]
            answered: list[list[object]] = []

            def body(t: Txn, asked: list[list[object]] = asked, into: list[list[object]] = answered) -> None:
                into.clear()
                now: dict[object, list[object]] = {}
                for kind, key, element in asked:
                    found = now.setdefault(key, t.get(str(key), []))
                    if kind == "append":
                        found = now[key] = [*found, element]
                        t.put(str(key), found)
                    into.append([kind, key, list(found) if kind == "r" else element])

            begun = time.monotonic()
            memory.transact(body, attempts=200)
            history.append(
                Operation(
                    process=f"{process}", kind="txn", value=asked, result=list(answered), invoked=begun,
                    returned=time.monotonic(), outcome=Outcome.OK,
                )
            )  # fmt: skip

    threads = [threading.Thread(target=work, args=(process,)) for process in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(history) == 24
    verdict = check_transactions(history)
    assert verdict, verdict


def test_nodes_and_edges_that_were_read_are_compared(memory: Memory) -> None:
    memory.put_graph(["ann", "bob"], [("ann", "knows", "bob")])
    memory.put_node("gone")
    memory.forget_node("gone")
    with memory.txn() as t:  # nothing has changed
        assert t.node("ann") is not None and t.node("eve") is None and t.node("gone") is None
        assert t.edge("ann", "knows", "bob") is not None and t.edge("bob", "knows", "ann") is None
        t.put("a", 1)
    with pytest.raises(TxnConflict) as conflict, memory.txn() as t:
        assert t.edge("ann", "knows", "bob") is not None
        memory.delete_edge("ann", "knows", "bob")
        t.put("a", 2)
    assert "edge" in str(conflict.value)
    with pytest.raises(TxnConflict), memory.txn() as t:
        assert t.node("eve") is None
        memory.put_node("eve")
        t.put("a", 2)
    with pytest.raises(TxnConflict), memory.txn() as t:
        assert t.node("bob") is not None
        memory.merge_nodes("ann", "bob")
        t.put("a", 2)
    with memory.txn() as t:
        merged = t.node("bob")
        assert merged is not None and merged.id == "ann"
        t.put("a", 3)
    assert memory.get("a") == 3
    with pytest.raises(AttributeError, match="a transaction has no recall: what it finds cannot be compared"):
        memory.txn().recall("anything")  # type: ignore[attr-defined]


def test_a_transaction_carries_the_token_of_its_lease(open_memory: Open) -> None:
    memory = open_memory()
    with memory.lock("x") as lease:
        writes = lease.memory
        with writes.txn() as t:
            t.put("a", 1)
    with pytest.raises(LeaseLost), writes.txn() as t:
        t.put("a", 2)
    assert memory.get("a") == 1


def test_a_transaction_reads_the_documents_that_it_wrote(memory: Memory) -> None:
    memory.put_many({"a": 1, "b": 2, "c": 3})
    with memory.txn() as t:
        t.put("a", 5)
        t.put_many({"new": None}, delete=["b"])
        assert (t.get("a"), t.get("b", "gone"), t.get("c"), t.get("new", "none")) == (5, "gone", 3, None)
        assert t.get_many(["a", "b", "c", "new"]).values == {"a": 5, "c": 3, "new": None}
        assert list(t.get_many("a").versions) == [] and t.record("b") is None
        t.delete("a")
        t.put("b", t.get("a", 0) + 7)
        assert t.get("b") == 7 and "a" not in t.get_many(["a"])
        memory.put("a", 9)  # no conflict: what the transaction read of it is what it wrote
    assert memory.get_many(["a", "b", "c", "new"]).values == {"b": 7, "c": 3, "new": None}


@pytest.mark.parametrize(
    ("thing", "call"),
    [
        ("isolation", lambda m: m.txn(isolation="none")),
        ("attempts", lambda m: m.txn(attempts=0)),
        ("kind", lambda m: m.txn().expect("vector", "x", 1)),
        ("callable", lambda m: m.transact(1)),
    ],
)
def test_what_is_malformed_is_refused_by_name(
    memory: Memory, thing: str, call: Callable[[Memory], object]
) -> None:
    with pytest.raises(InvalidArgument, match=thing):
        call(memory)
