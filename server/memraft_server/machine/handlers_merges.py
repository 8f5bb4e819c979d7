"""Takes what was written in a fork over into its parent.

What a fork wrote under a name is taken where the parent has not changed the name since the fork was made or
last merged. Where both did, and differently, it is a conflict. Streams have none: events are only ever added,
and the fork's come after the parent's own. Locks are not merged.
"""

from __future__ import annotations

from heapq import heappush

import msgspec
from msgspec.structs import replace

from memraft_proto.v1 import fork_pb2
from memraft_server.machine.contents import (
    DOCUMENT,
    LEASE,
    MEMORY,
    RUN,
    SETTING,
    STREAM,
    VECTOR,
    Content,
    contents_of,
    kind_name,
    shown_name,
    vectors_of,
)
from memraft_server.machine.forgetting import forget_memory, note_limits
from memraft_server.machine.forks import fork_name
from memraft_server.machine.handlers_indexes import follow_settings
from memraft_server.machine.handlers_memories import store_memory
from memraft_server.machine.handlers_settings import SCHEMAS_MAX
from memraft_server.machine.handlers_vectors import want_index
from memraft_server.machine.limits import INDEXES_MAX, ITEMS_MAX
from memraft_server.machine.lookups import INDEX_SETTING
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.tables import RECORD_TABLES
from memraft_server.machine.turn import Handler, Turn
from memraft_server.projections.events import EventRecord
from memraft_server.projections.forgetting import ForgettingProjection, Why
from memraft_server.projections.memories import NO_ROW, MemoryStore
from memraft_server.projections.merges import MergesProjection
from memraft_server.projections.rows import ALIVE
from memraft_server.projections.runs import RunsProjection
from memraft_server.projections.settings import SCHEMA
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.vectors import VectorStore
from memraft_server.projections.versions import NOW, VersionedRecords

CONFLICTS_SHOWN_MAX = 1_000

_SETTINGS_MAX = (("indexes", INDEX_SETTING, INDEXES_MAX), ("schemas", SCHEMA, SCHEMAS_MAX))

Change = tuple[str, str]
"""(kind, name)."""


class _Side(msgspec.Struct):
    """The parent or the fork, with all that it holds by kind."""

    space: Namespace
    contents: dict[str, Content]

    def version(self, change: Change, ceiling: int = NOW) -> int:
        item = self.contents[change[0]].at(change[1], ceiling)
        return item.version if item is not None else 0

    def value(self, change: Change) -> bytes | None:
        item = self.contents[change[0]].at(change[1], NOW)
        return item.value if item is not None else None


def merge_fork(
    turn: Turn, space: Namespace, request: fork_pb2.MergeForkRequest
) -> fork_pb2.MergeForkResponse:
    """Merges a fork, all of it or nothing."""
    fork = space.forks.get(fork_name(space.name, request.fork))
    if fork is None or fork.origin is None:
        message = f"fork: {space.name!r} has no fork {request.fork!r}"
        raise Refused("NO_SUCH_FORK", message, {"fork": request.fork})
    merged = space.projection(MergesProjection).merged(fork.name, fork.origin.version)
    base = max(fork.origin.base, merged)
    ours, theirs = _Side(space, contents_of(space)), _Side(fork, contents_of(fork))
    changes = _changes(theirs, merged)
    conflicts = _conflicts(ours, theirs, changes, base)
    response = fork_pb2.MergeForkResponse(
        version=turn.version, time_us=turn.time_us, conflict_count=len(conflicts)
    )
    for change in conflicts[:CONFLICTS_SHOWN_MAX]:
        response.conflicts.add(
            kind=change[0],
            name=shown_name(*change),
            base_version=ours.version(change, base),
            ours_version=ours.version(change),
            theirs_version=theirs.version(change),
        )
    if conflicts and request.on_conflict != fork_pb2.ON_CONFLICT_THEIRS:
        if request.on_conflict != fork_pb2.ON_CONFLICT_OURS:
            response.conflict = True
            return response
        kept = set(conflicts)
        changes = [change for change in changes if change not in kept]
    response.merged = _Merge(turn, ours.space, fork, merged).apply(changes)
    turn.note_crowded(space)
    note_limits(turn, space)
    turn.spaces.note_receipts(space.name, space.settings is not None and space.settings.receipts_ttl_ms > 0)
    return response


