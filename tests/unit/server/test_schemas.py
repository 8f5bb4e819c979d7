"""The barrier of schemas before a shard that commits when the test says so, in a service as a node has it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf.message import Message

from memraft_cluster.errors import NotLeader
from memraft_proto.methods import METHODS
from memraft_proto.v1 import batch_pb2, kv_pb2, namespace_pb2, txn_pb2
from memraft_server.admission.identity import Caller, Role
from memraft_server.admission.schemas import INLINE_STEPS_MAX, SchemaBarrier
from memraft_server.machine import Command, Limits, Machine, Refused
from memraft_server.service import Service
from tests.unit.machine.harness import KINDS, NAMESPACE, session
from tests.unit.server.test_service import Nowhere

CALLER = Caller(Role.LOCAL, "alice")
INTEGERS = b'{"items":{"type":"integer"}}'
LARGE = b"[" + b"1," * INLINE_STEPS_MAX + b"1]"


class SlowShard:
    """A replicated shard without the replicas: what is proposed is applied when the test has it committed,
    from the very bytes that would be in the log."""

    number = 0

    def __init__(self) -> None:
        self.machine = Machine(0)
        self.leads = True
        self.barriers = 0
        self.missed: list[Callable[[], None]] = []
        """What is committed but not applied here; a barrier waits for it."""
        self._proposed: list[tuple[Command, asyncio.Future[Message]]] = []

    def propose(self, command: Command, request: bytes | None) -> Awaitable[Message]:
        assert request is not None
        logged = Command(command.kind, command.agent, type(command.request).FromString(request))
        assert logged.request == command.request  # the leader applies the one, its followers the other
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._proposed.append((logged, future))
        return future

    def commit(self) -> None:
        for command, future in self._proposed:
            reply = self.apply(command.request)
            future.set_exception(reply) if isinstance(reply, Refused) else future.set_result(reply)
        self._proposed.clear()

    def apply(self, request: Any) -> Any:
        machine = self.machine
        command = Command(KINDS[type(request)], "alice", request)
        return machine.apply(machine.applied_index + 1, machine.last_time_us + 1, 0, [command])[0]

    def read_barrier(self) -> Awaitable[int]:
        if not self.leads:
            raise NotLeader(0, 2)
        self.barriers += 1

        async def caught_up() -> int:
            for each in self.missed:
                each()
            self.missed.clear()
            return self.machine.applied_index

        return caught_up()

    def wait_applied(self, index: int) -> Awaitable[int] | None:
        return None

    def settle(self, time_us: int) -> Awaitable[int]:
        raise AssertionError("nothing is read here")

    def age_us(self) -> int:
        return 0


class Node:
    """A service over such a shard."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.shard = SlowShard()
        self._service = Service(
            {0: self.shard}, lambda _: 0, Nowhere(), limits=Limits(), schemas=SchemaBarrier(threads)
        )

    async def call(self, request: Any) -> Any:
        """Makes a call, and commits as soon as nothing else is to be done for it."""
        return await self.answer(self.begin(request))

    def begin(self, request: Any) -> Awaitable[Message]:
        method = next(each for each in METHODS.values() if each.request is type(request))
        outcome = self._service.call_bytes(CALLER, method, request.SerializeToString())
        assert isinstance(outcome, Awaitable)
        return outcome

    async def answer(self, outcome: Awaitable[Message]) -> Any:
        running = asyncio.ensure_future(outcome)
        while not running.done():
            self.shard.commit()
            await asyncio.sleep(0)
        return running.result()

    async def set_schema(self, prefix: str, schema: bytes) -> Any:
        return await self.call(
            namespace_pb2.SetSchemaRequest(namespace=NAMESPACE, prefix=prefix, schema=schema)
        )


def put(value: bytes, key: str = "k", **more: Any) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value, **more)


def run(test: Callable[[Node], Awaitable[None]]) -> None:
    async def with_node() -> None:
        with ThreadPoolExecutor(1) as threads:
            await test(Node(threads))

    asyncio.run(with_node())


def test_documents_are_checked_by_the_schema_of_the_longest_prefix() -> None:
    async def test(node: Node) -> None:
        await node.call(put(b'"before"', "a/1"))
        await node.set_schema("", b'{"type":"object"}')
        await node.set_schema("a/", INTEGERS)
        await node.set_schema("a/b/", b"true")
        await node.call(put(b"[1]", "a/1"))
        await node.call(put(b'"anything"', "a/b/1"))
        await node.call(put(b"{}", "b"))
        for key, value, path in (("b", b"[1]", "$"), ("a/1", b'[1,"x"]', "$[1]"), ("a/b", b"[null]", "$[0]")):
            with pytest.raises(Refused) as caught:
                await node.call(put(value, key))
            assert caught.value.reason == "SCHEMA_VIOLATION"
            assert caught.value.message.startswith(f"value: {path}: ")
            assert caught.value.metadata["path"] == path and caught.value.metadata["key"] == key
        await node.set_schema("a/", b"")
        with pytest.raises(Refused, match="prefix ''"):
            await node.call(put(b"[1]", "a/1"))

    run(test)


