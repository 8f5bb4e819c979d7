"""Named records that agents coordinate on."""

from typing import Any

from memraft_proto.v1 import state_pb2

from .. import _operations as operations
from .. import _wire
from ..types import At, Consistency, Record, Results, Swap
from .base import METHOD, AsyncCalls

_CAS, _GET, _LIST = METHOD["CompareAndSwap"], METHOD["GetState"], METHOD["ListStates"]


class AsyncStateCalls(AsyncCalls):
    """Named records: each change says which version it replaces."""

    async def state(
        self, name: str, *, at: At = None, consistency: Consistency | None = None
    ) -> Record | None:
        """Reads a record; None where there is none.

        Args:
            name: which one.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        fields = self._from(at, consistency)
        request = _wire.build(state_pb2.GetStateRequest, **fields, name=name)
        response: state_pb2.GetStateResponse = await self._link.read(_GET, request)
        return _wire.record(name, response) if response.found else None

    async def states(
        self,
        prefix: str = "",
        *,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Record]:
        """Lists records in order of name, without who wrote them.

        Args:
            prefix: only names that begin with this.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            state_pb2.ListStatesRequest,
            **self._from(at, consistency),
            prefix=prefix,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return _wire.states(await self._link.read(_LIST, request))

    async def cas(self, name: str, value: Any, *, expected_version: int) -> Swap:
        """Replaces a record if it still has the version that the caller saw.

        Args:
            name: 1 to 512 bytes of UTF-8 without control characters.
            value: anything that msgspec writes as JSON; at most 1 MiB of it.
            expected_version: the version it must have; 0: there must be none.

        Returns:
            `.swapped`, `.version` (the record's now; 0: there is none) and, where it was not swapped,
            `.current`.
        """
        request = operations.cas(self._where, name, value, expected_version, False)
        return operations.cas_done(request, await self._link.write(_CAS, request))

    async def cas_remove(self, name: str, *, expected_version: int) -> Swap:
        """Removes a record if it still has the version that the caller saw.

        Args:
            name: which one.
            expected_version: the version it must have.
        """
        request = operations.cas(self._where, name, None, expected_version, True)
        return operations.cas_done(request, await self._link.write(_CAS, request))
