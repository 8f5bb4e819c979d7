"""Client sessions: a write that is sent twice is applied once (Ongaro's thesis, section 6.3).

A client numbers its writes to a shard and says with each which is its lowest unanswered one. The shard keeps
the replies from there on. A number that was applied gets its old reply again; one below the lowest unanswered
cannot be told from a late copy and is refused, as is one of a client whose session is gone. Everything here
follows from entries and their commit times alone, so all replicas keep and drop the same.

Sessions grow old by a time of their own. It follows commit times, but from one entry to the next it goes on
by a minute at most: a leader whose clock has jumped a day ahead must not end all sessions at once. A write
that is sent again would be refused then, or applied a second time.

A reply is kept with what tells its call from others: kind, namespace and agent. A number that comes again
with another of these is no retry; without the comparison its reply would be of the wrong type, and one agent
could ask for what another was told. The agent is not part of a session's key, because one client may write
for many agents and counts its writes to a shard, not theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

import msgspec

from memraft_server.machine.refused import Refused, invalid
from memraft_server.projections.notes import CLIENT_MARK, SESSION, escaped
from memraft_server.projections.usage import Usage

# Part of the contract between replicas, therefore not settings: replicas that differed here would diverge.
SESSIONS_MAX = 65_536
"""Most sessions of one tenant on one shard."""
SESSION_IDLE_US_MAX = 3_600_000_000
"""A session without a write for this long is dropped."""
ENDED_A_WRITE_MAX = 2
"""As many that have been idle for so long are forgotten with each write; none of them is answered from."""
SESSION_STEP_US_MAX = 60_000_000
"""As much of the time between two entries counts for that."""
SESSION_IDLE_US_MIN = 300_000_000
"""With `SESSIONS_MAX` sessions, one that has been idle for this long gives way to a new one."""
REPLIES_MAX = 4_096
"""Most replies kept for one session: most writes that one client may have unanswered at a shard."""
KEPT_BYTES_MAX = 16 << 20
"""A session whose kept replies take this much has no more writes applied until some were answered."""

SESSION_BYTES = 400
REPLY_BYTES = 150
"""What a session and a kept reply take beside the reply's bytes."""

_REFUSAL = b"\xff"
"""First byte of a kept refusal. No protobuf message begins with it: it would be a tag of no wire type."""

_encode = msgspec.msgpack.Encoder().encode
_decode_refusal = msgspec.msgpack.Decoder(tuple[str, str, dict[str, str]]).decode


def keep_refusal(refused: Refused) -> bytes:
    """Returns a refusal in the form in which it is kept; replies are kept encoded as they are."""
    return _REFUSAL + _encode((refused.reason, refused.message, dict(refused.metadata)))


