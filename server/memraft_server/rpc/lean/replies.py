"""What the lean engine answers with: header blocks that never change, and those of errors."""

from __future__ import annotations

from binascii import b2a_base64
from urllib.parse import quote

import grpc

from memraft_proto.http2.frames import reply_packer
from memraft_proto.http2.headers import encode
from memraft_server.rpc.errors import DETAILS_KEY

_HEAD = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_ACCEPTED = (b"grpc-accept-encoding", b"identity, gzip")
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

HEAD = encode((*_HEAD, _ACCEPTED))
HEAD_GZIP = encode((*_HEAD, (b"grpc-encoding", b"gzip"), _ACCEPTED))
OK = encode(((b"grpc-status", b"0"),))
pack_reply = reply_packer(HEAD, OK)


def error_block(code: grpc.StatusCode, message: str, details: bytes = b"", has_head: bool = False) -> bytes:
    """The header fields that end a call with an error.

    Args:
        code: what happened.
        message: for people; as gRPC's protocol has it, percent-encoded.
        details: an encoded google.rpc.Status; empty: none.
        has_head: a head was sent already; else this is head and trailers in one.
    """
    fields = [] if has_head else [*_HEAD, _ACCEPTED]
    fields.append((b"grpc-status", str(code.value[0]).encode()))
    if message:
        fields.append((b"grpc-message", quote(message, safe=_PRINTABLE).encode()))
    if details:
        fields.append((DETAILS_KEY.encode(), b2a_base64(details, newline=False).rstrip(b"=")))
    return encode(fields)


def http_error_block(status: int) -> bytes:
    """The answer to what is not gRPC."""
    return encode(((b":status", str(status).encode()), (b"content-length", b"0")))
