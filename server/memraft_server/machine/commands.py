"""One command of an entry, parsed."""

from __future__ import annotations

from typing import Any

import msgspec
from google.protobuf.message import Message

from memraft_server.machine.puts import Puts


class Command(msgspec.Struct, gc=False):
    """What one caller asked for.

    Attributes:
        kind: The number of its operation (`memraft_proto.methods`).
        agent: Who writes, as the server established it.
        request: The parsed request, of the class `COMMANDS[kind]`; without operations where `puts` has them
            and the command was read out of an entry.
        puts: What a Batch puts, where that is all that it has and it came as bytes; see `puts`.
    """

    kind: int
    agent: str
    request: Message
    puts: Puts | None = None


def whole(command: Command) -> Command:
    """Gives the request of a Batch that was parsed without its operations those that it has."""
    puts = command.puts
    if puts is not None:
        operations: Any = command.request.operations  # type: ignore[attr-defined]
        if not operations:
            for key, value in zip(puts.keys, puts.values, strict=True):
                put = operations.add().put
                put.key, put.value = key, value
    return command
