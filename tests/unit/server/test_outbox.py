"""Receipts on their way to the log: how many share a command, and what becomes of them where it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from memraft_cluster.errors import NotLeader, Overloaded, Stopped
from memraft_proto.v1 import kv_pb2, log_pb2, memory_pb2, recall_pb2
from memraft_server import receipts
from memraft_server.machine import Command, Machine, Refused
from memraft_server.receipts import GATHERED_MAX, Outbox

NAMESPACE = "acme/a"


class Leader:
    """A shard whose log is the test's: it fails as it is told, then applies."""

    number = 0

    def __init__(self, *failures: Exception) -> None:
        self.machine = Machine(0)
        self.leads = True
        self.failures = list(failures)
        self.commands: list[log_pb2.RecordRecallsCommand] = []
        self.apply(Command(1, "", kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1")))

    def apply(self, command: Command) -> Any:
        index = self.machine.applied_index + 1
        return self.machine.apply(index, index * 1_000_000, 1, (command,))[0]

    def propose(self, command: Command, request: bytes | None) -> Awaitable[Message]:
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        return self._committed(command)

    async def _committed(self, command: Command) -> Message:
        await asyncio.sleep(0)
        request: Any = command.request
        self.commands.append(request)
        reply = self.apply(command)
        if isinstance(reply, Refused):
            raise reply
        return reply  # type: ignore[no-any-return]

    @property
    def ids(self) -> list[str]:
        request = recall_pb2.ListReceiptsRequest(namespace=NAMESPACE, limit=10_000)
        found: Any = self.machine.query("ListReceipts", request)
        return sorted(each.id for each in found.receipts)


class Node:
    """An outbox before a shard."""

    def __init__(self, *failures: Exception) -> None:
        self.shard: Any = Leader(*failures)
        self.handed: list[tuple[int, log_pb2.RecordRecallsCommand]] = []
        self.refuses = 0
        self.outbox = Outbox({0: self.shard}, self._hand_over)

    async def _hand_over(self, shard: int, leader: int, command: log_pb2.RecordRecallsCommand) -> None:
        if self.refuses:
            self.refuses -= 1
            raise ConnectionError("it does not answer")
        self.handed.append((leader, command))

    def recall(
        self, mode: Any = memory_pb2.RECEIPT_MODE_SOON, namespace: str = NAMESPACE, query: str = "q"
    ) -> tuple[str, Awaitable[None] | None]:
        """A recall that is answered; its receipt's id, and what its caller waits for."""
        response = memory_pb2.RecallResponse()
        request = memory_pb2.RecallRequest(namespace=namespace, query=query, receipt=mode)
        waited = self.outbox.answered(self.shard, "alice", request, response)
        return response.receipt, waited


def play(script: Callable[[Node], Awaitable[None]], *failures: Exception) -> Node:
    """Runs a script against a node."""
    node = Node(*failures)

    async def body() -> None:
        await script(node)
        await node.outbox.stop()
        node.outbox.close()

    asyncio.run(body())
    return node


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "RETRY_S", 0.001)


def test_receipts_that_come_together_are_one_command() -> None:
    made: list[str] = []

    async def script(node: Node) -> None:
        for _ in range(2 * GATHERED_MAX):
            id, waited = node.recall()
            assert id and waited is None
            made.append(id)
        assert not node.shard.commands, "nobody has waited for a commit"
        settled = node.outbox.settle(node.shard)
        assert settled is not None
        await settled
        assert node.shard.ids == sorted(made)
        assert node.outbox.settle(node.shard) is None

    node = play(script)
    assert [len(command.ids) for command in node.shard.commands] == [GATHERED_MAX, GATHERED_MAX]
    assert made == sorted(made) and len(set(made)) == len(made), "ids sort by the time of the recall"


def test_a_receipt_is_written_though_no_other_comes() -> None:
    async def script(node: Node) -> None:
        id, _ = node.recall()
        async with asyncio.timeout(10):
            while not node.shard.ids:
                await asyncio.sleep(0.01)
        assert node.shard.ids == [id]

    play(script)


def test_who_waits_for_the_receipt_waits_for_its_commit() -> None:
    async def script(node: Node) -> None:
        before, _ = node.recall()
        id, waited = node.recall(memory_pb2.RECEIPT_MODE_NOW)
        assert waited is not None and not node.shard.ids
        await waited
        assert node.shard.ids == sorted([before, id])

    play(script)


def test_what_cannot_be_written_is_tried_again_and_handed_to_who_leads() -> None:
    async def script(node: Node) -> None:
        node.refuses = 2
        _, waited = node.recall(memory_pb2.RECEIPT_MODE_NOW)
        assert waited is not None
        await waited

    failures = (Overloaded(0, "queued_commands_max", 5), NotLeader(0, 3), NotLeader(0, 0), NotLeader(0, 2))
    node = play(script, *failures)
    assert not node.shard.commands and not node.shard.failures
    [(leader, command)] = node.handed
    assert (leader, len(command.ids)) == (2, 1)


def test_a_shard_that_left_the_node_has_its_receipts_handed_over() -> None:
    async def script(node: Node) -> None:
        node.recall()
        node.outbox._shards.clear()  # type: ignore[attr-defined]

    node = play(script)
    assert [(leader, len(command.ids)) for leader, command in node.handed] == [(0, 1)]


def test_a_node_that_stops_writes_what_waits_and_answers_nobody_before() -> None:
    made: list[str] = []

    async def script(node: Node) -> None:
        made.append(node.recall()[0])
        await node.outbox.stop()
        assert node.shard.ids == made
        id, waited = node.recall()
        assert waited is not None, "there may be no time left to gather"
        await waited
        assert node.shard.ids == [*made, id]

    play(script)


def test_who_waits_is_told_when_the_node_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "STOP_S", 0.01)

    async def script(node: Node) -> None:
        _, waited = node.recall(memory_pb2.RECEIPT_MODE_NOW)
        assert waited is not None
        waiting = asyncio.ensure_future(waited)
        await node.outbox.stop()
        node.outbox.close()
        with pytest.raises(Stopped, match="a receipt was not written"):
            await waiting

    play(script, *[Stopped("it is stopping")] * 10_000)


