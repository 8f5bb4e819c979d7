"""Header fields: HPACK (RFC 7541), and what HTTP/2 asks of them (RFC 9113, section 8).

Decoding is `hpack`'s, behind a cache: a client repeats itself, and the same block means the same fields for
as long as the table that blocks refer to has not changed. Encoding leaves the table alone, so that a block is
a constant: what has been encoded once can be sent for ever, on any connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from .frames import Code, ConnectionFault

Fields = tuple[tuple[bytes, bytes], ...]
"""Names and values, in order; pseudo-header fields such as ``:path`` come first."""

CACHED_BLOCKS_MAX = 256
CACHED_BLOCK_BYTES_MAX = 1_024

_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE_FORBIDDEN = re.compile(rb"[\x00\r\n]|\A[ \t]|[ \t]\Z")
_REQUEST_NAMES = frozenset((b":method", b":scheme", b":path", b":authority"))
_REQUEST_NEEDED = frozenset((b":method", b":scheme", b":path"))
_CONNECTION_NAMES = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)


class Block:
    """A decoded block of header fields.

    Attributes:
        fields: what it says.
        problem: what is wrong with it; empty where nothing is.
        is_head: it begins a stream; else it is trailers.
        is_informational: a response's 1xx, after which the real head follows.
        head: what the owner made of the fields, see ``interpret`` of `HeaderDecoder`.
    """

    __slots__ = ("fields", "problem", "is_head", "is_informational", "head")

    def __init__(self, fields: Fields, problem: str, is_head: bool, is_informational: bool) -> None:
        self.fields = fields
        self.problem = problem
        self.is_head = is_head
        self.is_informational = is_informational
        self.head: Any = fields


_set_table_size = HeaderTable.__dict__["maxsize"].fset


class _Table(HeaderTable):
    """The table of a decoder, that tells whether decoding a block changed it or depended on it."""

    is_changed = False
    is_used = False

    def add(self, name: bytes, value: bytes) -> None:
        self.is_changed = True
        super().add(name, value)

    def get_by_index(self, index: int) -> tuple[bytes, bytes]:
        if index > HeaderTable.STATIC_TABLE_LENGTH:
            self.is_used = True
        return super().get_by_index(index)

    @property
    def maxsize(self) -> int:
        return self._maxsize

    @maxsize.setter
    def maxsize(self, size: int) -> None:
        self.is_changed = True
        _set_table_size(self, size)


class HeaderDecoder:
    """Decodes the blocks of one connection, in the order in which they come.

    Args:
        list_bytes_max: largest list of fields, counted as in RFC 9113: 32 bytes more for each field.
        is_server: blocks are requests; else responses.
        interpret: what the owner makes of the fields of a well-formed head or of trailers; done once a block.

    Attributes:
        ready: block -> what was made of it; of well-formed heads that need no decoding any more.
        ready_trailers: likewise, of trailers.
    """

    def __init__(self, list_bytes_max: int, is_server: bool, interpret: Callable[[Fields], Any]) -> None:
        self.ready: dict[bytes, Any] = {}
        self.ready_trailers: dict[bytes, Any] = {}
        self._blocks: dict[bytes, Block] = {}
        self._unstable: list[bytes] = []
        self._is_server = is_server
        self._interpret = interpret
        self._decoder = Decoder(list_bytes_max)
        self._table = self._decoder.header_table = _Table()

    def decode(self, block: bytes) -> Block:
        """What a block says.

        Raises:
            ConnectionFault: it cannot be decoded, or the list is too large. No further block can be decoded.
        """
        found = self._blocks.get(block)
        if found is not None:
            return found
        table = self._table
        table.is_changed = table.is_used = False
        try:
            fields = tuple(
                (bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)
            )
        except OversizedHeaderListError as error:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, f"header fields: {error}") from None
        except (HPACKError, IndexError) as error:
            # hpack looks at the first byte of a cut-off literal before it looks whether there is one.
            raise ConnectionFault(Code.COMPRESSION_ERROR, f"header fields: {error}") from None
        made = _judge(fields, self._is_server)
        if not made.problem:
            made.head = self._interpret(fields)
        if table.is_changed:
            self._forget()
        elif len(block) <= CACHED_BLOCK_BYTES_MAX:
            self._keep(block, made)
        return made

    def _keep(self, block: bytes, made: Block) -> None:
        if len(self._blocks) >= CACHED_BLOCKS_MAX:
            self._blocks.clear()
            self.ready.clear()
            self.ready_trailers.clear()
            self._unstable.clear()
        self._blocks[block] = made
        if not made.problem and not made.is_informational:
            (self.ready if made.is_head else self.ready_trailers)[block] = made.head
        if self._table.is_used:
            self._unstable.append(block)

    def _forget(self) -> None:
        """Entries of the table have moved: blocks that refer to them mean something else now."""
        for block in self._unstable:
            del self._blocks[block]
            self.ready.pop(block, None)
            self.ready_trailers.pop(block, None)
        self._unstable.clear()


def _judge(fields: Fields, is_server: bool) -> Block:
    """What kind of block this is, and what is wrong with it."""
    pseudo: dict[bytes, bytes] = {}
    problem = ""
    is_past_pseudo = False
    for name, value in fields:
        if _NAME.fullmatch(name) is None:
            problem = problem or f"{name[:40]!r} is no name of a header field"
        elif _VALUE_FORBIDDEN.search(value) is not None:
            problem = problem or f"the value of {name.decode()} has characters that none may have"
        elif name[0] == 0x3A:
            if is_past_pseudo or name in pseudo:
                problem = problem or f"{name.decode()} comes twice or after other fields"
            pseudo[name] = value
            continue
        elif name in _CONNECTION_NAMES or (name == b"te" and value != b"trailers"):
            problem = problem or f"{name.decode()} is not for HTTP/2"
        is_past_pseudo = True
    is_informational = False
    if pseudo and not problem:
        if is_server:
            problem = _request_problem(pseudo)
        else:
            problem = _response_problem(pseudo)
            is_informational = pseudo.get(b":status", b"").startswith(b"1")
    return Block(fields, problem, bool(pseudo), is_informational)


def _request_problem(pseudo: dict[bytes, bytes]) -> str:
    if not pseudo.keys() <= _REQUEST_NAMES:
        return "a request has a pseudo-header field that none may have"
    if not pseudo.keys() >= _REQUEST_NEEDED or not pseudo[b":path"]:
        return "a request needs :method, :scheme and :path"
    return ""


def _response_problem(pseudo: dict[bytes, bytes]) -> str:
    status = pseudo.get(b":status", b"")
    if len(pseudo) != 1 or len(status) != 3 or not status.isdigit():
        return "a response needs :status, three digits, and no other pseudo-header field"
    return ""


def encode(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block that means the same on any connection at any time: from the static table where that has the
    field, else literally and not indexed (RFC 7541, section 6.2.2)."""
    parts: list[bytes] = []
    for name, value in fields:
        entry = HeaderTable.STATIC_TABLE_MAPPING.get(name)
        index = entry[1].get(value) if entry is not None else None
        if index is not None:
            parts.append(_integer(index, 7, 0x80))
            continue
        if entry is not None:
            parts.append(_integer(entry[0], 4, 0))
        else:
            parts += (b"\x00", _integer(len(name), 7, 0), name)
        parts += (_integer(len(value), 7, 0), value)
    return b"".join(parts)


def _integer(value: int, prefix_bits: int, flags: int) -> bytes:
    """An integer of HPACK (RFC 7541, section 5.1)."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes((flags | value,))
    encoded = [flags | most]
    value -= most
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
