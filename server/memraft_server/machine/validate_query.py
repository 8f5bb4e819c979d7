"""Checks of queries, and of the paths of fields."""

from __future__ import annotations

from collections.abc import Sequence

from memraft_proto.v1 import query_pb2
from memraft_server.machine.limits import Limits
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import check_count, check_text, shown
from memraft_server.machine.validate_vectors import parse_filter
from memraft_server.projections.filters import PATH_SEGMENTS_MAX


def check_field(name: str, field: str, limits: Limits) -> None:
    """Refuses what is not the path of a field: the same paths that filters take."""
    check_text(name, field, limits.field_bytes_max)
    segments = field.split(".")
    if not all(segments):
        raise invalid(f"{name}: {shown(field)}: a field's path has no empty segments", field=name)
    if len(segments) > PATH_SEGMENTS_MAX:
        raise invalid(
            f"{name}: {len(segments)} segments, at most {PATH_SEGMENTS_MAX}",
            field=name,
            limit=str(PATH_SEGMENTS_MAX),
        )
    if field.startswith("$"):
        raise invalid(f"{name}: {shown(field)}: what begins with '$' is an operator, no field", field=name)


def _check_fields(name: str, fields: Sequence[str], count_max: int, limits: Limits) -> None:
    check_count(name, len(fields), count_max)
    for i, field in enumerate(fields):
        check_field(f"{name}[{i}]", field, limits)
        if field in fields[:i]:
            raise invalid(f"{name}[{i}]: {shown(field)} is there twice", field=name)


def _query(request: query_pb2.QueryRequest, limits: Limits) -> None:
    for field in ("prefix", "start", "end"):
        check_text(field, getattr(request, field), limits.key_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)
    _check_fields("sort", [each.field for each in request.sort], limits.sort_fields_max, limits)
    _check_fields("fields", request.fields, limits.query_fields_max, limits)
    parse_filter(request.filter, limits)


READ_CHECKS: dict[str, Check] = {"Query": _query}