def test_receipts_of_a_fork_that_was_dropped_are_given_up() -> None:
    async def script(node: Node) -> None:
        id, waited = node.recall(memory_pb2.RECEIPT_MODE_NOW)
        assert id and waited is not None
        await waited

    node = play(script, Refused("NO_SUCH_FORK", "it was dropped"))
    assert not node.shard.commands and node.outbox._waiting == 0


def test_there_are_only_so_many_receipts_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "WAITING_MAX", 3)

    async def script(node: Node) -> None:
        assert [bool(node.recall()[0]) for _ in range(5)] == [True] * 3 + [False] * 2
        with pytest.raises(Refused, match="OVERLOADED: 3 receipts wait to be written, at most 3"):
            node.recall(memory_pb2.RECEIPT_MODE_NOW)
        settled = node.outbox.settle(node.shard)
        assert settled is not None
        await settled
        assert node.recall()[0]

    play(script)


def test_there_are_only_so_many_bytes_of_receipts_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "WAITING_BYTES_MAX", 3_000)

    async def script(node: Node) -> None:
        long = "q" * 2_000
        assert [bool(node.recall(query=long)[0]) for _ in range(4)] == [True, True, False, False]
        with pytest.raises(Refused, match=r"OVERLOADED: \d+ bytes of receipts wait .* at most 3000"):
            node.recall(memory_pb2.RECEIPT_MODE_NOW)
        settled = node.outbox.settle(node.shard)
        assert settled is not None
        await settled
        assert node.recall()[0], "there is room again"

    node = play(script)
    assert (node.outbox._waiting, node.outbox._waiting_bytes) == (0, 0)


def test_a_namespace_that_is_not_there_has_no_receipts() -> None:
    async def script(node: Node) -> None:
        assert node.recall(namespace="acme/b") == ("", None)
        assert node.recall(memory_pb2.RECEIPT_MODE_NOW, "acme/b") == ("", None)

    play(script)
