"""Forks of a namespace."""

from typing import Self

from memraft_proto.v1 import fork_pb2

from .. import _forks as forks
from .. import _wire
from ..types import At, Consistency, Deleted, ForkInfo, Results, Versioned
from .base import METHOD, AsyncCalls

_FORK, _DROP, _LIST = METHOD["Fork"], METHOD["DropFork"], METHOD["ListForks"]


class AsyncForkCalls(AsyncCalls):
    """Forks: namespaces that begin as another was at one moment, and go their own way from there."""

    async def fork(self, name: str, *, at: At | Versioned = None, before: Versioned | None = None) -> Self:
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
        return self._placed(forks.fork_done(request, await self._link.write(_FORK, request)))

    async def drop_fork(self, name: str) -> Deleted:
        """Drops a fork of this namespace with all that was written in it. Its views raise NotFound then.

        Args:
            name: as it was made; not the whole namespace.

        Raises:
            ConflictError: there are forks of the fork; they must be dropped first.
        """
        request = forks.drop_fork(self._where, name)
        return forks.drop_fork_done(request, await self._link.write(_DROP, request))

    async def list_forks(
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
        response: fork_pb2.ListForksResponse = await self._link.read(_LIST, request)
        return _wire.results(response, tuple(map(forks.fork_info, response.forks)))
