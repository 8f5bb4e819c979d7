"""Whatever well-formed message stands in the log: applying it is a reply or a refusal, alike everywhere."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from memraft_proto.methods import (
    COMMANDS,
    KIND_EVICT,
    KIND_EVICT_MEMORIES,
    KIND_EXPIRE,
    KIND_EXPIRE_LEASES,
    KIND_RECORD_RECALLS,
    KIND_TRIM,
    METHODS,
)
from memraft_proto.v1.common_pb2 import WriteContext
from memraft_server.machine import Command, Limits, Machine, Refused, check_read, check_write

LIMITS = Limits()
NAMES = ("", "k", "k2", "s", "cafe", "\x00", "é" * 300)
"""Few names, so that operations meet each other's records."""
BLOBS = (
    b"",
    b"1",
    b'{"a": 1}',
    b"{",
    b"\xff",
    b"\x00\x00\x80?" * 3,
    b"\x00\x00\xc0\x7f",
    b"12345",
    b"c" * 16,
)

_BYTES = st.sampled_from(BLOBS)
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_STRING: st.sampled_from(NAMES),
    FieldDescriptor.CPPTYPE_UINT32: st.sampled_from([0, 1, 3, 2**32 - 1]),
    FieldDescriptor.CPPTYPE_UINT64: st.sampled_from([0, 1, 2, 1 << 20, 2**64 - 1]),
    FieldDescriptor.CPPTYPE_INT64: st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]),
    FieldDescriptor.CPPTYPE_INT32: st.sampled_from([0, 1, -1]),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_FLOAT: st.sampled_from([0.0, 0.5, -1.0, float("nan"), float("inf")]),
    FieldDescriptor.CPPTYPE_DOUBLE: st.sampled_from([0.0, 0.5, -1.0, float("nan"), float("inf")]),
    FieldDescriptor.CPPTYPE_ENUM: st.sampled_from([0, 1, 2, 3, 99]),
}


contexts = st.builds(
    WriteContext,
    client_id=st.sampled_from([b"", b"c" * 16, b"d" * 16, b"short"]),
    request_number=st.sampled_from([1, 2, 3, 0, 2**64 - 1]),
    first_unanswered=st.sampled_from([1, 1, 1, 0, 2, 2**64 - 1]),
    run=st.sampled_from(NAMES),
)
"""Few clients and numbers, so that a number comes back: as a retry, or with another call."""


IS_SET = st.sampled_from([True, True, True, False])
NAMESPACES = st.sampled_from(["acme/a", "acme/b"])


@cache
def messages(kind: type[Message]) -> st.SearchStrategy[Any]:
    """A message of class `kind` whose every field may hold anything that its type allows. Made once each:
    that takes longer than to draw from it."""
    return _messages(kind)


@cache
def several(part: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """A few of them."""
    return st.lists(part, max_size=3)


@st.composite
def _messages(draw: st.DrawFn, kind: type[Message]) -> Any:
    message: Any = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.name == "namespace":
            if kind in _TOP:
                message.namespace = draw(NAMESPACES)
            continue
        if not draw(IS_SET):
            continue
        if field.message_type is WriteContext.DESCRIPTOR:
            message.context.CopyFrom(draw(contexts))
            continue
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            part = messages(field.message_type._concrete_class)
            if repeated:
                getattr(message, field.name).extend(draw(several(part)))
            else:
                getattr(message, field.name).CopyFrom(draw(part))
            continue
        value = _BYTES if field.type == FieldDescriptor.TYPE_BYTES else _SCALARS[field.cpp_type]
        if repeated:
            getattr(message, field.name).extend(draw(several(value)))
        else:
            setattr(message, field.name, draw(value))
    return message


OWN_KINDS = {KIND_EXPIRE, KIND_EXPIRE_LEASES, KIND_EVICT, KIND_TRIM, KIND_EVICT_MEMORIES, KIND_RECORD_RECALLS}
"""Commands that leaders write themselves: they have no context."""
_TOP = {*COMMANDS.values(), *(method.request for method in METHODS.values())}
_READS = sorted(method.name for method in METHODS.values() if method.access.value == "read")
commands = st.sampled_from(sorted(COMMANDS)).flatmap(
    lambda kind: st.builds(
        Command, st.just(kind), st.sampled_from(["alice", "alice", "bob"]), messages(COMMANDS[kind])
    )
)
reads = st.sampled_from(_READS).flatmap(
    lambda name: messages(METHODS[name].request).map(lambda request: (name, request))
)


@settings(max_examples=150)
@given(st.lists(st.lists(commands, max_size=4), min_size=1, max_size=5), st.lists(reads, max_size=5))
def test_nothing_in_the_log_breaks_a_machine(log: list[list[Command]], questions: list[Any]) -> None:
    machine, replica = Machine(0), Machine(0)
    for index, entry in enumerate(log, 1):
        again = [
            Command(c.kind, c.agent, COMMANDS[c.kind].FromString(c.request.SerializeToString()))
            for c in entry
        ]
        replies = machine.apply(index, 1_000 * index, index, entry)
        others = replica.apply(index, 1_000 * index, index, again)
        assert len(replies) == len(entry)
        for reply, other in zip(replies, others, strict=True):
            if isinstance(reply, Refused):
                assert isinstance(other, Refused) and reply.reason == other.reason
            else:
                assert not isinstance(other, Refused)
                assert reply.SerializeToString() == other.SerializeToString()
        assert machine.applied_hash == replica.applied_hash
    for name, request in questions:
        try:
            check_read(name, request, LIMITS)
            machine.query(name, request)
        except Refused:
            pass


@pytest.mark.parametrize("second", sorted(COMMANDS))
@settings(max_examples=25)
@given(data=st.data())
def test_no_kind_breaks_a_machine_under_a_number_that_another_kind_used(
    second: int, data: st.DataObject
) -> None:
    """A client's number is its own business: whatever call it used it for before, and however malformed."""
    context = WriteContext(client_id=b"c" * 16, request_number=1, first_unanswered=1)
    after: Any = data.draw(messages(COMMANDS[second]))
    for first in sorted(COMMANDS):
        before: Any = data.draw(messages(COMMANDS[first])) if first == second else COMMANDS[first]()
        machine = Machine(0)
        for index, (kind, request) in enumerate(((first, before), (second, after)), 1):
            request.namespace = "acme/a"
            if kind not in OWN_KINDS:
                request.context.CopyFrom(context)
            (reply,) = machine.apply(index, index, index, [Command(kind, "alice", request)])
        if not OWN_KINDS & {first, second} and first != second:
            assert isinstance(reply, Refused) and "was used for another call" in reply.message
        elif first == second and not isinstance(reply, Refused):
            assert isinstance(reply, type(machine.apply(3, 3, 3, [Command(second, "alice", after)])[0]))


@pytest.mark.parametrize("kind", sorted(COMMANDS))
def test_checks_refuse_or_pass_whatever_comes(kind: int) -> None:
    @settings(max_examples=50)
    @given(messages(COMMANDS[kind]))
    def check(request: Any) -> None:
        try:
            check_write(kind, request, LIMITS)
        except Refused as refused:
            assert refused.reason == "INVALID_ARGUMENT"
            assert ":" in refused.message and len(refused.message) < 400

    check()
