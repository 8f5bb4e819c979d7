"""Checks of calls on vectors and memories."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from memraft_proto.v1 import memory_pb2, vector_pb2
from memraft_server.machine.limits import Limits
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import (
    check_columns,
    check_count,
    check_json_object,
    check_moment,
    check_size,
    check_text,
    check_validity,
)
from memraft_server.projections.filters import FilterError, FilterLimits, Predicate, compile_filter
from memraft_server.projections.vector_math import FLOAT32, all_finite

_FLOAT_BYTES = 4
FORGET_NOTE_BYTES_MAX = 1_024
_FILTERS_KEPT = 256


@lru_cache(maxsize=_FILTERS_KEPT)
def _compiled(text: bytes, limits: FilterLimits) -> Predicate:
    return compile_filter(text, limits)


def parse_filter(text: bytes, limits: Limits) -> Predicate | None:
    """Returns the predicate of a filter, None for an empty one; raises Refused for a malformed one."""
    if not text:
        return None
    check_size("filter", len(text), limits.filter_bytes_max)
    try:
        return _compiled(text, FilterLimits(limits.filter_depth_max, limits.filter_nodes_max))
    except FilterError as error:
        raise invalid(f"filter: {error}", field="filter") from None


def check_fingerprint(text: str, limits: Limits) -> None:
    """Refuses what is not a fingerprint; an empty one is."""
    check_text("fingerprint", text, limits.fingerprint_bytes_max, empty=True)


def check_vector(field: str, data: bytes, limits: Limits) -> None:
    """Refuses what is not a vector of finite components."""
    if not data or len(data) % _FLOAT_BYTES:
        raise invalid(
            f"{field}: {len(data)} bytes; {_FLOAT_BYTES} bytes (float32) for each component, one at least",
            field=field,
        )
    dimension = len(data) // _FLOAT_BYTES
    if dimension > limits.dimension_max:
        raise invalid(
            f"{field}: {dimension} components, at most {limits.dimension_max}",
            field=field,
            limit=str(limits.dimension_max),
        )
    components = np.frombuffer(data, FLOAT32)
    if not all_finite(components):
        where = int(np.argmin(np.isfinite(components)))
        raise invalid(f"{field}: component {where} is NaN or infinite; all must be finite", field=field)


def _create_collection(request: vector_pb2.CreateCollectionRequest, limits: Limits) -> None:
    check_text("collection", request.collection, limits.name_bytes_max)
    check_count("dimension", request.dimension, limits.dimension_max, least=1)
    if request.metric not in vector_pb2.Metric.values():
        raise invalid(
            f"metric: {request.metric}, from 0 to {max(vector_pb2.Metric.values())}", field="metric"
        )
    check_fingerprint(request.fingerprint, limits)


def _upsert_vector(request: vector_pb2.UpsertVectorRequest, limits: Limits) -> None:
    check_text("collection", request.collection, limits.name_bytes_max)
    check_text("id", request.id, limits.key_bytes_max)
    check_vector("vector", request.vector, limits)
    check_json_object("metadata", request.metadata, limits.metadata_bytes_max)
    check_fingerprint(request.fingerprint, limits)


def _upsert_many(request: vector_pb2.UpsertManyRequest, limits: Limits) -> None:
    check_text("collection", request.collection, limits.name_bytes_max)
    ids, vectors = request.ids, request.vectors
    count = len(ids)
    check_count("ids", count, limits.items_max, least=1)
    for i, id in enumerate(ids):
        check_text(f"ids[{i}]", id, limits.key_bytes_max)
    if not vectors or len(vectors) % (_FLOAT_BYTES * count):
        raise invalid(
            f"vectors: {len(vectors)} bytes for {count} ids; {_FLOAT_BYTES} bytes (float32) for each "
            "component of each vector",
            field="vectors",
        )
    dimension = len(vectors) // (_FLOAT_BYTES * count)
    check_count("vectors: components of each", dimension, limits.dimension_max)
    components = np.frombuffer(vectors, FLOAT32)
    if not all_finite(components):
        row, component = divmod(int(np.argmin(np.isfinite(components))), dimension)
        raise invalid(
            f"vectors[{row}]: component {component} is NaN or infinite; all must be finite",
            field=f"vectors[{row}]",
        )
    if request.metadatas:
        check_columns("ids", count, metadatas=len(request.metadatas))
        for i, metadata in enumerate(request.metadatas):
            check_json_object(f"metadatas[{i}]", metadata, limits.metadata_bytes_max)
    check_fingerprint(request.fingerprint, limits)


def _delete_vector(request: vector_pb2.DeleteVectorRequest, limits: Limits) -> None:
    check_text("collection", request.collection, limits.name_bytes_max)
    check_text("id", request.id, limits.key_bytes_max)


def _search_vectors(request: vector_pb2.SearchVectorsRequest, limits: Limits) -> None:
    check_text("collection", request.collection, limits.name_bytes_max)
    check_vector("vector", request.vector, limits)
    check_count("k", request.k, limits.k_max)
    parse_filter(request.filter, limits)
    check_fingerprint(request.fingerprint, limits)


def _list_collections(request: vector_pb2.ListCollectionsRequest, limits: Limits) -> None:
    """Has nothing but the namespace, which is checked for every call."""


def _remember(request: memory_pb2.RememberRequest, limits: Limits) -> None:
    size = len(request.text.encode())
    if not size:
        raise invalid(f"text: missing; 1 to {limits.text_bytes_max} bytes", field="text")
    check_size("text", size, limits.text_bytes_max)
    if request.embedding:
        check_vector("embedding", request.embedding, limits)
    check_fingerprint(request.fingerprint, limits)
    _check_labels(request, limits)
    check_text("id", request.id, limits.key_bytes_max, empty=True)
    check_text("thread", request.thread, limits.key_bytes_max, empty=True)
    check_text("speaker", request.speaker, limits.name_bytes_max, empty=True)
    check_count("ttl_ms", request.ttl_ms, limits.ttl_ms_max)
    check_validity("", request.valid_from_us, request.valid_until_us)


def _update_memory(request: memory_pb2.UpdateMemoryRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max)
    _check_labels(request, limits)
    check_count("ttl_ms", request.ttl_ms, limits.ttl_ms_max)
    check_moment("valid_from_us", request.valid_from_us)
    check_moment("valid_until_us", request.valid_until_us)


def _check_labels(
    request: memory_pb2.RememberRequest | memory_pb2.UpdateMemoryRequest, limits: Limits
) -> None:
    check_json_object("metadata", request.metadata, limits.metadata_bytes_max)
    check_text("about", request.about, limits.key_bytes_max, empty=True)
    check_text("kind", request.kind, limits.name_bytes_max, empty=True)
    if not 0 <= request.salience <= 1:  # NaN fails too
        raise invalid(f"salience: {request.salience}, from 0 to 1", field="salience", limit="1")


def _forget(request: memory_pb2.ForgetRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max)
    check_size("reason", len(request.reason.encode()), FORGET_NOTE_BYTES_MAX)


def _get_memory(request: memory_pb2.GetMemoryRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max)
    check_moment("valid_at_us", request.valid_at_us)


def _list_memories(request: memory_pb2.ListMemoriesRequest, limits: Limits) -> None:
    check_text("about", request.about, limits.key_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)
    check_moment("valid_at_us", request.valid_at_us)


WRITE_CHECKS: dict[int, Check] = {
    7: _create_collection,
    8: _upsert_vector,
    9: _upsert_many,
    10: _delete_vector,
    11: _remember,
    12: _forget,
    50: _update_memory,
}

READ_CHECKS: dict[str, Check] = {
    "ListCollections": _list_collections,
    "SearchVectors": _search_vectors,
    "GetMemory": _get_memory,
    "ListMemories": _list_memories,
}