def kept_refusal(kept: bytes) -> Refused | None:
    """Returns the refusal that was kept, None if a reply was."""
    return Refused(*_decode_refusal(kept[1:])) if kept[:1] == _REFUSAL else None


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A reply or refusal, encoded, and the call that it answers."""

    kind: int
    namespace: str
    agent: str
    reply: bytes


_Key = bytes


class Session(msgspec.Struct):
    """One client's kept replies: those of requests from `floor` on.

    Attributes:
        used_at_us: The time, as sessions have it, of the entry that used it last.
        used_version: The version of the first command of that entry that did: the order of last use.
        key: The key of its row on disk; empty where there is none.
        stored: The replies that have a row on disk; None where the session itself has none.
    """

    floor: int
    used_at_us: int
    replies: dict[int, Kept]
    bytes: int
    used_version: int = 0
    key: _Key = b""
    stored: set[int] | None = None


class SessionJournal(Protocol):
    """What is told of sessions that are kept on disk."""

    def touch(self, session: Session) -> None:
        """A session changes, or is new."""

    def drop(self, session: Session) -> None:
        """A session ends."""


class Sessions:
    """The sessions of one tenant, least recently used first."""

    __slots__ = ("_journal", "_key", "_sessions", "_usage")

    def __init__(self, usage: Usage, tenant: str = "", journal: SessionJournal | None = None) -> None:
        self._journal = journal
        # The mark keeps a client id that begins with 255 from looking like part of the tenant's name.
        self._key = SESSION + escaped(tenant.encode()) + CLIENT_MARK
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._usage = usage

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(
        self, client_id: bytes, number: int, first_unanswered: int, time_us: int, version: int
    ) -> Session:
        """Returns the session in which request `number` of `client_id` is to be applied or was applied.

        Args:
            client_id: Whose.
            number: Of the request.
            first_unanswered: The lowest request whose reply the client may still ask for.
            time_us: Of the entry, in microseconds, as sessions have it; above that of all entries before.
            version: The command's first version.

        Raises:
            Refused: `SESSION_EXPIRED`, `TOO_MANY_SESSIONS`, `OVERLOADED` (too many unanswered writes), or
                `INVALID_ARGUMENT` for numbers that make no sense. The request must not be applied then.
        """
        if number < 1 or first_unanswered > number:
            raise invalid(
                f"context.first_unanswered: {first_unanswered}, at most request_number, "
                f"which is {number} and counts from 1",
                field="context.first_unanswered",
            )
        self._drop_idle(time_us)
        session = self._sessions.get(client_id)
        if session is not None and session.used_at_us < time_us - SESSION_IDLE_US_MAX:
            self._drop(client_id)
            session = None
        if session is None:
            session = self._sessions[client_id] = self._open(first_unanswered, time_us)
            session.used_version = version
            if self._journal is not None:
                session.key = self._key + escaped(client_id)
        elif session.used_at_us != time_us:
            session.used_at_us = time_us
            session.used_version = version
            self._sessions.move_to_end(client_id)
        if self._journal is not None:
            self._journal.touch(session)
        if first_unanswered > session.floor:
            self._forget_answered(session, first_unanswered)
        if number < session.floor:
            raise Refused(
                "SESSION_EXPIRED", f"request {number} was answered; replies are kept from {session.floor} on"
            )
        if len(session.replies) >= REPLIES_MAX and number not in session.replies:
            raise Refused(
                "OVERLOADED",
                f"context.first_unanswered: {len(session.replies)} writes of this client are unanswered, "
                f"at most {REPLIES_MAX}",
                {"limit": "unanswered writes", "maximum": str(REPLIES_MAX)},
            )
        if session.bytes >= KEPT_BYTES_MAX and number not in session.replies:
            raise Refused(
                "OVERLOADED",
                f"context.first_unanswered: the unanswered replies of this client have {session.bytes} "
                f"bytes, at most {KEPT_BYTES_MAX}",
                {"limit": "unanswered bytes", "maximum": str(KEPT_BYTES_MAX)},
            )
        return session

    def has_reply(self, client_id: bytes, number: int) -> bool:
        """Whether the reply to a request is kept: it was applied, or refused, before."""
        session = self._sessions.get(client_id)
        return session is not None and number in session.replies

    def end(self, session: Session, number: int, kept: Kept) -> None:
        """Keeps the reply to request `number`."""
        session.replies[number] = kept
        cost = REPLY_BYTES + len(kept.reply)
        session.bytes += cost
        self._usage.bytes += cost

    def restore(self, sessions: Iterable[tuple[bytes, Session]]) -> None:
        """Takes sessions as they were, with their clients, in any order; `Session.bytes` is counted here."""
        for client_id, session in sorted(sessions, key=lambda each: each[1].used_version):
            session.bytes = SESSION_BYTES + sum(
                REPLY_BYTES + len(kept.reply) for kept in session.replies.values()
            )
            self._usage.bytes += session.bytes
            self._sessions[client_id] = session

    def _open(self, first_unanswered: int, time_us: int) -> Session:
        if first_unanswered > 1:
            raise Refused(
                "SESSION_EXPIRED",
                "this client's session is not kept: sessions end after "
                f"{SESSION_IDLE_US_MAX // 60_000_000} min without a write",
            )
        if len(self._sessions) >= SESSIONS_MAX:
            oldest = next(iter(self._sessions))
            if self._sessions[oldest].used_at_us > time_us - SESSION_IDLE_US_MIN:
                raise Refused(
                    "TOO_MANY_SESSIONS",
                    f"client sessions of this tenant on this shard: {SESSIONS_MAX}, at most {SESSIONS_MAX}",
                    {"limit": "sessions", "maximum": str(SESSIONS_MAX)},
                )
            self._drop(oldest)
        self._usage.bytes += SESSION_BYTES
        return Session(1, time_us, {}, SESSION_BYTES)

    def _drop_idle(self, time_us: int) -> None:
        """Drops a few, and more than a write opens: all that end between two saves go in one batch."""
        idle_since_us = time_us - SESSION_IDLE_US_MAX
        for _ in range(min(ENDED_A_WRITE_MAX, len(self._sessions))):
            oldest = next(iter(self._sessions))
            if self._sessions[oldest].used_at_us >= idle_since_us:
                return
            self._drop(oldest)

    def _drop(self, client_id: bytes) -> None:
        session = self._sessions.pop(client_id)
        self._usage.bytes -= session.bytes
        if self._journal is not None:
            self._journal.drop(session)

    def _forget_answered(self, session: Session, first_unanswered: int) -> None:
        replies, floor = session.replies, session.floor
        session.floor = first_unanswered
        freed = 0
        answered: range | list[int] = range(floor, first_unanswered)
        if first_unanswered - floor > len(replies):
            answered = [number for number in replies if number < first_unanswered]
        for number in answered:
            if number in replies:
                freed += REPLY_BYTES + len(replies.pop(number).reply)
        session.bytes -= freed
        self._usage.bytes -= freed
