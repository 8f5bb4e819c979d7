"""The machine: applies committed entries and answers reads. See the package's docstring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from struct import Struct
from typing import Any, cast

from google.protobuf.message import Message

from memraft_proto.methods import (
    KIND_EVICT,
    KIND_EVICT_MEMORIES,
    KIND_EXPIRE,
    KIND_EXPIRE_LEASES,
    KIND_RECORD_RECALLS,
    KIND_TRIM,
    METHODS,
)
from memraft_proto.v1.common_pb2 import WriteContext
from memraft_server.machine import expiry
from memraft_server.machine.changes import Changes, Wake
from memraft_server.machine.commands import Command, whole
from memraft_server.machine.entries import EntryTable
from memraft_server.machine.facts import StateLabel
from memraft_server.machine.forgetting import note_limits
from memraft_server.machine.forks import Spaces, refuse_missing_fork
from memraft_server.machine.handlers_indexes import begin_indexes
from memraft_server.machine.handlers_leases import refuse_stale
from memraft_server.machine.handlers_settings import refuse_unchecked
from memraft_server.machine.hosted import HostedProjections, Make, OnFault
from memraft_server.machine.journal import Journal, Sealed
from memraft_server.machine.limits import (
    COPIED_BYTES_MAX,
    ITEMS_MAX,
    POSITION_BITS,
    POSITIONS_MAX,
    REPLY_TEXTS_BYTES_MAX,
    Limits,
)
from memraft_server.machine.namespaces import Namespace, Tenant
from memraft_server.machine.puts import put_all
from memraft_server.machine.queries_graph import ADJACENT_MAX, adjacent
from memraft_server.machine.queries_index import kept_index
from memraft_server.machine.recording import in_run
from memraft_server.machine.refused import BrokenInvariant, Refused, invalid
from memraft_server.machine.registry import COMMAND_HANDLERS, PORTIONED, QUERIES
from memraft_server.machine.retention import KEEP_ALL, refuse_before, retention_of
from memraft_server.machine.sessions import SESSION_STEP_US_MAX, Kept, keep_refusal, kept_refusal
from memraft_server.machine.turn import Handler, IndexJob, Turn, View
from memraft_server.projections.graph import Edge, GraphProjection
from memraft_server.projections.notes import ENTRIES
from memraft_server.projections.usage import Usage
from memraft_server.projections.vector_math import all_finite, as_float32
from memraft_server.projections.vectors import VectorStore
from memraft_server.projections.versions import NOW, Author, Record

Nearest = tuple[list[str], list[float], list[bytes], list[int], int, int]
"""(ids, scores, metadatas, versions), best first; then the applied index and its commit time in µs."""

Adjacent = tuple[str, list[Edge], str, int, int]
"""(the node's id, its edges, the cursor of the next page, the applied index, its commit time in µs)."""

Contents = tuple[str, int, int]
"""(Markdown, the applied index, its commit time in µs)."""

_AUTHORS_MAX = 65_536
_ENTRIES_A_ROW = 4_096
_HASH_BYTES = 16
_HEADER = Struct("<QqQQ").pack
_COMMAND = Struct("<IQQ").pack
_NOBODY = Author("", "", "")
_OWN_KINDS = frozenset(
    (KIND_EXPIRE, KIND_EXPIRE_LEASES, KIND_EVICT, KIND_TRIM, KIND_RECORD_RECALLS, KIND_EVICT_MEMORIES)
)
"""Commands that leaders write themselves."""
_RESPONSES = {method.kind: method.response for method in METHODS.values() if method.kind}
# A command begins only where even a Batch whose last operation is the largest there is still fits the entry.
_LAST_FIRST_POSITION = POSITIONS_MAX - 2 * ITEMS_MAX


class Machine:
    """The state of one shard. Not thread-safe: one task applies and reads.

    Args:
        shard: The shard's number, for messages.
        limits: Limits of reads. Nothing that is applied depends on them.
        journal: An empty one where the machine is kept on disk.
    """

    def __init__(
        self,
        shard: int,
        limits: Limits = Limits(),  # noqa: B008  (frozen)
        journal: Journal | None = None,
    ) -> None:
        self.journal = journal
        """Told all that is applied; None: nobody keeps this machine."""
        self.shard = shard
        self.limits = limits
        self.applied_index = 0
        """The log index of the last entry that was applied."""
        self.last_time_us = 0
        """Its commit time in microseconds since the epoch."""
        self.session_us = 0
        """The time by which client sessions grow old: see `sessions`."""
        self.applied_hash = bytes(_HASH_BYTES)
        """Running hash of everything applied and replied: equal on all replicas at equal `applied_index`.

        The commands are in it, so that other values and authors show at once, and the replies, so that a
        state that differs shows at the first reply that depends on it.
        """
        self._entries = EntryTable()
        self._forest = Spaces(journal)
        self._turn = Turn(self._entries, self._forest)
        self._view_now = View(NOW, self._entries, limits, self._forest)
        self._spaces = self._forest.by_name
        self._tenants = self._forest.tenants
        self._authors: dict[tuple[str, str, str], Author] = {}
        self._unknown = Namespace("", Tenant())
        self.changes = Changes()
        """Who is told of changes: see `changes`."""
        self.hosted: HostedProjections | None = None
        """The projections that were registered; see `host`."""
        self._forest.made = self._space_made

    def apply(
        self,
        index: int,
        time_us: int,
        seed: int,
        commands: Sequence[Command],
        payload: bytes | None = None,
        is_answered: bool = True,
    ) -> list[Message | Refused]:
        """Applies one committed entry, once.

        Args:
            index: Its log index, above all before.
            time_us: The leader's stamp in microseconds since the epoch. The entry's commit time is this, or
                one microsecond after the entry before where that is later.
            seed: 64 random bits of the leader, for ids.
            commands: The entry's commands.
            payload: Bytes that are the same wherever the same commands are applied, and nowhere else: the
                entry's data. `applied_hash` covers them. None: what the commands encode to, which takes time.
            is_answered: Whether anybody waits for the replies.

        Returns:
            One reply a command: the response message, or why it was refused. Empty where nobody waits.

        Raises:
            BrokenInvariant: The entry cannot be one of this log.
        """
        if index <= self.applied_index:
            raise BrokenInvariant(f"shard {self.shard}: entry {index} after entry {self.applied_index}")
        time_us = max(time_us, self.last_time_us + 1)
        self.session_us += min(time_us - self.last_time_us, SESSION_STEP_US_MAX)
        seed &= (1 << 64) - 1
        turn = self._turn
        turn.begin_entry(index, time_us, seed)
        self._entries.add(index, time_us, seed)
        replies: list[Message | Refused] = []
        if payload is None:
            payload = _encoded(commands)
        hashed = [self.applied_hash, _HEADER(index, time_us, seed, len(payload)), payload]
        last_first_version = turn.version + _LAST_FIRST_POSITION
        for command in commands:
            turn.items = 1
            turn.texts_bytes_left = REPLY_TEXTS_BYTES_MAX
            turn.copied_bytes_left = COPIED_BYTES_MAX
            try:
                if turn.version > last_first_version:
                    raise Refused("OVERLOADED", f"items of one entry: at most {_LAST_FIRST_POSITION}")
                reply = self._apply_command(turn, command, hashed)
                if is_answered:
                    if isinstance(reply, bytes):
                        reply = _RESPONSES[command.kind].FromString(reply)
                    replies.append(reply)
            except Refused as refused:
                turn.items = 1
                if is_answered:
                    replies.append(refused.with_traceback(None))
                hashed.append(refused.reason.encode())
            turn.version += turn.items
        # Processors have instructions for SHA-256, so that an entry of 14 KB takes 10 µs, half of BLAKE2's.
        self.applied_hash = sha256(b"".join(hashed)).digest()[:_HASH_BYTES]
        self.applied_index = index
        self.last_time_us = time_us
        return replies

    def seal(self) -> Sealed:
        """Returns all that happened since the last time, for a store. Only for a machine with a journal."""
        journal = self.journal
        if journal is None:
            raise BrokenInvariant(f"shard {self.shard}: nothing is kept of this machine")
        entries = self._entries
        for start in range(journal.entries, len(entries), _ENTRIES_A_ROW):
            columns = entries.columns(start, min(start + _ENTRIES_A_ROW, len(entries)))
            journal.add((ENTRIES, *columns))
        journal.entries = len(entries)
        facts, changes = journal.take()
        label = StateLabel(
            self.applied_index, self.applied_hash, self.last_time_us, journal.rows, self.session_us
        )
        return Sealed(facts, changes, label)

    def become(self, other: Machine) -> dict[str, Any]:
        """Takes over all that another machine is, which must not be used any more.

        References to this one stay good.

        Returns:
            What this one held: freeing a million records at once would take long.
        """
        limits, shard, remains = self.limits, self.shard, self.__dict__.copy()
        changes, hosted = remains.pop("changes"), remains.pop("hosted")
        self.__dict__.update(other.__dict__)
        self.changes, self.hosted = changes, hosted
        self.shard = shard
        self.limits = limits
        self._view_now = View(NOW, self._entries, limits, self._forest, hosted)
        self._forest.made = self._space_made
        changes.moved(self._spaces.values(), self.ceiling)
        if hosted is not None:
            hosted.moved()
        return remains

    def host(self, classes: Mapping[str, Make], on_fault: OnFault, on_work: Wake = lambda: None) -> None:
        """Registers projections: one of each for every namespace, made whenever `hosted.step` is called.

        Args:
            classes: Name -> what makes one, without arguments.
            on_fault: Called with a message when the code of one failed and it was taken out.
            on_work: Called when there is something to do for `hosted.step`; must return at once.
        """
        self.hosted = HostedProjections(self, classes, on_fault, on_work)
        self._view_now = View(NOW, self._entries, self.limits, self._forest, self.hosted)

    def _space_made(self, space: Namespace) -> None:
        self.changes.attach(space)
        if self.hosted is not None:
            self.hosted.made(space)

    # For those who follow

    @property
    def ceiling(self) -> int:
        """The highest version that was applied, or that could have been."""
        return ((self.applied_index + 1) << POSITION_BITS) - 1

    @property
    def view(self) -> View:
        """What a read of now sees."""
        return self._view_now

    def space(self, namespace: str) -> Namespace | None:
        """Returns a namespace, None where nothing was ever written in it."""
        return self._spaces.get(namespace)

    # For the loader

    @property
    def expiries(self) -> list[tuple[int, int, str, str]]:
        """Heap of (expires_at_us, version, namespace, key)."""
        return self._turn.expiries

    @property
    def lease_expiries(self) -> list[tuple[int, int, str, str]]:
        """Heap of (expires_at_us, version, namespace, name) of leases and places in their queues."""
        return self._turn.lease_expiries

    @property
    def memory_expiries(self) -> list[tuple[int, int, str, str]]:
        """Heap of (expires_at_us, version, namespace, id) of memories."""
        return self._turn.memory_expiries

    def restore_entries(self, first: int, times_us: list[int], seeds: list[int]) -> None:
        """Takes times and seeds of entries; see `EntryTable.restore`."""
        self._entries.restore(first, times_us, seeds)
        if self.journal is not None:
            self.journal.entries = len(self._entries)

    @property
    def spaces(self) -> Spaces:
        """All namespaces."""
        return self._forest

    def author(self, key: tuple[str, str, str]) -> Author:
        """Returns the one author of these (agent, run, tool)."""
        return self._authors.get(key) or self._make_author(key)

    def restored(self, label: StateLabel) -> None:
        """Everything is here: the machine stands where it was sealed."""
        self.applied_index = label.applied_index
        self.applied_hash = label.applied_hash
        self.last_time_us = label.last_time_us
        # A version before this one wrote commit times into sessions, and no time of their own.
        self.session_us = label.session_us or label.last_time_us
        due = self._turn.index_due
        for space in self._spaces.values():
            space.inherit_settings()
            if space.notes is not None:
                space.notes.loaded()
            if space.settings is not None:
                space.settings.loaded()
                self._forest.note_retention(space.name, retention_of(space) != KEEP_ALL)
                self._turn.note_crowded(space)
                self._forest.note_receipts(space.name, space.settings.receipts_ttl_ms > 0)
                note_limits(self._turn, space)
                begin_indexes(space, due)
            for rows in space.vector_rows():
                if rows.index_pending:
                    due[rows] = None

    def query(self, name: str, request: Any) -> Message:
        """Answers the read `name` (as in `METHODS`) from what is applied now.

        Raises:
            Refused: `AT_IN_FUTURE` where `at_index` is above the applied index, or what the query refuses.
        """
        if name in PORTIONED:
            *_, found = self.query_in_portions(name, request)
            return cast(Message, found)
        return self._stamped(QUERIES[name](*self.where(request), request))

    def query_in_portions(self, name: str, request: Any) -> Iterator[Message | None]:
        """Answers a read that may take long (one of `PORTIONED`), as `query` does.

        Yields:
            None after each portion of the work: the machine may go on before the next; at last the answer.

        Raises:
            Refused: as `query` does; `LAGGING` where the machine has become another meanwhile.
        """
        view, space = self.where(request)
        for response in PORTIONED[name](view, space, request):
            yield None if response is None else self._stamped(response)
            if space is not self._unknown and self._spaces.get(request.namespace) is not space:
                raise Refused("LAGGING", f"shard {self.shard}: its state was replaced during the read")

    def where(self, request: Any) -> tuple[View, Namespace]:
        """What a read sees: a moment of a namespace. Raises Refused: as `query` does."""
        context = request.context
        at = context.WhichOneof("at")
        view = self._view_now if at is None else self._view_at(context, at)
        space = self._spaces.get(request.namespace)
        if space is None:
            refuse_missing_fork(request.namespace)
            space = self._unknown
        elif at is not None and view.ceiling != NOW:
            refuse_before(self._entries, space, view.ceiling)
        return view, space

    def _stamped(self, response: Any) -> Message:
        stamp = response.stamp
        stamp.applied_index = self.applied_index
        stamp.applied_time_us = self.last_time_us
        done: Message = response
        return done

    def kv_head(self, namespace: str, key: str) -> Record | None:
        """Returns the document that stands at `key` now: the shortest way to it, without messages."""
        space = self._spaces.get(namespace)
        if space is None:
            return None
        records = space.kv.records
        if space.settings is not None:
            space.settings.touch(key)
        record = records.heads.get(key)
        if record is None and records.parent is not None:
            return records.head(key)
        return record if record is not None and record.value is not None else None

    def nearest(self, namespace: str, collection: str, vector: Any, k: int) -> Nearest | None:
        """Searches a collection as it is now: the shortest way to it, without messages.

        Args:
            namespace: Of the collection.
            collection: Its name.
            vector: Shape (dimension,), numbers.
            k: How many at most, 1 to `Limits.k_max`.

        Returns:
            None where anything is amiss: `query` then says what.
        """
        space = self._spaces.get(namespace)
        if space is None or type(collection) is not str:
            return None
        found = space.projection(VectorStore).get(collection, None)
        if found is None or type(k) is not int or not 1 <= k <= self.limits.k_max:
            return None
        try:
            components = as_float32(vector)
        except (TypeError, ValueError, OverflowError):
            return None
        if components.shape != (found.settings.dimension,) or not all_finite(components):
            return None
        return *found.search(components, k, None, b"", None), self.applied_index, self.last_time_us

    def adjacent(self, namespace: str, id: str, direction: str, limit: int) -> Adjacent | None:
        """Returns the first edges of a node as they are now: the shortest way to them, without messages.

        Args:
            namespace: Of the graph.
            id: Of the node.
            direction: `out`, `in` or `both`.
            limit: How many at most, 1 to 1,000.

        Returns:
            None where `query` is to answer: for a larger page, or for what is amiss.
        """
        space = self._spaces.get(namespace)
        if space is None or type(id) is not str or type(limit) is not int or not 1 <= limit <= ADJACENT_MAX:
            return None
        page = adjacent(space.projection(GraphProjection), id, direction, limit)
        return (id, *page, self.applied_index, self.last_time_us) if page is not None else None

    def contents(self, namespace: str, tokens: int) -> Contents | None:
        """Returns the index of a namespace (with the applied index and its time), None where none is kept."""
        space = self._spaces.get(namespace)
        text = kept_index(space, tokens) if space is not None and type(tokens) is int else None
        return (text, self.applied_index, self.last_time_us) if text is not None else None

    def time_us(self, version: int) -> int:
        """Returns the commit time of an existing version in microseconds since the epoch."""
        return self._entries.time_us(version)

    def index_at(self, time_us: int) -> int:
        """Returns the last log index committed at or before a time; below the first if none was."""
        return self._entries.index_at(time_us)

    def usage(self, tenant: str) -> Usage:
        """Returns what `tenant` takes on this shard: live totals, only to be read."""
        found = self._tenants.get(tenant)
        return found.usage if found is not None else Usage()

    def due(self, now_us: int, keys_max: int) -> list[Command]:
        """Returns commands that delete up to `keys_max` documents whose time to live is over at `now_us`, and
        that end up to as many leases and memories, and that evict what namespaces have no room for.

        They are due until they have been applied; proposing one twice does no harm.
        """
        return list(expiry.due(self._turn, self._spaces, now_us, keys_max))

    def next_due_us(self) -> int | None:
        """Returns when the next document, lease or memory is over, in microseconds since the epoch; None:
        none is. 0: some have to go already."""
        turn = self._turn
        if turn.crowded or turn.expiries or turn.lease_expiries or turn.memory_expiries or turn.pruned:
            return expiry.next_due_us(turn, self._spaces)
        return None  # the rule, and asked before every call in process

    def count_on(self) -> None:
        """Does on a follower what `due` does first on a leader: goes on to count memories, a few milliseconds
        at a time."""
        expiry.count_on(self._turn, self._spaces)

    def index_jobs(self) -> list[IndexJob]:
        """Returns the indexes to build now. `job.run()` may happen in a thread.

        To be called again and again, some times a second: an index waits for the one before it, and a few new
        vectors wait for a moment without writes, which is the time between two calls.
        """
        due = self._turn.index_due
        jobs = []
        for indexed in list(due):
            job = indexed.index_job()
            if job is not None:
                jobs.append(job)
            if not indexed.index_pending:
                del due[indexed]
        return jobs

    @property
    def index_pending(self) -> bool:
        """Whether there is or will be an index to build: `index_jobs` is to be called until there is not."""
        return bool(self._turn.index_due)

    def install(self, job: IndexJob) -> IndexJob | None:
        """Puts the index that `job.run()` has built into service; returns what is to be done next, if any."""
        return job.install()

    def _apply_command(self, turn: Turn, command: Command, hashed: list[bytes]) -> Message | bytes:
        """Applies one command and adds its encoded reply to `hashed`. Returns it, or the message."""
        request: Any = command.request
        namespace: str = request.namespace
        space = self._spaces.get(namespace)
        if space is None:
            space = self._forest.make(namespace, turn.version)
        space.changed_version = turn.version
        handler = COMMAND_HANDLERS.get(command.kind)
        if handler is None:
            raise BrokenInvariant(f"shard {self.shard}: command of unknown kind {command.kind}")
        if command.kind in _OWN_KINDS:
            turn.author = _NOBODY
        else:
            context = request.context
            key = (command.agent, context.run, context.tool)
            turn.author = self._authors.get(key) or self._make_author(key)
            client_id = context.client_id
            if client_id:
                return self._apply_once(turn, space, command, handler, context, client_id, hashed)
            if space.settings is not None:
                refuse_unchecked(space, command)
            if context.fence_token:
                refuse_stale(turn, space, context)
        reply = self._done(turn, space, command, handler)
        hashed.append(reply if isinstance(reply, bytes) else reply.SerializeToString())
        return reply

    def _done(self, turn: Turn, space: Namespace, command: Command, handler: Handler) -> Message | bytes:
        """What becomes of a command that may be applied: its reply, or that encoded."""
        if turn.author.run:
            return in_run(turn, space, whole(command), handler)
        if command.puts is not None:
            encoded = put_all(turn, space, command.puts)
            if encoded is not None:
                return encoded
        return handler(turn, space, whole(command).request)

    def _apply_once(
        self,
        turn: Turn,
        space: Namespace,
        command: Command,
        handler: Handler,
        context: WriteContext,
        client_id: bytes,
        hashed: list[bytes],
    ) -> Message | bytes:
        """Applies a command in its client's session, or finds the reply that it had."""
        number = context.request_number
        sessions = space.tenant.sessions
        session = sessions.begin(client_id, number, context.first_unanswered, self.session_us, turn.version)
        kind, name, agent = command.kind, space.name, command.agent
        kept = session.replies.get(number)
        if kept is None:
            refuse_unchecked(space, command)  # not kept: the same request may come again, checked anew
            try:
                if context.fence_token:
                    refuse_stale(turn, space, context)
                reply = self._done(turn, space, command, handler)
            except Refused as refused:
                sessions.end(session, number, Kept(kind, name, agent, keep_refusal(refused)))
                raise
            encoded = reply if isinstance(reply, bytes) else reply.SerializeToString()
            sessions.end(session, number, Kept(kind, name, agent, encoded))
            hashed.append(encoded)
            return reply
        if kept.kind != kind or kept.namespace != name or kept.agent != agent:
            raise invalid(
                f"context.request_number: {number} was used for another call; a retry repeats the number, "
                "every other call has its own",
                field="context.request_number",
            )
        refusal = kept_refusal(kept.reply)
        if refusal is not None:
            raise refusal
        hashed.append(kept.reply)
        return _RESPONSES[kind].FromString(kept.reply)

    def _make_author(self, key: tuple[str, str, str]) -> Author:
        if len(self._authors) >= _AUTHORS_MAX:
            self._authors.clear()  # Records keep theirs; only the sharing begins anew.
        author = self._authors[key] = Author(*key)
        return author

    def _view_at(self, context: Any, at: str) -> View:
        return View(self._ceiling(context, at), self._entries, self.limits, self._forest, self.hosted)

    def _ceiling(self, context: Any, at: str) -> int:
        """Returns the highest version that a read of the past may see."""
        if at == "at_index":
            index: int = context.at_index
            if index > self.applied_index:
                raise Refused(
                    "AT_IN_FUTURE",
                    f"context.at_index: {index} is above this replica's applied index {self.applied_index}",
                    {"limit": str(self.applied_index)},
                )
        else:
            time_us: int = context.at_time_us
            if time_us < 0:
                raise invalid("context.at_time_us: microseconds since the Unix epoch, not negative")
            if time_us >= self.last_time_us:
                return NOW
            index = max(0, self._entries.index_at(time_us))
        return index << POSITION_BITS | (POSITIONS_MAX - 1)


def _encoded(commands: Sequence[Command]) -> bytes:
    """Returns bytes that tell these commands from any others."""
    parts: list[bytes] = []
    for command in commands:
        agent, request = command.agent.encode(), whole(command).request.SerializeToString()
        parts += (_COMMAND(command.kind, len(agent), len(request)), agent, request)
    return b"".join(parts)
