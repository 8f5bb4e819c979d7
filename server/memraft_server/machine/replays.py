"""Applies the recorded commands of a run again, where nobody else sees it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from memraft_proto.methods import COMMANDS, METHODS
from memraft_proto.v1 import run_pb2
from memraft_server.machine.contents import contents_of
from memraft_server.machine.entries import EntryTable
from memraft_server.machine.facts import encode_body
from memraft_server.machine.forks import Spaces
from memraft_server.machine.lapses import Lapses
from memraft_server.machine.limits import COPIED_BYTES_MAX, POSITION_BITS, REPLY_TEXTS_BYTES_MAX
from memraft_server.machine.namespaces import Namespace, Origin, Tenant
from memraft_server.machine.recording import Step, decode_step, find_recording
from memraft_server.machine.refused import Refused
from memraft_server.machine.retention import refuse_before
from memraft_server.machine.sessions import keep_refusal, kept_refusal
from memraft_server.machine.steps import difference, shown_value
from memraft_server.machine.trial import TrialNotes
from memraft_server.machine.turn import Handler, Turn, View
from memraft_server.projections.events import FIRST_PREV_HASH, EventRecord, event_hash
from memraft_server.projections.runs import RunRecord, RunsProjection
from memraft_server.projections.streams import Stream
from memraft_server.projections.versions import NOW, Author

REPLAYED_STEPS_MAX = 10_000
"""Most commands that one call applies again: some tens of microseconds each, without other calls."""

_NOT_IN_FORKS = frozenset(
    METHODS[name].kind
    for name in ("Fork", "DropFork", "MergeFork", "BeginReembed", "StoreEmbeddings", "FinishReembed")
)
"""What these do depends on namespaces that a replay leaves out, or no fork takes it, and a replay is one."""

_NOBODY = Author("", "", "")

Handlers = Mapping[int, Handler]


def ghost_of(space: Namespace, base: int) -> Namespace:
    """Returns a fork that nobody knows of: it is in no list, on no disk, and counts for nobody. What is
    locked is locked in it, too."""
    return Namespace(
        space.name, Tenant(), TrialNotes(None, 0, space.notes, base), Origin(space, base, base, _NOBODY)
    )


def existing_run(view: View, space: Namespace, run_id: str) -> tuple[RunRecord, Stream]:
    """Returns a run and the stream of its recorded commands.

    Raises:
        Refused: `NO_SUCH_RUN`; `NOT_RECORDED`; `BEFORE_RETENTION`.
    """
    run = space.projection(RunsProjection).at(run_id, view.ceiling)
    if run is None:
        raise Refused("NO_SUCH_RUN", f"run_id: no run {run_id!r} in {space.name!r}")
    if not run.recorded:
        raise Refused(
            "NOT_RECORDED", f"run_id: run {run_id!r} was not recorded: it was begun without `record`"
        )
    refuse_before(view.entries, space, run.began_version)
    return run, find_recording(space, run_id) or Stream(space.name, run_id, b"")


def recorded_steps(recording: Stream, ceiling: int, count_max: int) -> list[tuple[EventRecord, Step]]:
    """Returns the first recorded commands of a run, with their events."""
    events = recording.events[: min(recording.count_at(ceiling), count_max)]
    return [(event, decode_step(event.payload)) for event in events]


class Replay:
    """Applies steps to a ghost.

    Args:
        entries: Where times and seeds of the versions are.
        space: The ghost.
        handlers: Of all commands.
    """

    def __init__(self, entries: EntryTable, space: Namespace, handlers: Handlers) -> None:
        self.space = space
        self._entries = entries
        self._handlers = handlers
        self._turn = Turn(entries, Spaces(None))
        self._lapses = Lapses(entries, space)

    def apply(self, event: EventRecord, step: Step) -> bytes:
        """Applies a step as it was applied: at the version, time and seed of `event`, by its author. What
        time ended of what earlier steps wrote is ended first.

        Returns:
            The encoded reply, or refusal.
        """
        version, turn = event.version, self._turn
        self._lapses.repeat(version)
        turn.begin_entry(
            version >> POSITION_BITS, self._entries.time_us(version), self._entries.seed(version)
        )
        turn.version, turn.author, turn.items = version, event.author, 1
        turn.texts_bytes_left, turn.copied_bytes_left = REPLY_TEXTS_BYTES_MAX, COPIED_BYTES_MAX
        request: Any = COMMANDS[step.kind].FromString(step.request)
        request.namespace = self.space.name
        try:
            reply = self._handlers[step.kind](turn, self.space, request)
        except Refused as refused:
            return keep_refusal(refused)
        encoded: bytes = reply.SerializeToString()
        return encoded


def replay_run(
    view: View, space: Namespace, request: run_pb2.ReplayRunRequest, handlers: Handlers
) -> run_pb2.ReplayRunResponse:
    """Replays a run from the moment at which it began."""
    run, recording = existing_run(view, space, request.run_id)
    steps = recorded_steps(recording, view.ceiling, request.steps_max or REPLAYED_STEPS_MAX)
    replay = Replay(view.entries, ghost_of(space, run.began_version), handlers)
    response = run_pb2.ReplayRunResponse(
        verdict=run_pb2.REPLAY_VERDICT_SAME,
        steps=len(steps),
        recorded_steps=recording.count_at(view.ceiling),
        recorded_hash=recording.hash_of(len(steps)),
    )

    def alone(event: EventRecord, step: Step) -> tuple[bytes, Namespace]:
        """Applies a step to what really was there before it, of others, too; returns reply and namespace."""
        ghost = ghost_of(space, event.version - 1)
        return Replay(view.entries, ghost, handlers).apply(event, step), ghost

    digest = FIRST_PREV_HASH
    for number, (event, step) in enumerate(steps, 1):
        reply = replay.apply(event, step)
        if _is_same(step.reply, reply):
            reply = step.reply
        else:
            is_outside = step.kind in _NOT_IN_FORKS or _is_same(step.reply, alone(event, step)[0])
            _note(response, difference(number, step, replace(step, reply=reply)), is_outside)
        payload = encode_body(replace(step, reply=reply))
        digest = _chained(view, recording, digest, number, replace(event, payload=payload))
        if _chained(view, recording, recording.hash_of(number - 1), number, event) != recording.hash_of(
            number
        ):
            _note(response, difference(number, step, None), False)
    response.replayed_hash = digest
    if response.verdict != run_pb2.REPLAY_VERDICT_DIFFERS:
        _compare_contents(response, space, replay.space, steps, alone)
    return response


def _is_same(recorded: bytes, replayed: bytes) -> bool:
    """Whether two replies are the same. The message of a refusal names the namespace, which may be a fork."""
    if recorded == replayed:
        return True
    was, now = kept_refusal(recorded), kept_refusal(replayed)
    return was is not None and now is not None and was.reason == now.reason


def _chained(view: View, recording: Stream, digest: bytes, number: int, event: EventRecord) -> bytes:
    """Returns the hash of a recorded command that comes after the one with the hash `digest`."""
    id, time_us = view.entries.id_of(event.version), view.entries.time_us(event.version)
    return event_hash(digest, recording.prefix, number, id, time_us, event)


def _note(response: run_pb2.ReplayRunResponse, found: run_pb2.StepDifference, is_outside: bool) -> None:
    """Notes a step that did something else; what nothing explains counts more than what others explain."""
    response.outside_steps += is_outside
    if is_outside and response.verdict == run_pb2.REPLAY_VERDICT_SAME:
        response.verdict = run_pb2.REPLAY_VERDICT_OUTSIDE
    elif not is_outside and response.verdict != run_pb2.REPLAY_VERDICT_DIFFERS:
        response.verdict = run_pb2.REPLAY_VERDICT_DIFFERS
    else:
        return
    found.is_outside = is_outside
    response.first_difference.CopyFrom(found)


def _compare_contents(
    response: run_pb2.ReplayRunResponse,
    space: Namespace,
    replayed: Namespace,
    steps: list[tuple[EventRecord, Step]],
    alone: Callable[[EventRecord, Step], tuple[bytes, Namespace]],
) -> None:
    """Compares what the replay wrote last of each with what stands in the namespace at the same version."""
    theirs = contents_of(space)
    for kind, content in contents_of(replayed).items():
        for name in sorted(set(content.changed(0, NOW))):
            item = content.at(name, NOW)
            if item is None:
                continue
            stored = theirs[kind].at(name, item.version)
            if stored == item:
                continue
            number = bisect_right(steps, item.version, key=lambda step: step[0].version)
            written = contents_of(alone(*steps[number - 1])[1])[kind].at(name, item.version)
            found = run_pb2.StepDifference(
                step=number,
                call=f"{kind} {name!r}",
                left=shown_value(stored.value if stored is not None else None),
                right=shown_value(item.value),
            )
            _note(response, found, is_outside=written == stored)
            if response.verdict == run_pb2.REPLAY_VERDICT_DIFFERS:
                return
