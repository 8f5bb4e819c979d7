# Generated from _async/forks.py by scripts/generate_sync.py: edit that one.

"""Forks of a namespace."""

from collections.abc import Sequence
from typing import Self

from memraft_proto.v1 import fork_pb2

from .. import _compare as compare
from .. import _forks as forks
from .. import _wire
from .._compare import OnConflict
from ..types import (
    At,
    Consistency,
    Deleted,
    ForkInfo,
    Merged,
    RecordDifference,
    Results,
    Versioned,
)
from .base import METHOD, Calls

_FORK, _DROP, _LIST = METHOD["Fork"], METHOD["DropFork"], METHOD["ListForks"]
_MERGE, _DIFF = METHOD["MergeFork"], METHOD["Diff"]


class ForkCalls(Calls):
    """Forks: namespaces that begin as another was at one moment, and go their own way from there."""

    def fork(self, name: str, *, at: At | Versioned = None, before: Versioned | None = None) -> Self:
        """Makes a fork of this namespace, in constant time, and returns a view of it.

        The fork has all that the namespace held at that moment: documents and their history, streams, whose
        chains go on in it, named records, runs, vectors and memories. What is written to either does not
        show in the other. What it has from before does not expire in it, and locks are not held in it.

        Args:
            name: 1 to 63 letters, digits, `.`, `_` or `-`, the first a letter or digit. The fork's namespace
                is this one's with `@name` behind it; a fork may have forks, 8 deep.
            at: as of an aware datetime, a log index, or something that was written, that included; None: now.
            before: as of just before something that was written, such as a mistake.

        Raises:
            ConflictError: there is a fork of this name already.
            AtInFuture: `at` is not over yet.
            NotFound: this is itself a fork, and was dropped.
        """
        request = forks.fork(self._where, name, at, before)
        return self._placed(forks.fork_done(request, self._link.write(_FORK, request)))

    def drop_fork(self, name: str) -> Deleted:
        """Drops a fork of this namespace with all that was written in it. Its views raise NotFound then.

        Args:
            name: as it was made; not the whole namespace.

        Raises:
            ConflictError: there are forks of the fork; they must be dropped first.
        """
        request = forks.drop_fork(self._where, name)
        return forks.drop_fork_done(request, self._link.write(_DROP, request))

    def list_forks(
        self,
        *,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[ForkInfo]:
        """Lists the forks of this namespace by name.

        Args:
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before.
            at: those made by then that are still there; an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            fork_pb2.ListForksRequest,
            **self._from(at, consistency),
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        response: fork_pb2.ListForksResponse = self._link.read(_LIST, request)
        return _wire.results(response, tuple(map(forks.fork_info, response.forks)))

    def merge(self, name: str, *, on_conflict: OnConflict = "fail") -> Merged:
        """Takes what was written in a fork over into this namespace: up to 9,999 records and events, all in
        one log entry or none. The fork stays; merging it again takes what was written in it since.

        Something that changed here, too, since the fork was made or last merged, and is not the same, is a
        conflict. Events are appended to the streams here, which is none; locks are not merged.

        Args:
            name: the fork's, as it was made.
            on_conflict: `fail` merges nothing; `ours` keeps what is here, `theirs` takes what the fork has.

        Raises:
            MergeConflicts: with `fail`: says what is in conflict.
            NotFound: there is no such fork.
            CollectionMismatch, EmbeddingMismatch: vectors of the fork do not fit those here.
        """
        request = compare.merge(self._where, name, on_conflict)
        return compare.merge_done(request, self._link.write(_MERGE, request))

    def diff(
        self,
        from_at: At = None,
        to_at: At = None,
        *,
        from_namespace: str = "",
        kinds: Sequence[str] = (),
        limit: int = 1000,
        cursor: str = "",
    ) -> Results[RecordDifference]:
        """Lists what is not the same at two moments of this namespace, or in a fork and its parent.

        Args:
            from_at: as of when the first side is read: an aware datetime or a log index; None: now.
            to_at: as of when the second side is read; None: now.
            from_namespace: of the first side: a fork of this one, its parent, or a fork of that; empty: here.
            kinds: only these, such as `document`, `memory`, `edge`; empty: all.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before.

        Raises:
            Unrelated: the namespaces have nothing in common.
            NotFound: there is no such fork.
        """
        request = _wire.build(
            fork_pb2.DiffRequest,
            **self._from(to_at, None),
            from_namespace=from_namespace,
            **compare.from_moment(from_at),
            kinds=_wire.listed(kinds, "kinds", "kinds of records"),
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        response: fork_pb2.DiffResponse = self._link.read(_DIFF, request)
        return _wire.results(response, compare.records(response.records))
