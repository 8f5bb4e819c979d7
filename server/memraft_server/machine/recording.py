"""The recording of a run: what every command of it asked for, and what it was told.

It is kept as a stream of events that no caller can name, so it is on disk, in forks and in backups as
streams are, and its chain of hashes, over requests and replies, is the hash of the state after each step as
far as the run could see it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from google.protobuf.message import Message

from memraft_server.machine.commands import Command
from memraft_server.machine.facts import encode_body
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused
from memraft_server.machine.sessions import keep_refusal
from memraft_server.machine.turn import Handler, Turn
from memraft_server.machine.validate_common import shown
from memraft_server.projections.runs import RunsProjection
from memraft_server.projections.streams import HIDDEN, Stream, StreamsProjection


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One command of a run.

    Attributes:
        kind: The number of its operation.
        request: Its encoded request, without namespace and context.
        reply: Its encoded reply, or its refusal as `sessions.keep_refusal` has it.
    """

    kind: int
    request: bytes
    reply: bytes


_OF_RUNS = (13, 14)
"""Kinds of the commands that begin and end runs."""

decode_step = msgspec.msgpack.Decoder(Step).decode


def stream_of(run_id: str) -> str:
    """Returns the name of the stream that a run is recorded in."""
    return f"{HIDDEN}run/{run_id}"


def find_recording(space: Namespace, run_id: str) -> Stream | None:
    """Returns the recorded commands of a run, None where there are none."""
    return space.projection(StreamsProjection).find(stream_of(run_id))


def steps_of(space: Namespace, run_id: str, ceiling: int) -> int:
    """Returns how many commands of a run were recorded as of version `ceiling`."""
    recording = find_recording(space, run_id)
    return recording.count_at(ceiling) if recording is not None else 0


def bare_request(request: Message) -> bytes:
    """Returns a request as it is recorded: encoded, without what says where and for whom."""
    bare: Any = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("namespace")
    bare.ClearField("context")
    encoded: bytes = bare.SerializeToString()
    return encoded


def in_run(turn: Turn, space: Namespace, command: Command, handler: Handler) -> Message:
    """Applies a command that names a run, and records it where its run is being recorded.

    In a recorded run that has ended nothing is done any more: its recording would not have it, and yet pass
    for complete. Beginning and ending it say themselves that it is over. A run that is not recorded is a
    label: traces of it may be imported later.

    Raises:
        Refused: `RUN_ENDED`; what the handler refuses.
    """
    run = space.projection(RunsProjection).find(turn.author.run)
    if run is None or not run.recorded:
        return handler(turn, space, command.request)
    if run.ended_version:
        if _is_of_run(command, run.run_id):
            return handler(turn, space, command.request)
        raise Refused(
            "RUN_ENDED",
            f"context.run: run {shown(run.run_id)} in {shown(space.name)} has ended; nothing was written",
            {"run": run.run_id},
        )
    try:
        reply = handler(turn, space, command.request)
    except Refused as refused:
        _record(turn, space, command, keep_refusal(refused))
        raise
    _record(turn, space, command, reply.SerializeToString())
    return reply


def _is_of_run(command: Command, run_id: str) -> bool:
    """Whether a command begins or ends this run."""
    request: Any = command.request
    return command.kind in _OF_RUNS and request.run_id == run_id


def _record(turn: Turn, space: Namespace, command: Command, reply: bytes) -> None:
    streams = space.projection(StreamsProjection)
    stream = streams.get_or_make(space.name, stream_of(turn.author.run))
    step = encode_body(Step(command.kind, bare_request(command.request), reply))
    streams.append(stream, turn.version, turn.time_us, turn.new_id(), turn.author, "", step)
