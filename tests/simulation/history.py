"""What is checked when a run is over: what clients were told, against each other and against the log."""

from __future__ import annotations

from collections.abc import Sequence

from memraft_cluster.raft import Entry
from memraft_proto.v1 import stream_pb2
from memraft_server.entries import decode_entry
from memraft_server.machine import Machine
from tests.linearizability import check_cells
from tests.simulation.checker import check
from tests.simulation.clients import NAMESPACE, STREAM, Client

EVENTS_MAX = 10_000


def check_history(clients: Sequence[Client], committed: Sequence[Entry], machine: Machine) -> None:
    """Raises `Violation` unless all that clients were told can be, and is in the log once."""
    verdict = check_cells([operation for client in clients for operation in client.history])
    check(verdict.ok is not False, f"the history is not linearizable: {verdict}")
    _check_acknowledged(clients, committed)
    _check_events(clients, machine)


def _check_acknowledged(clients: Sequence[Client], committed: Sequence[Entry]) -> None:
    """The answer to a write is that of its first copy in the log, which is the one that took effect."""
    first: dict[tuple[bytes, int], int] = {}
    for entry in committed:
        if not entry.data or entry.kind:
            continue
        for command in decode_entry(entry.data)[2]:
            context = getattr(command.request, "context", None)
            if context is not None:
                first.setdefault((context.client_id, context.request_number), entry.index)
    for client in clients:
        for call, index in client.acknowledged.items():
            found = first.get(call)
            check(
                found == index,
                f"client {client.number} was told that call {call[1]} took effect at {index}, "
                + (f"but it is in the log first at {found}" if found else "but it is not in the log"),
            )


def _check_events(clients: Sequence[Client], machine: Machine) -> None:
    """Every event that was acknowledged is there, where it was said to be, and no event is there twice."""
    request = stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream=STREAM, limit=EVENTS_MAX)
    payloads: list[bytes] = [event.payload for event in machine.query("ReadStream", request).events]  # type: ignore[attr-defined]
    check(len(payloads) == len(set(payloads)), "an event was applied twice")
    places = {payload: place for place, payload in enumerate(payloads, 1)}
    for client in clients:
        for payload, sequence in client.appended.items():
            place = places.get(payload)
            check(
                sequence is None or place == sequence,
                f"event {payload!r} was acknowledged as number {sequence}, but is number {place}",
            )
