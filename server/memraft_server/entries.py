"""What a log entry looks like inside: a stamped header, and each command with the bytes its caller sent.

An entry is a header, then one MessagePack array of commands; a command is ``[kind, agent, request]``, where
``request`` is the protobuf message as it came over the wire, never encoded again. Of a Batch that only puts
documents it is the message without its operations, and ``[kind, agent, request, keys, values]`` has them as
two columns: the leader has cut them out, and followers need not. The header has a fixed form because the
leader, which kept the parsed commands, reads nothing else of its own entries.

Everything that is not deterministic enters here, once, before the entry is proposed: the commit time and the
seed of generated ids.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Sequence

import msgspec
from google.protobuf.message import DecodeError, Message

from memraft_proto.methods import COMMANDS, KIND_BATCH
from memraft_server.clock import steady_time_us
from memraft_server.machine import Command
from memraft_server.machine.puts import Puts, plain_puts

FORMAT = 2
FORMATS = frozenset((1, FORMAT))
"""Those that can be read; in the first no command had columns."""
HEADER = struct.Struct(">BqQB")
"""Format, commit time in microseconds, seed, and the code of what follows."""
ARRAY32 = 0xDD
"""MessagePack: an array whose length follows in four bytes, big-endian."""
LENGTH = struct.Struct(">I")


class RawCommand(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """A command as it stands in an entry."""

    kind: int
    agent: str
    request: bytes
    keys: list[str] = []
    values: list[bytes] = []


_encode = msgspec.msgpack.Encoder().encode
_decode_commands = msgspec.msgpack.Decoder(list[RawCommand]).decode
_PARSERS: dict[int, Callable[[bytes], Message]] = {
    kind: message.FromString for kind, message in COMMANDS.items()
}


class EntryMalformed(Exception):
    """An entry that this version cannot read. Nothing may be skipped in a log, so it ends the process."""


def encode_command(kind: int, agent: str, request: bytes, puts: Puts | None = None) -> bytes:
    """One command as it stands in an entry.

    Args:
        kind: as in ``memraft_proto.methods.COMMANDS``.
        agent: who writes, as admission found it.
        request: the encoded request.
        puts: what it puts, cut out of these bytes, where it is a Batch that does nothing else.
    """
    if puts is not None:
        return _encode((kind, agent, puts.head, puts.keys, puts.values))
    return _encode((kind, agent, request))


class EntryBuilder:
    """Makes entries on the leader: stamps the commit time and the seed of generated ids.

    Args:
        clock_us: microseconds since the Unix epoch; need not be monotonic, the machine sees to that.
        seed: 64 random bits for each entry.
    """

    def __init__(
        self,
        clock_us: Callable[[], int] = steady_time_us,
        seed: Callable[[], int] = lambda: secrets.randbits(64),
    ) -> None:
        self._clock_us = clock_us
        self._seed = seed
        self._floor_us = 0

    def keep_above(self, time_us: int) -> None:
        """From now on no entry is stamped at or below ``time_us``: a read was told how things stood then."""
        if time_us > self._floor_us:
            self._floor_us = time_us

    def stamp_us(self) -> int:
        """The commit time of an entry that is made now, in microseconds since the Unix epoch."""
        return max(self._clock_us(), self._floor_us + 1)

    def build(self, commands: Sequence[bytes]) -> bytes:
        """The data of one entry; ``commands`` as :func:`encode_command` made them."""
        header = HEADER.pack(FORMAT, self.stamp_us(), self._seed(), ARRAY32)
        return b"".join((header, LENGTH.pack(len(commands)), *commands))


def decode_header(data: bytes) -> tuple[int, int]:
    """Commit time in microseconds and seed of an entry. Raises EntryMalformed."""
    if len(data) < HEADER.size + LENGTH.size or data[0] not in FORMATS:
        found = data[0] if data else "none"
        raise EntryMalformed(
            f"an entry of {len(data)} bytes and format {found}; this version reads up to {FORMAT}"
        )
    _, time_us, seed, _ = HEADER.unpack_from(data)
    return time_us, seed


def decode_entry(data: bytes) -> tuple[int, int, list[Command]]:
    """Commit time in microseconds, seed and commands of an entry. Raises EntryMalformed."""
    time_us, seed = decode_header(data)
    try:
        commands = _decode_commands(memoryview(data)[HEADER.size - 1 :])
        return time_us, seed, [_parsed(each) for each in commands]
    except (msgspec.DecodeError, DecodeError, KeyError, ValueError) as error:
        raise EntryMalformed(f"an entry of {len(data)} bytes cannot be read: {error!r}") from error


def _parsed(command: RawCommand) -> Command:
    """Raises DecodeError, KeyError, ValueError."""
    kind, raw, keys, values = command.kind, command.request, command.keys, command.values
    puts = None
    if keys:
        if kind != KIND_BATCH or len(keys) != len(values):
            raise ValueError(f"{len(keys)} keys and {len(values)} values in a command of kind {kind}")
        puts = Puts(keys, values, raw)
    elif kind == KIND_BATCH:
        puts = plain_puts(raw)  # of the first format, or written in process
    return Command(kind, command.agent, _PARSERS[kind](raw), puts)
