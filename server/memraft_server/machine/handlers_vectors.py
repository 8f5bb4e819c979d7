"""Applies and answers calls on vectors in collections."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

import numpy as np

from memraft_proto.v1 import vector_pb2
from memraft_server.machine.limits import DIMENSION_MAX, ITEMS_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Handler, Query, Turn, View
from memraft_server.machine.validate_vectors import parse_filter
from memraft_server.projections.rows import COSINE, RowStore
from memraft_server.projections.vector_math import Floats
from memraft_server.projections.vectors import Collection, Settings, VectorStore

K_DEFAULT = 10
_MATCH_WIRE_BYTES = 24
"""What a match takes in a reply beside its id and metadata."""

_METRIC_NAMES = {1: "cosine", 2: "dot", 3: "L2"}
_METRICS = {0, *_METRIC_NAMES}


def as_vector(data: bytes) -> Floats:
    """Returns the components without copying them; they are float32, little-endian."""
    if len(data) % 4:
        raise invalid(f"vector: {len(data)} bytes, 4 for each component")
    return np.frombuffer(data, "<f4")


def want_index(turn: Turn, rows: RowStore) -> None:
    """Has an index built for these rows, if they need one."""
    if rows.index_pending:
        turn.index_due[rows] = None


def refuse_other_embedding(
    what: str, has_dimension: int, has_fingerprint: str, size: int, fingerprint: str
) -> None:
    """Refuses a vector of `size` bytes that is not of the dimension, or not made by what made the others."""
    if size != 4 * has_dimension:
        models = f" ({has_fingerprint!r} made those, {fingerprint!r} this one)"
        raise Refused(
            "EMBEDDING_MISMATCH",
            f"{what} has vectors of {has_dimension} components, {4 * has_dimension} bytes; "
            f"this one has {size} bytes{models if fingerprint != has_fingerprint else ''}",
            {"dimension": str(has_dimension)},
        )
    if fingerprint != has_fingerprint:
        raise Refused(
            "EMBEDDING_MISMATCH",
            f"{what} has vectors made by {has_fingerprint!r}; this one was made by {fingerprint!r}",
            {"fingerprint": has_fingerprint},
        )


def _existing(space: Namespace, name: str, ceiling: int | None = None) -> Collection:
    collection = space.projection(VectorStore).get(name, ceiling)
    if collection is None:
        when = "" if ceiling is None else " as of then"
        raise Refused(
            "NO_SUCH_COLLECTION",
            f"collection: there is no {name!r} in {space.name!r}{when}",
            {"collection": name},
        )
    return collection


def _compare(collection: Collection, size: int, fingerprint: str) -> None:
    has = collection.settings
    what = f"collection {collection.name!r}"
    refuse_other_embedding(what, has.dimension, has.fingerprint, size, fingerprint or has.fingerprint)


def create_collection(
    turn: Turn, space: Namespace, request: vector_pb2.CreateCollectionRequest
) -> vector_pb2.CreateCollectionResponse:
    """Creates a collection, or finds it with the same settings."""
    if not 1 <= request.dimension <= DIMENSION_MAX or request.metric not in _METRICS:
        raise invalid(f"dimension {request.dimension}, 1 to {DIMENSION_MAX}; metric {request.metric}, 0 to 3")
    settings = Settings(request.dimension, request.metric or COSINE, request.fingerprint)
    store = space.projection(VectorStore)
    collection = store.get(request.collection)
    created = collection is None
    if collection is None:
        collection = store.create(request.collection, settings, turn.version, turn.time_us)
    elif collection.settings != settings:
        raise Refused(
            "COLLECTION_MISMATCH",
            f"collection: {request.collection!r} exists with {_told(collection.settings)}; "
            f"asked for was {_told(settings)}",
            {"collection": request.collection},
        )
    return vector_pb2.CreateCollectionResponse(
        version=collection.version, time_us=collection.time_us, created=created
    )


def _told(settings: Settings) -> str:
    metric = _METRIC_NAMES.get(settings.metric, str(settings.metric))
    return f"dimension {settings.dimension}, metric {metric}, fingerprint {settings.fingerprint!r}"


def upsert_vector(
    turn: Turn, space: Namespace, request: vector_pb2.UpsertVectorRequest
) -> vector_pb2.UpsertVectorResponse:
    """Stores one vector."""
    collection = _existing(space, request.collection)
    data = request.vector
    _compare(collection, len(data), request.fingerprint)
    collection = space.projection(VectorStore).own(collection)
    replaced = collection.upsert(request.id, as_vector(data), request.metadata, turn.version)
    want_index(turn, collection.rows)
    return vector_pb2.UpsertVectorResponse(version=turn.version, time_us=turn.time_us, replaced=replaced)


def upsert_many(
    turn: Turn, space: Namespace, request: vector_pb2.UpsertManyRequest
) -> vector_pb2.UpsertManyResponse:
    """Stores many vectors of one collection."""
    collection = _existing(space, request.collection)
    ids, data, metadatas = request.ids, request.vectors, request.metadatas
    count = len(ids)
    if not 0 < count <= ITEMS_MAX or len(data) % count or len(metadatas) not in (0, count):
        raise invalid("ids, vectors, metadatas: columns of different lengths, too long or empty")
    _compare(collection, len(data) // count, request.fingerprint)
    collection = space.projection(VectorStore).own(collection)
    turn.items = count
    vectors = as_vector(data).reshape(count, -1)
    collection.upsert_many(ids, vectors, metadatas, turn.version)
    want_index(turn, collection.rows)
    return vector_pb2.UpsertManyResponse(first_version=turn.version, count=count, time_us=turn.time_us)


def delete_vector(
    turn: Turn, space: Namespace, request: vector_pb2.DeleteVectorRequest
) -> vector_pb2.DeleteVectorResponse:
    """Deletes one vector."""
    collection = space.projection(VectorStore).own(_existing(space, request.collection))
    found = collection.delete(request.id, turn.version)
    want_index(turn, collection.rows)
    return vector_pb2.DeleteVectorResponse(version=turn.version, time_us=turn.time_us, found=found)


def list_collections(
    view: View, space: Namespace, request: vector_pb2.ListCollectionsRequest
) -> vector_pb2.ListCollectionsResponse:
    """Lists the collections of a namespace by name."""
    ceiling = None if view.is_now else view.ceiling
    response = vector_pb2.ListCollectionsResponse()
    for collection in space.projection(VectorStore).all(ceiling):
        settings = collection.settings
        response.collections.add(
            collection=collection.name,
            dimension=settings.dimension,
            metric=settings.metric,
            fingerprint=settings.fingerprint,
            count=collection.count_alive(ceiling),
        )
    return response


def search_vectors(
    view: View, space: Namespace, request: vector_pb2.SearchVectorsRequest
) -> vector_pb2.SearchVectorsResponse:
    """Finds the nearest vectors, as many of the best as fit a reply."""
    ceiling = None if view.is_now else view.ceiling
    collection = _existing(space, request.collection, ceiling)
    data = request.vector
    _compare(collection, len(data), request.fingerprint)
    text = request.filter
    predicate = parse_filter(text, view.limits) if text else None
    ids, scores, metadatas, versions = collection.search(
        as_vector(data), request.k or K_DEFAULT, ceiling, text, predicate
    )
    bytes_max = view.limits.reply_bytes_max
    if _MATCH_WIRE_BYTES * len(ids) + 3 * sum(map(len, ids)) + sum(map(len, metadatas)) > bytes_max:
        sizes = accumulate(
            _MATCH_WIRE_BYTES + 3 * len(id) + len(metadata)
            for id, metadata in zip(ids, metadatas, strict=True)
        )
        fit = bisect_right(list(sizes), bytes_max)
        ids, scores, metadatas, versions = ids[:fit], scores[:fit], metadatas[:fit], versions[:fit]
    return vector_pb2.SearchVectorsResponse(ids=ids, scores=scores, metadatas=metadatas, versions=versions)


HANDLERS: dict[int, Handler] = {
    7: create_collection,
    8: upsert_vector,
    9: upsert_many,
    10: delete_vector,
}

QUERIES: dict[str, Query] = {"ListCollections": list_collections, "SearchVectors": search_vectors}
