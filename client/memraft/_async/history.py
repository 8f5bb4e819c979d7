"""The past of a namespace: what is kept of it, and what happened."""

from collections.abc import Sequence
from datetime import datetime

from .. import _history as past
from .. import _wire
from ..types import At, Consistency, Happening, Results, Retention
from .base import METHOD, AsyncCalls

_SET, _GET = METHOD["SetRetention"], METHOD["GetRetention"]
_HISTORY, _TIMELINE = METHOD["RecordHistory"], METHOD["Timeline"]


class AsyncHistoryCalls(AsyncCalls):
    """What of the past is kept, and what happened with a record or an entity."""

    async def set_retention(
        self, *, versions: int | None = None, age_ms: int | None = None, events: int | None = None
    ) -> None:
        """Says what of the past of this namespace is kept from now on; a limit that is None stays as it is.
        Without any all of the past is kept: as it is at first, and again once all three are 0.

        What is over a limit is forgotten for ever, little by little, by commands in the log; the newest
        version of what exists always stays, and the last event of a stream. A fork of the namespace holds
        back the forgetting of what was replaced after its base: `retention().held_back_by`. Reads from before
        what is kept raise BeforeRetention.

        Args:
            versions: keep so many versions of each record, memory and vector; 0: any number. A record that is
                written often then moves the moment for the whole namespace from which on reads are answered.
            age_ms: keep what was replaced or deleted for so many milliseconds, and events so long after they
                came; 0: for ever.
            events: keep so many events of each stream; 0: any number.

        Raises:
            InvalidArgument: no limit is given; this is a fork, of which everything is kept until it is
                dropped.
        """
        request = past.set_retention(self._where, versions, age_ms, events)
        await self._link.write(_SET, request)

    async def retention(self, *, at: At = None, consistency: Consistency | None = None) -> Retention:
        """Tells what of the past is kept, and how far back reads reach by now.

        Args:
            at: the limits as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(_GET.request, **self._from(at, consistency))
        return past.retention(await self._link.read(_GET, request))

    async def history_of(
        self,
        kind: str,
        name: str | Sequence[str],
        *,
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Happening]:
        """Lists the versions of one record of any kind, newest first, its ends among them.

        Args:
            kind: `document`, `state`, `counter`, `gate`, `node`, `edge` or `memory`.
            name: its key, name or id; of an edge `(source, type, target)`.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: only what there was as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = past.record_history(self._from(at, consistency), kind, name, limit, cursor)
        response = await self._link.read(_HISTORY, request)
        return _wire.results(response, tuple(map(past.happening, response.happenings)))

    async def timeline(
        self,
        entity: str,
        *,
        since: datetime | None = None,
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Happening]:
        """Lists all that happened with an entity, in commit order.

        That is: the events of the streams `entity/ENTITY` and `ENTITY`, with the traces of these events; the
        document, the named record, the counter, the gate and the node of this name; documents whose keys
        begin with `ENTITY/`; edges that leave the node or arrive at it; memories about it. Of documents and
        edges the first 1,000.

        Args:
            entity: its name, as in `remember(about=...)`.
            since: only what happened at or after this aware datetime.
            limit: about this many a page, 1 to 10,000; what was written at one version stays together.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: only what had happened as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = past.timeline(self._from(at, consistency), entity, since, limit, cursor)
        response = await self._link.read(_TIMELINE, request)
        return _wire.results(response, tuple(map(past.happening, response.happenings)))
