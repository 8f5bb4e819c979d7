"""What a machine has to tell of what it applied, until its owner takes it to a disk.

Facts that never change gather in order. Client sessions change with nearly every write, and what matters of
them is only how they stand: so those that were used are noted, and written down when the owner asks.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from memraft_server.machine.facts import Change, Encoder, StateLabel, encode_body, row
from memraft_server.machine.sessions import Session
from memraft_server.projections.notes import Fact
from memraft_server.projections.past import PastRoom


class Sealed(msgspec.Struct):
    """All that happened between two seals, up to `label`.

    A store may write `facts` in any number of portions, in any order, and `changes` with the label together
    in one last step: before that step the state it holds is the one of the label before.
    """

    facts: list[Fact]
    changes: list[Change]
    label: StateLabel

    def all(self, encoder: Encoder) -> list[Change]:
        """Everything as rows, the short way for a store that can take it at once."""
        return [*encoder.rows(self.facts), *self.changes]


class Journal:
    """Give one to a machine that is to be kept; `Machine.seal` empties it."""

    __slots__ = ("_facts", "_gone", "_touched", "add", "entries", "past", "rows")

    def __init__(self, past: PastRoom | None = None) -> None:
        self.past = past
        """What lets old versions leave the memory. None: all stay."""
        self._facts: list[Fact] = []
        self.add = self._facts.append
        """Takes one fact."""
        self.entries = 0
        """How many entries of the machine's table were sealed."""
        self.rows = 0
        """How many rows there are after the last seal."""
        self._touched: dict[bytes, Session] = {}
        self._gone: list[bytes] = []

    def __len__(self) -> int:
        return len(self._facts) + self.sessions

    @property
    def sessions(self) -> int:
        """How many sessions were used, and rows of sessions that ended."""
        return len(self._touched) + len(self._gone)

    def touch(self, session: Session) -> None:
        """A session changes, or is new."""
        self._touched[session.key] = session

    def drop(self, session: Session) -> None:
        """A session ends."""
        self._touched.pop(session.key, None)
        if session.stored is not None:
            self._gone.append(session.key)
            self._gone += [reply_key(session, number) for number in session.stored]

    def delete(self, keys: Iterable[bytes]) -> None:
        """Rows of facts do not belong to the state any more."""
        self._gone += keys

    def forget(self) -> None:
        """Drops the facts that gathered: they are known already."""
        self._facts.clear()

    def take(self) -> tuple[list[Fact], list[Change]]:
        """Returns the facts and the changes of sessions since the last time, and empties the journal."""
        facts = self._facts[:]
        self._facts.clear()
        changes: list[Change] = [(key, None) for key in self._gone]
        count = len(facts) - len(changes)
        self._gone.clear()
        for session in self._touched.values():
            count += _add_session(session, changes)
        self._touched.clear()
        self.rows += count
        return facts, changes


def reply_key(session: Session, number: int) -> bytes:
    """Returns the key of the row of a kept reply."""
    return b"%b\1%b" % (session.key, number.to_bytes(8, "big"))


def _add_session(session: Session, changes: list[Change]) -> int:
    """Adds what of a session differs from its rows; returns how many rows more there are."""
    replies, stored = session.replies, session.stored
    count = 0
    if stored is None:
        stored = session.stored = set()
        count = 1
    body = encode_body((session.floor, session.used_at_us, session.used_version))
    changes.append(row(session.key, body))
    if stored:
        gone = [number for number in stored if number not in replies]
        changes += [(reply_key(session, number), None) for number in gone]
        stored.difference_update(gone)
        count -= len(gone)
    fresh = [number for number in replies if number not in stored]
    for number in fresh:
        kept = replies[number]
        body = encode_body((kept.kind, kept.namespace, kept.agent, kept.reply))
        changes.append(row(reply_key(session, number), body))
    stored.update(fresh)
    return count + len(fresh)
