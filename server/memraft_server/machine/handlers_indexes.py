"""Declares and drops indexes of documents by a field, and tells how they stand.

That an index is declared is a setting of the namespace, in the log; the index itself is derived, on each
replica for itself and in its own time.
"""

from __future__ import annotations

from memraft_proto.v1 import query_pb2
from memraft_server.machine.limits import INDEXES_MAX, Limits
from memraft_server.machine.lookups import INDEX_SETTING, seen_index
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check, Handler, Indexed, Query, Turn, View
from memraft_server.machine.validate_query import check_field
from memraft_server.projections.field_index import FieldIndex
from memraft_server.projections.versions import NOW

_DECLARED = b"{}"


def declare_index(
    turn: Turn, space: Namespace, request: query_pb2.DeclareIndexRequest
) -> query_pb2.DeclareIndexResponse:
    """Declares an index, and has it built. What a fork has of its parent is declared in it already."""
    records = space.make_settings().records
    name = INDEX_SETTING + request.field
    found = records.head(name)
    response = query_pb2.DeclareIndexResponse(version=turn.version, time_us=turn.time_us)
    if found is not None:
        response.version = found.version
        return response
    declared = [
        each for each, record in records.scan("", "", INDEX_SETTING, turn.version) if record is not None
    ]
    if len(declared) >= INDEXES_MAX:
        raise invalid(
            f"field: {space.name!r} has indexes on {len(declared)} fields, at most {INDEXES_MAX}",
            field="field",
            limit=str(INDEXES_MAX),
        )
    records.store(name, _DECLARED, turn.version, turn.author, 0)
    _begin(space, request.field, turn.index_due)
    response.created = True
    return response


def drop_index(
    turn: Turn, space: Namespace, request: query_pb2.DropIndexRequest
) -> query_pb2.DropIndexResponse:
    """Drops an index."""
    response = query_pb2.DropIndexResponse(version=turn.version, time_us=turn.time_us)
    if space.settings is not None:
        response.found = space.settings.records.remove(
            INDEX_SETTING + request.field, turn.version, turn.author
        )
    index = space.kv.indexes.pop(request.field, None)
    if index is not None:
        index.stop()
        turn.index_due[index] = None  # it is taken down in portions, as it was built
    return response


def list_indexes(
    view: View, space: Namespace, request: query_pb2.ListIndexesRequest
) -> query_pb2.ListIndexesResponse:
    """Lists the indexes that were declared at a moment, and how they stand now."""
    response = query_pb2.ListIndexesResponse()
    if space.settings is None:
        return response
    for name, record in space.settings.records.scan("", "", INDEX_SETTING, view.ceiling):
        if record is None or record.value is None:
            continue
        field = name[len(INDEX_SETTING) :]
        added = response.indexes.add(field=field, state=query_pb2.INDEX_STATE_ABSENT)
        view.fill_provenance(added.provenance, record.version, record.author)
        own, seen = space.kv.indexes.get(field), seen_index(space, field, NOW)
        if own is not None and not own.is_ready:
            added.state, added.entries = query_pb2.INDEX_STATE_BUILDING, len(own.entries)
        elif seen is not None:
            added.state, added.entries = query_pb2.INDEX_STATE_READY, len(seen.index.entries)
    return response


def begin_indexes(space: Namespace, due: dict[Indexed, None]) -> None:
    """Has the indexes of a namespace built that were declared in it, once all documents are loaded."""
    if space.settings is not None:
        for name, record in space.settings.records.heads.items():
            if name.startswith(INDEX_SETTING) and record.value is not None:
                _begin(space, name[len(INDEX_SETTING) :], due)


def follow_settings(space: Namespace, due: dict[Indexed, None]) -> None:
    """Has the indexes built, or dropped, that settings which were merged declare, or no longer do."""
    if space.settings is None:
        return
    indexes, heads = space.kv.indexes, space.settings.records.heads
    for name, record in heads.items():
        field = name[len(INDEX_SETTING) :]
        if not name.startswith(INDEX_SETTING):
            continue
        if record.value is None and field in indexes:
            indexes.pop(field).stop()
        elif record.value is not None and field not in indexes:
            _begin(space, field, due)


def _begin(space: Namespace, field: str, due: dict[Indexed, None]) -> None:
    index = space.kv.indexes[field] = FieldIndex(space.kv, field)
    due[index] = None


def _check_index(request: query_pb2.DeclareIndexRequest | query_pb2.DropIndexRequest, limits: Limits) -> None:
    check_field("field", request.field, limits)


def _check_list(_request: query_pb2.ListIndexesRequest, _limits: Limits) -> None:
    return None


HANDLERS: dict[int, Handler] = {17: declare_index, 19: drop_index}
QUERIES: dict[str, Query] = {"ListIndexes": list_indexes}
WRITE_CHECKS: dict[int, Check] = {17: _check_index, 19: _check_index}
READ_CHECKS: dict[str, Check] = {"ListIndexes": _check_list}
