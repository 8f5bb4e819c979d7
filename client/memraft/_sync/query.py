# Generated from _async/query.py by scripts/generate_sync.py: edit that one.

"""Queries of documents by what is in them."""

from collections.abc import Iterable, Mapping
from typing import Any

from memraft_proto.v1 import query_pb2

from .. import _query, _wire
from ..types import At, Consistency, Created, Deleted, DocumentIndex, QueryResults, Results
from .base import METHOD, Calls

_QUERY, _LIST = METHOD["Query"], METHOD["ListIndexes"]
_DECLARE, _DROP = METHOD["DeclareIndex"], METHOD["DropIndex"]


class QueryCalls(Calls):
    """Queries of documents by what is in them, and the indexes that make them fast."""

    def query(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        prefix: str = "",
        start: str = "",
        end: str = "",
        sort: str | Iterable[str] = (),
        fields: str | Iterable[str] = (),
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> QueryResults:
        """Finds documents that pass a filter, page by page; docs/queries.md tells the language.

        All pages are read as of the first, whatever is written between them: pass only `cursor=` and the
        same query again.

        Args:
            filter: over the fields of the documents, such as `{"status": "open", "age": {"$gte": 18}}`, in
                the language of `search`; None: all pass.
            prefix: only keys that begin with this.
            start: only keys at or after this one.
            end: only keys before this one.
            sort: up to 8 fields, the most important first: `"name"`, or `"-name"` from the last to the first.
                Across types: missing, null, false, true, numbers, text, lists, objects. Documents that are
                equal in all come by key. None given: by key.
            fields: up to 64 paths with dots: only these of each document; none given: all of it.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last:
                it looks at 100,000 documents at most.
            at: as of an aware datetime or a log index; None: now, or as of the cursor's first page.
            consistency: how fresh; None: as this memory was opened with.

        Returns:
            Records with key, value, version and time; with them, which index was used and how many documents
            were looked at.

        Raises:
            InvalidArgument: the filter or a field is malformed, the cursor is of another query, or more than
                100,000 documents would have to be put in order.
        """
        request = _query.query(
            self._from(at, consistency),
            filter,
            sort,
            fields,
            prefix=prefix,
            start=start,
            end=end,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return _query.found(self._link.read(_QUERY, request))

    def declare_index(self, field: str) -> Created:
        """Declares an index of the documents of this namespace by a field, which queries then use.

        It is built beside the calls (`indexes` says when it is ready) and kept up to date with every write.
        Declaring it again changes nothing.

        Args:
            field: a path with dots into nested objects; at most 16 of a namespace.
        """
        request = _query.declare_index(self._where, field)
        return _query.index_declared(request, self._link.write(_DECLARE, request))

    def drop_index(self, field: str) -> Deleted:
        """Drops an index; in a fork, it is not used there any more.

        Args:
            field: its path. Dropping one that is not there is no error: see `.found`.
        """
        request = _query.drop_index(self._where, field)
        return _query.index_dropped(request, self._link.write(_DROP, request))

    def indexes(self, *, at: At = None, consistency: Consistency | None = None) -> Results[DocumentIndex]:
        """Lists the indexes of documents that are declared, in order of field, and how they stand now.

        Args:
            at: which were declared as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(query_pb2.ListIndexesRequest, **self._from(at, consistency))
        return _query.indexes(self._link.read(_LIST, request))
