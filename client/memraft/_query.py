"""Between Python values and the messages of queries. Pure; shared by both facades."""

from collections.abc import Iterable, Mapping
from reprlib import repr as shown
from typing import Any

from memraft_proto.v1 import query_pb2

from . import _json, _wire
from .errors import InvalidArgument
from .types import Created, Deleted, DocumentIndex, IndexState, QueryResults, Results

_STATES: dict[int, IndexState] = {
    query_pb2.INDEX_STATE_BUILDING: "building",
    query_pb2.INDEX_STATE_READY: "ready",
    query_pb2.INDEX_STATE_ABSENT: "absent",
}


def query(
    where: Mapping[str, Any],
    filter: Mapping[str, Any] | None,
    sort: str | Iterable[str],
    fields: str | Iterable[str],
    **arguments: Any,
) -> query_pb2.QueryRequest:
    """Returns the request of a query."""
    wanted = [fields] if isinstance(fields, str) else _wire.listed(fields, "fields", "paths")
    order = [sort] if isinstance(sort, str) else _wire.listed(sort, "sort", "fields")
    return _wire.build(
        query_pb2.QueryRequest,
        **where,
        **arguments,
        filter=_json.encode_object(filter, "filter"),
        fields=wanted,
        sort=[_sort_field(each) for each in order],
    )


def _sort_field(text: Any) -> query_pb2.SortField:
    if not isinstance(text, str):
        raise InvalidArgument(f"sort must be fields such as 'name' or '-created', not {shown(text)}")
    field = text[1:] if text[:1] in ("+", "-") else text
    return _wire.build(query_pb2.SortField, field=field, descending=text.startswith("-"))


def found(response: query_pb2.QueryResponse) -> QueryResults:
    """Returns a page of a query."""
    page = _wire.listing(response, False)
    return QueryResults(
        items=page.items,
        log_index=page.log_index,
        time_us=page.time_us,
        age_us=page.age_us,
        next_cursor=page.next_cursor,
        at_index=response.at_index,
        scanned=response.scanned,
        index_used=response.index_used,
    )


def declare_index(where: Mapping[str, Any], field: str) -> query_pb2.DeclareIndexRequest:
    """Returns the request that declares an index."""
    return _wire.build(query_pb2.DeclareIndexRequest, **where, field=field)


def index_declared(
    request: query_pb2.DeclareIndexRequest, response: query_pb2.DeclareIndexResponse
) -> Created:
    """Returns what is there now."""
    created = response.created
    return Created(id=request.field, version=response.version, time_us=response.time_us, created=created)


def drop_index(where: Mapping[str, Any], field: str) -> query_pb2.DropIndexRequest:
    """Returns the request that drops an index."""
    return _wire.build(query_pb2.DropIndexRequest, **where, field=field)


def index_dropped(request: query_pb2.DropIndexRequest, response: query_pb2.DropIndexResponse) -> Deleted:
    """Returns what was dropped."""
    found = response.found
    return Deleted(id=request.field, version=response.version, time_us=response.time_us, found=found)


def indexes(response: query_pb2.ListIndexesResponse) -> Results[DocumentIndex]:
    """Returns the indexes of a listing."""
    items = tuple(
        DocumentIndex(
            field=each.field,
            state=_STATES.get(each.state, "absent"),
            entries=each.entries,
            version=each.provenance.version,
            time_us=each.provenance.time_us,
            agent=each.provenance.agent,
        )
        for each in response.indexes
    )
    return _wire.results(response, items)