def test_every_document_of_a_call_is_checked_and_none_is_written_where_one_is_refused() -> None:
    async def test(node: Node) -> None:
        await node.set_schema("n/", INTEGERS)
        many = kv_pb2.MultiPutRequest(
            namespace=NAMESPACE, keys=["n/1", "n/2", "n/3"], values=[b"[1]", b"", b"[{}]"], kinds=b"\0\1\0"
        )
        batch = batch_pb2.BatchRequest(namespace=NAMESPACE)
        txn = txn_pb2.CommitTxnRequest(namespace=NAMESPACE)
        for whole in (batch, txn):
            whole.operations.add().put.CopyFrom(kv_pb2.PutRequest(key="n/1", value=b"[1]"))
            whole.operations.add().multi_put.CopyFrom(
                kv_pb2.MultiPutRequest(keys=["x", "n/2"], values=[b"{}", b"[1.5]"])
            )
        for request, said in (
            (many, rf": values\['{many.keys[2]}'\]: \$\[0\]: "),
            (batch, r"operations\[1\]\.multi_put\.values\['n/2'\]: \$\[0\]: "),
            (txn, r"operations\[1\]\.multi_put\.values\['n/2'\]: \$\[0\]: "),
        ):
            with pytest.raises(Refused, match=said):
                await node.call(request)
        space = node.shard.machine.space(NAMESPACE)
        assert space is not None and not space.kv.records.heads
        many.values[2] = b"[]"
        batch.operations[1].multi_put.values[1] = b"[2]"
        await node.call(many)
        assert (await node.call(batch)).results[1].multi_put.count == 2

    run(test)


def test_a_schema_that_comes_while_a_write_is_on_its_way_has_it_checked_again() -> None:
    async def test(node: Node) -> None:
        first = node.begin(put(b'"x"'))
        node.shard.apply(namespace_pb2.SetSchemaRequest(namespace=NAMESPACE, schema=b'{"type":"object"}'))
        with pytest.raises(Refused, match="SCHEMA_CHANGED"):
            await node.answer(first)
        with pytest.raises(Refused, match="SCHEMA_VIOLATION"):
            await node.call(put(b'"x"'))
        second = node.begin(put(b"{}"))
        node.shard.apply(namespace_pb2.SetSchemaRequest(namespace=NAMESPACE, schema=INTEGERS))
        with pytest.raises(Refused, match="SCHEMA_CHANGED"):
            await node.answer(second)
        await node.call(put(b"{}"))

    run(test)


def test_only_a_leader_that_has_all_that_is_committed_refuses() -> None:
    async def test(node: Node) -> None:
        await node.set_schema("", INTEGERS)
        removal = namespace_pb2.SetSchemaRequest(namespace=NAMESPACE)
        node.shard.missed.append(lambda: node.shard.apply(removal))
        assert (await node.call(put(b'["x"]'))).version
        assert node.shard.barriers == 1
        await node.set_schema("", INTEGERS)
        node.shard.leads = False
        with pytest.raises(NotLeader):
            node.begin(put(b'["x"]'))

    run(test)


def test_a_retry_of_what_was_written_has_its_reply_though_it_breaks_a_schema_by_now() -> None:
    async def test(node: Node) -> None:
        request = put(b'["x"]', context=session(1))
        reply = await node.call(request)
        await node.set_schema("", INTEGERS)
        assert await node.call(request) == reply
        with pytest.raises(Refused, match="SCHEMA_VIOLATION"):
            await node.call(put(b'["x"]', context=session(2)))

    run(test)


def test_nothing_is_imported_for_schemas_where_there_are_none() -> None:
    script = (
        "import sys; from memraft import Memory; m = Memory(); m.put('k', 1); m.set_settings(entries_max=1)\n"
        "assert 'jsonschema' not in sys.modules\n"
        "m.set_schema('', True); assert 'jsonschema' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_long_checks_are_made_aside() -> None:
    async def test(node: Node) -> None:
        properties = {f"p{i}": {"type": "integer"} for i in range(200)}
        await node.set_schema("large/", json.dumps({"properties": properties}).encode())
        with pytest.raises(Refused, match=r"schema: at \$\.items\.type"):
            await node.set_schema("", b'{"items":{"type":"' + b"x" * 1_000 + b'"}}')
        await node.set_schema("", INTEGERS)
        outcome = node.begin(put(LARGE))
        node.shard.commit()
        space = node.shard.machine.space(NAMESPACE)
        assert space is not None and "k" not in space.kv.records.heads
        await node.answer(outcome)
        assert space.kv.records.heads["k"].value == LARGE
        with pytest.raises(Refused, match=rf"value: \$\[{INLINE_STEPS_MAX + 1}\]: None is not"):
            await node.call(put(LARGE[:-1] + b",null]"))
        with pytest.raises(Refused, match="takes more than 50000 steps: write less at once"):
            await node.call(put(b"[" + b"1," * 50_000 + b"1]"))

    run(test)
