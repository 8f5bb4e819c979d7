"""A machine with short words for tests: each write is an entry of its own, a second after the one before."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from memraft_proto.methods import COMMANDS, METHODS
from memraft_proto.v1.common_pb2 import ReadContext, WriteContext
from memraft_server.machine import Command, Limits, Machine, Refused, check_read, check_write

NAMESPACE = "acme/support"
SECOND_US = 1_000_000
START_US = 1_700_000_000 * SECOND_US

KINDS: dict[type[Message], int] = {message: kind for kind, message in COMMANDS.items()}
READS: dict[type[Message], str] = {m.request: m.name for m in METHODS.values() if not m.kind}
LIMITS = Limits()


def command(request: Any, agent: str = "alice") -> Command:
    """The command that the server makes of a request."""
    return Command(KINDS[type(request)], agent, request)


def session(number: int, first_unanswered: int = 1, client: str = "c", **more: Any) -> WriteContext:
    """The context of a client's write number `number`."""
    client_id = client.encode() * 16
    return WriteContext(client_id=client_id, request_number=number, first_unanswered=first_unanswered, **more)


class Shard:
    """A machine whose clock is in the test's hand. Arguments are checked as a server would."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.machine = Machine(0, limits)
        self.time_us = START_US
        self.check = True

    def entry(self, *requests: Any, agent: str = "alice", seed: int = 7) -> list[Any]:
        """Applies one entry and returns its replies."""
        if self.check:
            for request in requests:
                check_write(KINDS[type(request)], request, LIMITS)
        self.time_us += SECOND_US
        commands = [command(request, agent) for request in requests]
        return self.machine.apply(self.machine.applied_index + 1, self.time_us, seed, commands)

    def write(self, request: Any, agent: str = "alice") -> Any:
        """Applies one write; raises what it was refused with."""
        reply = self.entry(request, agent=agent)[0]
        if isinstance(reply, Refused):
            raise reply
        return reply

    def read(self, request: Any, *, at_index: int | None = None, at_time_us: int | None = None) -> Any:
        """Answers a read, as of now or of a moment."""
        if at_index is not None:
            request.context.CopyFrom(ReadContext(at_index=at_index))
        if at_time_us is not None:
            request.context.CopyFrom(ReadContext(at_time_us=at_time_us))
        name = READS[type(request)]
        if self.check:
            check_read(name, request, LIMITS)
        return self.machine.query(name, request)