def _changes(theirs: _Side, merged: int) -> list[Change]:
    """What was written in a fork and is not merged yet. Memories come before vectors, nodes before edges."""
    found = []
    for kind, content in theirs.contents.items():
        if kind != LEASE:
            found += [(kind, name) for name in sorted(set(content.changed(merged, NOW)))]
    return sorted(found, key=lambda change: change[0] == "edge")


def _conflicts(ours: _Side, theirs: _Side, changes: list[Change], base: int) -> list[Change]:
    return [
        change
        for change in changes
        if change[0] != STREAM
        and ours.version(change, base) != ours.version(change)
        and ours.value(change) != theirs.value(change)
    ]


class _Merge:
    """One merge: counts the versions that it takes."""

    def __init__(self, turn: Turn, parent: Namespace, fork: Namespace, merged: int) -> None:
        self._turn = turn
        self._parent = parent
        self._fork = fork
        self._merged = merged
        self._taken = 0

    def apply(self, changes: list[Change]) -> int:
        """Takes changes over; returns how many records and events those are.

        Raises:
            Refused: they are more than one command may carry, or do not fit what the parent has by now.
        """
        count = sum(self._weight(change) for change in changes)
        if count >= ITEMS_MAX:
            raise invalid(
                f"fork: {count} records and events to merge, at most {ITEMS_MAX - 1} in one command"
            )
        self._check_embeddings(changes)
        settings = [name for kind, name in changes if kind == SETTING]
        self._check_settings(settings)
        take = {STREAM: self._stream, MEMORY: self._memory, VECTOR: self._vector, RUN: self._run}
        for kind, name in changes:
            if kind in take:
                take[kind](name)
            else:
                self._record(kind, name)
        if settings:
            follow_settings(self._parent, self._turn.index_due)
        origin, turn = self._fork.origin, self._turn
        made = origin.version if origin is not None else 0
        self._parent.projection(MergesProjection).note(self._fork.name, made, self._next(), turn.author)
        turn.items = self._taken
        return count

    def _next(self) -> int:
        self._taken += 1
        return self._turn.version + self._taken - 1

    def _weight(self, change: Change) -> int:
        kind, name = change
        if kind == STREAM:
            return len(self._events(name))
        return {RUN: 2, VECTOR: 2}.get(kind, 1)

    def _events(self, name: str) -> list[EventRecord]:
        stream = self._fork.projection(StreamsProjection).streams.get(name)
        events = stream.own_events() if stream is not None else []
        return [event for event in events if event.version > self._merged]

    def _check_embeddings(self, changes: list[Change]) -> None:
        """Refuses vectors of another model than the parent's, before anything is changed."""
        kinds = {kind for kind, _ in changes}
        ours, theirs = self._parent.projection(MemoryStore), self._fork.projection(MemoryStore)
        if MEMORY in kinds and ours.dimension and theirs.dimension:
            has, origin = theirs.models().main, self._fork.origin
            # Where the parent has moved to another model since, texts come without what was made of them.
            began = origin is not None and ours.models(origin.base).named(has.dimension, has.fingerprint)
            if not began and ours.model_for(has.dimension, has.fingerprint) is None:
                raise Refused(
                    "EMBEDDING_MISMATCH",
                    f"memories of {self._parent.name!r} have embeddings of {ours.dimension} components by "
                    f"{ours.fingerprint!r}, those of the fork {has.dimension} by {has.fingerprint!r}",
                )
        if VECTOR in kinds:
            for collection in self._fork.projection(VectorStore).all():
                mine = self._parent.projection(VectorStore).get(collection.name)
                if mine is not None and mine.settings != collection.settings:
                    raise Refused(
                        "COLLECTION_MISMATCH",
                        f"collection {collection.name!r} was made with other settings in "
                        f"{self._parent.name!r} than in the fork",
                        {"collection": collection.name},
                    )

    def _check_settings(self, names: list[str]) -> None:
        """Refuses more indexes or schemas than a namespace may have, before anything is changed."""
        if not names:
            return
        mine, theirs = _table(self._parent, SETTING), _table(self._fork, SETTING)
        for what, prefix, count_max in _SETTINGS_MAX:
            after = {name for name in mine.heads if name.startswith(prefix) and mine.head(name) is not None}
            for name in names:
                if name.startswith(prefix):
                    (after.add if theirs.head(name) is not None else after.discard)(name)
            if len(after) > count_max:
                raise invalid(
                    f"fork: {self._parent.name!r} would have {len(after)} {what}, at most {count_max}",
                    limit=str(count_max),
                )

    def _record(self, kind: str, name: str) -> None:
        mine, theirs = _table(self._parent, kind), _table(self._fork, kind)
        record, version = theirs.head(name), self._next()
        if record is None or record.value is None:
            mine.remove(name, version, self._turn.author)
        elif kind == DOCUMENT:
            self._parent.kv.put(name, record.value, version, record.author, record.expires_at_us)
            if record.expires_at_us:
                heappush(self._turn.expiries, (record.expires_at_us, version, self._parent.name, name))
        else:
            mine.store(name, record.value, version, record.author, record.expires_at_us)

    def _stream(self, name: str) -> None:
        streams, turn = self._parent.projection(StreamsProjection), self._turn
        stream = streams.get_or_make(self._parent.name, name)
        for event in self._events(name):
            id, version = turn.new_id(self._taken), self._next()
            streams.append(stream, version, turn.time_us, id, event.author, event.type, event.payload)
        if streams.appended is not None:
            streams.appended(name)

    def _memory(self, id: str) -> None:
        theirs = self._fork.projection(MemoryStore)
        item, version = theirs.get(id, NOW), self._next()
        if item is None:
            ends = [ended for ended, _, _, now in theirs.changes_of(id, self._merged) if now is None]
            why = self._fork.projection(ForgettingProjection).why(max(ends, default=0)) or Why(id, 0)
            forget_memory(self._turn, self._parent, version, why, self._turn.author)
        else:
            copied = replace(item, version=version, row=NO_ROW, died=ALIVE)
            mine = self._parent.projection(MemoryStore)
            made = theirs.embeddings_of(item)
            named = [(mine.model_for(model.dimension, model.fingerprint), each) for model, each in made]
            embeddings = [(model, each) for model, each in named if model is not None]
            store_memory(self._turn, self._parent, copied, embeddings)

    def _vector(self, name: str) -> None:
        found = vectors_of(self._fork).find(name, NOW)
        if found is None:
            return
        theirs, id = found
        store = self._parent.projection(VectorStore)
        mine = store.get(theirs.name)
        if mine is None:
            mine = store.create(theirs.name, theirs.settings, self._next(), self._turn.time_us)
        mine = store.own(mine)
        born, version = theirs.row_at(id, NOW), self._next()
        if born is None:
            mine.delete(id, version)
        else:
            metadata, vector = theirs.given(born)
            mine.upsert(id, vector, metadata, version)
        want_index(self._turn, mine.rows)

    def _run(self, run_id: str) -> None:
        mine, theirs = self._parent.projection(RunsProjection), self._fork.projection(RunsProjection)
        run, ours = theirs.find(run_id), mine.find(run_id)
        if run is None:
            return
        if ours is None:  # without its recording, whose versions are the fork's
            ours = mine.begin(run_id, self._next(), run.author, run.inputs)
        if run.ended_version and not ours.ended_version:
            mine.end(ours, self._next(), run.status, run.outputs)


def _table(space: Namespace, kind: str) -> VersionedRecords:
    return next(table(space)[0] for key, table in RECORD_TABLES.items() if kind_name(key) == kind)


HANDLERS: dict[int, Handler] = {42: merge_fork}
