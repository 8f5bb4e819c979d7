"""Simulated clients: they call, lose patience, call again under the same number, and keep a history."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from random import Random
from typing import Any

from memraft_cluster.errors import NotLeader
from memraft_proto.methods import METHODS
from memraft_proto.v1 import batch_pb2, kv_pb2, memory_pb2, namespace_pb2, state_pb2, stream_pb2
from memraft_proto.v1.common_pb2 import CONSISTENCY_LINEARIZABLE, ReadContext, WriteContext
from memraft_server.machine import Refused
from tests.linearizability import Operation, Outcome
from tests.simulation.agenda import Agenda, stream
from tests.simulation.checker import check
from tests.simulation.network import SimNetwork
from tests.simulation.node import SimNode, is_refusal

NAMESPACE = "acme/support"
KEYS = ("red", "blue", "green")
RECORDS = ("lease", "lock")
STREAM = "events"
QUIET_TICKS = 8.0

Record = Callable[[Any], list[tuple[str, str, Any, Any, int | None]]]
"""Of a response (None: unknown): kind, key, value, result, version for the history."""


class Call:
    """One call of a client: all its attempts share one request number, and the first answer counts."""

    def __init__(self, name: str, request: Any, record: Record, now: float) -> None:
        self.name = name
        self.request = request
        self.record = record
        self.invoked = now
        self.attempts = 0
        self.is_done = False

    @property
    def is_read(self) -> bool:
        return METHODS[self.name].kind == 0

    @property
    def number(self) -> int:
        """Its request number."""
        number: int = self.request.context.request_number
        return number


class Client:
    """One client with one session, and up to three calls at a time."""

    def __init__(
        self, number: int, nodes: dict[int, SimNode], agenda: Agenda, network: SimNetwork, *seed: object
    ) -> None:
        self.number = number
        self.history: list[Operation] = []
        self.appended: dict[bytes, int | None] = {}
        """Events that were sent: the sequence that was acknowledged, or None."""
        self.acknowledged: dict[tuple[bytes, int], int] = {}
        """Writes that were acknowledged, and the log index that their answer shows."""
        self.answered = 0
        self.is_active = True
        self.is_busy = True
        """Whether it calls as often as it likes, or only now and then."""
        self._nodes = nodes
        self._agenda = agenda
        self._network = network
        self._random: Random = stream(*seed, "client", number)
        self._open: list[Call] = []
        self._begin_session()
        self._leader = 0
        self._values = 0
        self._versions: dict[str, int] = {}
        self._patience = self._random.choice((40.0, 100.0))
        self._open_max = self._random.choice((1, 1, 3))
        self._pace = self._random.choice((0.3, 1.0, 3.0))
        agenda.schedule(self._random.uniform(0, 5), self._act)

    def _begin_session(self) -> None:
        self._client_id = self._random.randbytes(16)
        self._last_number = 0
        self._unanswered: list[int] = []
        self._is_known = False
        for call in [call for call in self._open if not call.is_read]:
            self._give_up(call)

    def stop(self) -> None:
        """Makes no more calls; the outcome of those that are open stays unknown."""
        self.is_active = False
        for call in list(self._open):
            self._give_up(call)

    # Calls.

    def _act(self) -> None:
        if self.is_active and len(self._open) < self._open_max:
            self._begin(self._random.choice(_CALLS)(self, self._random))
        pace = self._pace if self.is_busy else QUIET_TICKS
        self._agenda.schedule(self._random.expovariate(1 / pace), self._act)

    def value(self) -> bytes:
        """A JSON text that nobody else ever writes."""
        self._values += 1
        padding = "." * self._random.choice((0, 0, 20, 200))
        return f'"{self.number}-{self._values}{padding}"'.encode()

    def version(self, key: str) -> int:
        """The version that this client saw last, or 0."""
        return self._versions.get(key, 0)

    def context(self) -> WriteContext:
        """The context of the next write of this session."""
        self._last_number += 1
        self._unanswered.append(self._last_number)
        return WriteContext(
            client_id=self._client_id,
            request_number=self._last_number,
            first_unanswered=self._unanswered[0],
            agent=f"agent-{self.number}",
        )

    def _begin(self, call: Call) -> None:
        self._open.append(call)
        self._agenda.schedule(self._patience, lambda: self._give_up(call))
        self._attempt(call)

    def _attempt(self, call: Call) -> None:
        if call.is_done:
            return
        call.attempts += 1
        attempt = call.attempts
        random = self._random
        leaders = [node.id for node in self._nodes.values() if node.leads]
        # Most find the leader, or whoever believes to be one; some ask anybody.
        target = random.choice(leaders if leaders and random.random() < 0.8 else [*self._nodes])
        if self._leader and random.random() < 0.3:
            target = self._leader
        node = self._nodes[target]

        def answer(reply: Any) -> None:
            self._network.call(self.number, lambda: self._answer(call, attempt, reply))

        def arrive() -> None:
            if call.is_read:
                node.read(call.name, call.request, answer)
            else:
                node.write(METHODS[call.name].kind, call.request, answer)

        self._network.call(self.number, arrive)
        self._agenda.schedule(random.uniform(3, 15), lambda: self._retry(call, attempt))

    def _retry(self, call: Call, attempt: int) -> None:
        if call.attempts == attempt:
            self._attempt(call)

    def _answer(self, call: Call, attempt: int, reply: Any) -> None:
        if call.is_done:
            return
        if not is_refusal(reply):
            self._finish(call, reply)
        elif isinstance(reply, Refused):
            check(
                reply.reason in ("SESSION_EXPIRED", "OVERLOADED"),
                f"client {self.number}: {call.name} was refused: {reply}",
            )
            self._give_up(call)
            if reply.reason == "SESSION_EXPIRED":
                # Right only where all earlier calls were given up, so that the shard never heard of it.
                check(not self._is_known, f"client {self.number} lost its session: {reply}")
                self._begin_session()
        else:
            if isinstance(reply, NotLeader):
                self._leader = reply.leader if reply.leader in self._nodes else 0
            self._agenda.schedule(self._random.uniform(0.2, 2), lambda: self._retry(call, attempt))

    def _finish(self, call: Call, reply: Any) -> None:
        self._close(call)
        self.answered += 1
        self._is_known = self._is_known or not call.is_read
        for kind, key, value, result, version in call.record(reply):
            if version is not None and version >> 20 and (kind != "append"):
                self._versions[key] = version
            self._note(call, kind, key, value, result, version, Outcome.OK)
            if kind == "append":
                self.appended[value] = result
            if version is not None and not call.is_read and result is not False:
                self.acknowledged[self._client_id, call.number] = version >> 20

    def _give_up(self, call: Call) -> None:
        """The outcome stays unknown."""
        if call.is_done:
            return
        self._close(call, is_answered=self._random.random() < 0.5)
        for kind, key, value, _result, _version in call.record(None):
            if not call.is_read:
                self._note(call, kind, key, value, None, None, Outcome.INFO)

    def _close(self, call: Call, is_answered: bool = True) -> None:
        call.is_done = True
        self._open.remove(call)
        if not call.is_read and is_answered and call.number in self._unanswered:
            self._unanswered.remove(call.number)

    def _note(
        self, call: Call, kind: str, key: str, value: Any, result: Any, version: int | None, outcome: Outcome
    ) -> None:
        if kind == "append":
            return
        self.history.append(
            Operation(
                process=f"{self.number}.{len(self.history)}", kind=kind, key=key, value=value, result=result,
                invoked=call.invoked, returned=self._agenda.now, outcome=outcome, version=version,
            )
        )  # fmt: skip

    # What is called.

    def _call(self, name: str, request: Any, record: Record) -> Call:
        return Call(name, request, record, self._agenda.now)

    def put(self, random: Random) -> Call:
        """Writes a key whatever it holds."""
        key, value = random.choice(KEYS), self.value()
        request = kv_pb2.PutRequest(namespace=NAMESPACE, context=self.context(), key=key, value=value)
        text = value.decode()
        return self._call("Put", request, lambda reply: [("put", key, text, None, reply and reply.version)])

    def put_if(self, random: Random) -> Call:
        """Writes a key if it has the version that was seen last."""
        key, value = random.choice(KEYS), self.value()
        expected = self.version(key)
        request = kv_pb2.PutRequest(
            namespace=NAMESPACE, context=self.context(), key=key, value=value, if_version=expected
        )
        words = [expected, value.decode()]

        def record(reply: Any) -> list[tuple[str, str, Any, Any, int | None]]:
            done = reply and not reply.conflict
            return [("cas_version", key, words, done, reply.version if done else None)]

        return self._call("Put", request, record)

    def delete(self, random: Random) -> Call:
        """Deletes a key."""
        key = random.choice(KEYS)
        request = kv_pb2.DeleteRequest(namespace=NAMESPACE, context=self.context(), key=key)
        return self._call(
            "Delete", request, lambda reply: [("delete", key, None, reply and reply.found, None)]
        )

    def get(self, random: Random) -> Call:
        """Reads a key."""
        key = random.choice(KEYS)
        context = ReadContext(consistency=CONSISTENCY_LINEARIZABLE)
        request = kv_pb2.GetRequest(namespace=NAMESPACE, context=context, key=key)
        return self._call("Get", request, lambda reply: [_seen("get", key, reply)])

    def swap(self, random: Random) -> Call:
        """Swaps a record, if it has the version that was seen last."""
        name, value = random.choice(RECORDS), self.value()
        expected = self.version(name)
        request = state_pb2.CompareAndSwapRequest(
            namespace=NAMESPACE, context=self.context(), name=name, expected_version=expected, value=value
        )
        words = [expected, value.decode()]

        def record(reply: Any) -> list[tuple[str, str, Any, Any, int | None]]:
            version = reply.version if reply and reply.swapped else None
            if reply and reply.version:
                self._versions[name] = reply.version
            return [("cas_version", name, words, reply and reply.swapped, version)]

        return self._call("CompareAndSwap", request, record)

    def get_state(self, random: Random) -> Call:
        """Reads a record."""
        name = random.choice(RECORDS)
        context = ReadContext(consistency=CONSISTENCY_LINEARIZABLE)
        request = state_pb2.GetStateRequest(namespace=NAMESPACE, context=context, name=name)
        return self._call("GetState", request, lambda reply: [_seen("get", name, reply)])

    def append(self, random: Random) -> Call:
        """Appends an event, which must be there once."""
        payload = self.value()
        self.appended[payload] = None
        request = stream_pb2.AppendRequest(
            namespace=NAMESPACE, context=self.context(), stream=STREAM, type="note", payload=payload
        )
        return self._call(
            "Append",
            request,
            lambda reply: [("append", STREAM, payload, reply and reply.sequence, reply and reply.version)],
        )

    def batch(self, random: Random) -> Call:
        """Writes a key and appends an event, in one command."""
        key, value, payload = random.choice(KEYS), self.value(), self.value()
        self.appended[payload] = None
        request = batch_pb2.BatchRequest(namespace=NAMESPACE, context=self.context())
        request.operations.add().put.CopyFrom(kv_pb2.PutRequest(key=key, value=value))
        event = stream_pb2.AppendRequest(stream=STREAM, type="note", payload=payload)
        request.operations.add().append.CopyFrom(event)
        text = value.decode()

        def record(reply: Any) -> list[tuple[str, str, Any, Any, int | None]]:
            put = reply.results[0].put if reply else None
            appended = reply.results[1].append if reply else None
            return [
                ("put", key, text, None, put and put.version),
                ("append", STREAM, payload, appended and appended.sequence, appended and appended.version),
            ]

        return self._call("Batch", request, record)

    def put_for_a_while(self, random: Random) -> Call:
        """Writes a key that expires, which leaders have to see to."""
        key = f"short/{random.randrange(5)}"
        request = kv_pb2.PutRequest(
            namespace=NAMESPACE, context=self.context(), key=key, value=self.value(),
            ttl_ms=random.choice((50, 1_000, 60_000)),
        )  # fmt: skip
        return self._call("Put", request, lambda reply: [])

    def end_early(self, random: Random) -> Call:
        """Deletes such a key, if it is still there."""
        request = kv_pb2.DeleteRequest(
            namespace=NAMESPACE, context=self.context(), key=f"short/{random.randrange(5)}"
        )
        return self._call("Delete", request, lambda reply: [])

    def remember_for_a_while(self, random: Random) -> Call:
        """Remembers a turn of a conversation, which leaders have to see to: it expires or is evicted."""
        vector = array("f", (random.choice((-1.0, 1.0)), random.choice((0.5, 2.0))))
        request = memory_pb2.RememberRequest(
            namespace=NAMESPACE, context=self.context(), id=f"m{random.randrange(8)}",
            text=self.value().decode(), embedding=vector.tobytes(), fingerprint="two", thread="talk",
            speaker=random.choice(("", "Ann")), ttl_ms=random.choice((0, 50, 1_000, 60_000)),
            pinned=random.random() < 0.1,
        )  # fmt: skip
        return self._call("Remember", request, lambda reply: [])

    def forget_memory(self, random: Random) -> Call:
        """Forgets a memory, if it is still there."""
        request = memory_pb2.ForgetRequest(
            namespace=NAMESPACE, context=self.context(), id=f"m{random.randrange(8)}"
        )
        return self._call("Forget", request, lambda reply: [])

    def keep_few_memories(self, random: Random) -> Call:
        """Changes how many memories there may be, and how long receipts are kept."""
        request = namespace_pb2.SetNamespaceSettingsRequest(
            namespace=NAMESPACE, context=self.context(), receipts_ttl_ms=random.choice((0, 200)),
            memories=namespace_pb2.MemorySettings(entries_max=random.choice((0, 3, 5))),
        )  # fmt: skip
        return self._call("SetNamespaceSettings", request, lambda reply: [])


def _seen(kind: str, key: str, reply: Any) -> tuple[str, str, Any, Any, int | None]:
    if not reply:
        return kind, key, None, None, None
    value = reply.value.decode() if reply.found else None
    return kind, key, None, value, reply.provenance.version if reply.found else None


_CALLS: list[Callable[[Client, Random], Call]] = [
    *([Client.put] * 5),
    *([Client.get] * 6),
    *([Client.put_if] * 2),
    Client.delete,
    *([Client.swap] * 2),
    Client.get_state,
    *([Client.append] * 3),
    Client.batch,
    *([Client.put_for_a_while] * 2),
    Client.end_early,
    *([Client.remember_for_a_while] * 3),
    Client.forget_memory,
    Client.keep_few_memories,
]
