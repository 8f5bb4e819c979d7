"""A namespace in a few words."""

from memraft_proto.v1 import index_pb2

from .. import _graph, _wire
from ..types import At, Consistency
from ..types_graph import Index
from .base import METHOD, AsyncCalls


class AsyncIndexCalls(AsyncCalls):
    """The compressed index."""

    async def index(
        self, *, tokens: int = 1500, at: At = None, consistency: Consistency | None = None
    ) -> Index:
        """Returns a table of contents of this namespace as Markdown, for an agent's context.

        It tells what there is by domain, which nodes matter most there, what refers from one domain to
        another, and which documents, streams and memories there are. It is made from what is stored, is the
        same on every replica, and is kept until something in the namespace changes.

        Args:
            tokens: how many it may have, 500 to 2,000; one is counted for each 4 characters.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        if self._contents is not None and at is None and consistency is None:
            found = self._contents(self._namespace, tokens)
            if found is not None:
                return _graph.contents(found)
        request = _wire.build(
            index_pb2.GetIndexRequest,
            **self._from(at, consistency),
            tokens=_wire.at_least_one(tokens, "tokens"),
        )
        return _graph.index(await self._link.read(METHOD["GetIndex"], request))
