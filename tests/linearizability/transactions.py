"""Transactions of list appends and reads: which isolation they break, told by cycles between them.

After Kingsbury and Alvaro, "Elle: inferring isolation anomalies from experimental observations" (VLDB 2020),
with the anomalies' names of Adya. Lists tell the order of all writes to a key, so dependencies are known:

- ww: the second appended just after the first; wr: the second read what the first appended last;
- rw: the second appended just after what the first had read; rt: the second began after the first had ended.

An operation has kind ``txn`` and as value a list of steps, ``["append", key, element]`` or
``["r", key, null]``. The result has the same steps with the lists that were read. Elements are unique to a
key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.linearizability.check import Verdict
from tests.linearizability.graph import Graph, find_cycle
from tests.linearizability.history import NEVER, Operation, Outcome, freeze

_PROBLEMS_MAX = 20
DESCRIPTIONS = {
    "G0": "a cycle of writes alone",
    "G1a": "a read of what was never committed",
    "G1b": "a read from the middle of a transaction",
    "G1c": "a cycle of writes and reads",
    "G-single": "a cycle with one read that was overwritten",
    "G2": "a cycle with several reads that were overwritten",
    "internal": "a transaction that contradicts itself",
    "incompatible-order": "two reads that agree on no order of a key",
    "duplicate": "an element that is in a key twice",
    "phantom": "an element that nobody appended",
}


@dataclass(slots=True)
class _Transaction:
    """An operation, its steps, and for each key what it appended and what it first read from outside."""

    operation: Operation
    steps: list[tuple[str, str, Hashable | list[Hashable] | None]]
    appends: dict[str, list[Hashable]] = field(default_factory=lambda: defaultdict(list))
    reads: dict[str, list[Hashable]] = field(default_factory=dict)


class _Checker:
    def __init__(self, history: Iterable[Operation]) -> None:
        self.problems: list[tuple[str, str]] = []
        self.transactions = [self._take_in(operation) for operation in history]
        self.writers: dict[tuple[str, Hashable], int] = {}
        for number, transaction in enumerate(self.transactions):
            for key, elements in transaction.appends.items():
                for element in elements:
                    if (key, element) in self.writers:
                        raise ValueError(f"elements of a key must be unique: {transaction.operation}")
                    self.writers[key, element] = number
        self.orders: dict[str, list[Hashable]] = {}

    def problem(self, name: str, what: str) -> None:
        self.problems.append((name, f"{name} ({DESCRIPTIONS[name.removesuffix('-realtime')]}): {what}"))

    def _take_in(self, operation: Operation) -> _Transaction:
        """Splits a transaction, and checks that its reads agree with its own steps before them."""
        if operation.kind != "txn":
            raise ValueError(f"not a transaction: {operation}")
        is_known = operation.outcome is Outcome.OK
        transaction = _Transaction(operation, [])
        for kind, key, value in operation.result if is_known else operation.value:
            if kind == "append":
                transaction.appends[key].append(freeze(value))
                transaction.steps.append((kind, key, freeze(value)))
            elif kind == "r" and is_known:
                found = [freeze(element) for element in value or ()]
                own = transaction.appends[key]
                outside = found[: len(found) - len(own)]
                before = transaction.reads.setdefault(key, outside)
                if found != before + own:
                    self.problem("internal", f"key {key!r} in {operation}")
                transaction.steps.append((kind, key, found))
            elif kind != "r":
                raise ValueError(f"a transaction has no step {kind!r}: {operation}")
        return transaction

    def find_orders(self) -> None:
        """The order of each key: its longest read, of which all others must be beginnings."""
        longest: dict[str, tuple[list[Hashable], _Transaction]] = {}
        for transaction in self.transactions:
            for key, elements in transaction.reads.items():
                if key not in longest or len(elements) > len(longest[key][0]):
                    longest[key] = elements, transaction
        for transaction in self.transactions:
            for key, elements in transaction.reads.items():
                whole, other = longest[key]
                if whole[: len(elements)] != elements:
                    self.problem(
                        "incompatible-order",
                        f"key {key!r}\n    {transaction.operation}\n    {other.operation}",
                    )
        for key, (elements, transaction) in longest.items():
            if len(set(elements)) < len(elements):
                self.problem("duplicate", f"key {key!r} in {transaction.operation}")
            self.orders[key] = list(dict.fromkeys(elements))

    def check_reads(self) -> None:
        """G1a and G1b: what is read has been committed, and all of it."""
        for transaction in self.transactions:
            for key, elements in transaction.reads.items():
                for element in elements:
                    writer = self.writers.get((key, element))
                    if writer is None:
                        self.problem("phantom", f"{element!r} of key {key!r} in {transaction.operation}")
                    elif self.transactions[writer].operation.outcome is Outcome.FAIL:
                        self.problem(
                            "G1a",
                            f"key {key!r}\n    {self.transactions[writer].operation}\n"
                            f"    {transaction.operation}",
                        )
                self._check_whole(transaction, key, elements)

    def _check_whole(self, reader: _Transaction, key: str, elements: Sequence[Hashable]) -> None:
        """G1b: a read ends where a transaction ends, and has each of its appends side by side."""
        if not elements or (key, elements[-1]) not in self.writers:
            return
        writer = self.transactions[self.writers[key, elements[-1]]]
        if writer is not reader and writer.appends[key][-1] != elements[-1]:
            self.problem("G1b", f"key {key!r}\n    {writer.operation}\n    {reader.operation}")

    def _unread(self) -> dict[str, list[int]]:
        """For each key who certainly appended what no read has: it comes after all that was read."""
        found = defaultdict[str, list[int]](list)
        seen = {(key, element) for key, order in self.orders.items() for element in order}
        for (key, element), writer in self.writers.items():
            if (key, element) not in seen and self.transactions[writer].operation.outcome is Outcome.OK:
                found[key].append(writer)
        return found

    def dependencies(self) -> Graph:
        """The graph of ww, wr and rw edges."""
        graph, unread = Graph(len(self.transactions)), self._unread()
        for key, order in self.orders.items():
            chain = [self.writers.get((key, element)) for element in order]
            for first, second in pairwise(chain):
                graph.add(first, second, "ww", key)
            for last in unread[key] if chain else ():
                graph.add(chain[-1], last, "ww", key)
            following = {element: [after] for element, after in zip(order, chain[1:], strict=False)}
            for reader, transaction in enumerate(self.transactions):
                if key not in transaction.reads:
                    continue
                elements = transaction.reads[key]
                overwriting: list[int | None]
                if elements:
                    graph.add(self.writers.get((key, elements[-1])), reader, "wr", key)
                    overwriting = following.get(elements[-1], [*unread[key]])
                else:
                    overwriting = chain[:1] or [*unread[key]]
                for writer in overwriting:
                    graph.add(reader, writer, "rw", key)
        return graph

    def add_real_time(self, graph: Graph) -> None:
        """rt edges: who ended before another began; only those that do not follow from the others."""
        known = [n for n, each in enumerate(self.transactions) if each.operation.outcome is not Outcome.FAIL]
        events = [(self.transactions[n].operation.invoked, 0, n) for n in known]
        events += [(end, 1, n) for n in known if (end := self.transactions[n].operation.deadline) < NEVER]
        frontier: dict[int, None] = {}
        before: dict[int, list[int]] = {}
        for _, is_end, number in sorted(events):
            if not is_end:
                before[number] = list(frontier)
                for earlier in before[number]:
                    graph.add(earlier, number, "rt", "")
            else:
                for earlier in before[number]:
                    frontier.pop(earlier, None)
                frontier[number] = None

    def check_cycles(self, is_strict: bool) -> None:
        """One cycle for each kind that is there, the plain ones first."""
        graph = self.dependencies()
        found = self._name_cycles(graph, "")
        if is_strict and not found:
            self.add_real_time(graph)
            self._name_cycles(graph, "-realtime")

    def _name_cycles(self, graph: Graph, suffix: str) -> bool:
        time = ("rt",) if suffix else ()
        before = len(self.problems)
        for name, kinds, once in (
            ("G0", ("ww", *time), None),
            ("G1c", ("ww", *time), "wr"),
            ("G-single", ("ww", "wr", *time), "rw"),
            ("G2", ("ww", "wr", "rw", *time), "rw"),
        ):
            allowed = {*kinds, "wr"} if name == "G1c" else {*kinds}
            cycle = find_cycle(graph, allowed, once)
            if cycle is not None and not (name == "G2" and len(self.problems) > before):
                lines = []
                for number, kind, key in cycle:
                    label = f"{kind} on {key!r}" if key else kind
                    lines.append(f"    {self.transactions[number].operation}\n      --{label}-->")
                lines.append(f"    {self.transactions[cycle[0][0]].operation}")
                self.problem(name + suffix, "\n" + "\n".join(lines))
        return len(self.problems) > before


def check_transactions(history: Iterable[Operation], *, is_strict: bool = True) -> Verdict:
    """Checks that transactions are serializable.

    Args:
        history: operations of kind ``txn``.
        is_strict: the order must also respect time (strict serializability); anomalies that only time shows
            are named ``...-realtime``.

    Raises:
        ValueError: an operation that is no transaction, or an element that is appended to one key twice.
    """
    checker = _Checker(history)
    checker.find_orders()
    checker.check_reads()
    checker.check_cycles(is_strict)
    texts = [text for _, text in checker.problems]
    shown = texts[:_PROBLEMS_MAX]
    if len(texts) > _PROBLEMS_MAX:
        shown.append(f"and {len(texts) - _PROBLEMS_MAX} more")
    keys = {key for each in checker.transactions for _, key, _ in each.steps}
    return Verdict(not texts, shown, len(checker.transactions), len(keys))
