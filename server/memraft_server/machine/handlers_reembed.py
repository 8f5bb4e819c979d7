"""Applies and answers calls that move memories to another embedding model."""

from __future__ import annotations

import numpy as np

from memraft_proto.v1 import reembed_pb2
from memraft_server.machine.handlers_vectors import as_vector, refuse_other_embedding, want_index
from memraft_server.machine.limits import DIMENSION_MAX, ITEMS_MAX, Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Check, Handler, Query, Turn, View
from memraft_server.machine.validate_common import check_columns, check_count, check_text
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.reembedding import (
    BEGAN,
    CANCELLED,
    FINISHED,
    Model,
    count_unembedded,
    unembedded,
)
from memraft_server.projections.versions import NOW

LOOKED_MAX = 20_000
"""Memories that one page looks at: some milliseconds."""
_FLOAT_BYTES = 4
_TEXT_WIRE_BYTES = 24
"""What a listed memory takes in a reply beside its id and text."""


def model_of(space: Namespace, store: MemoryStore, size: int, fingerprint: str, ceiling: int = NOW) -> Model:
    """Returns the model, in use as of `ceiling`, of an embedding of `size` bytes.

    Raises:
        Refused: `EMBEDDING_MISMATCH`: no such model was in use.
    """
    models = store.models(ceiling)
    if not models.main.dimension:
        return Model(0, size // _FLOAT_BYTES, fingerprint)
    model = models.named(size // _FLOAT_BYTES, fingerprint) if size % _FLOAT_BYTES == 0 else None
    if model is None:
        told = models.next if models.next is not None and models.next.fingerprint == fingerprint else None
        told = told or models.main
        refuse_other_embedding(
            f"namespace {space.name!r}", told.dimension, told.fingerprint, size, fingerprint
        )
    return model or models.main


def _movable(space: Namespace) -> MemoryStore:
    """Returns the memories of a namespace that is no fork, nor the trial of a transaction. Raises Refused."""
    if space.origin is not None:
        raise invalid(
            f"namespace: {space.name!r} is a fork, or the trial of a transaction: it keeps the models that "
            "it began with",
            field="namespace",
        )
    return space.projection(MemoryStore)


def begin_reembed(
    turn: Turn, space: Namespace, request: reembed_pb2.BeginReembedRequest
) -> reembed_pb2.BeginReembedResponse:
    """Begins a move, or finds it under way."""
    dimension, fingerprint = request.dimension, request.fingerprint
    if not 1 <= dimension <= DIMENSION_MAX:
        raise invalid(f"dimension: {dimension}, from 1 to {DIMENSION_MAX}")
    store = _movable(space)
    models = store.models()
    response = reembed_pb2.BeginReembedResponse(time_us=turn.time_us)
    model = models.named(dimension, fingerprint)
    if model is None and not models.main.dimension:
        model = Model(turn.version, dimension, fingerprint)
        store.move(BEGAN, model, turn.version, turn.author)
        store.move(FINISHED, model, turn.version + 1, turn.author)
        turn.items = 2
    elif model is None:
        if models.next is not None:
            raise Refused(
                "EMBEDDING_MISMATCH",
                f"the memories of {space.name!r} move to {models.next.fingerprint!r} already: finish or "
                "cancel that first",
                {"fingerprint": models.next.fingerprint},
            )
        model = Model(turn.version, dimension, fingerprint)
        store.move(BEGAN, model, turn.version, turn.author)
        response.version = turn.version
    elif model is models.next:
        response.version = model.began
    response.remaining = count_unembedded(store, model)
    return response


def store_embeddings(
    turn: Turn, space: Namespace, request: reembed_pb2.StoreEmbeddingsRequest
) -> reembed_pb2.StoreEmbeddingsResponse:
    """Adds embeddings to memories that are still what was embedded, and have none."""
    ids, versions, data = request.ids, request.versions, request.embeddings
    count = len(ids)
    if not 0 < count <= ITEMS_MAX or len(versions) != count or not data or len(data) % count:
        raise invalid("ids, versions, embeddings: columns of different lengths, too long or empty")
    store = _movable(space)
    if not store.dimension:
        raise Refused("EMBEDDING_MISMATCH", f"the memories of {space.name!r} have no model yet: begin first")
    model = model_of(space, store, len(data) // count, request.fingerprint)
    vectors = as_vector(data).reshape(count, -1)
    stored = 0
    for place, (id, version) in enumerate(zip(ids, versions, strict=True)):
        item = store.get(id, NOW)
        if item is None or item.version != version or not store.lacks(item, model):
            continue
        store.embed(item, vectors[place], model, turn.version + place)
        stored += 1
    turn.items = count
    for rows in store.all_rows():
        want_index(turn, rows)
    return reembed_pb2.StoreEmbeddingsResponse(
        first_version=turn.version,
        time_us=turn.time_us,
        stored=stored,
        remaining=count_unembedded(store, model),
    )


def finish_reembed(
    turn: Turn, space: Namespace, request: reembed_pb2.FinishReembedRequest
) -> reembed_pb2.FinishReembedResponse:
    """Makes the next model the main one if nothing is left to do, or gives it up."""
    store = _movable(space)
    models = store.models()
    response = reembed_pb2.FinishReembedResponse(version=turn.version, time_us=turn.time_us)
    under_way = models.next
    if (under_way or models.main).fingerprint != request.fingerprint:
        about = f"move to {under_way.fingerprint!r}" if under_way else f"are by {models.main.fingerprint!r}"
        raise Refused(
            "EMBEDDING_MISMATCH",
            f"the memories of {space.name!r} {about}, not to or by {request.fingerprint!r}",
            {"fingerprint": (under_way or models.main).fingerprint},
        )
    if under_way is None:  # it is done already: by a call before, or by another
        response.finished = True
        return response
    response.remaining = count_unembedded(store, under_way)
    response.finished = request.cancel or not response.remaining
    if response.finished:
        store.move(CANCELLED if request.cancel else FINISHED, under_way, turn.version, turn.author)
    return response


def get_reembedding(
    view: View, space: Namespace, request: reembed_pb2.GetReembeddingRequest
) -> reembed_pb2.GetReembeddingResponse:
    """Tells of the models. A page ends at the first of: items, bytes, memories looked at."""
    if request.limit and not view.is_now:
        raise invalid("limit: what is left to embed is listed as of now only")
    store = space.projection(MemoryStore)
    models, limits = store.models(view.ceiling), view.limits
    newest = models.next or models.main
    response = reembed_pb2.GetReembeddingResponse(
        fingerprint=models.main.fingerprint,
        dimension=models.main.dimension,
        remaining=count_unembedded(store, newest) if view.is_now else 0,
    )
    if models.next is not None:
        response.next_fingerprint, response.next_dimension = models.next.fingerprint, models.next.dimension
    if not request.limit or not response.remaining:
        return response
    size = 0
    last = request.above
    for looked, (version, item) in enumerate(unembedded(store, newest, request.above)):
        cost = _TEXT_WIRE_BYTES + 3 * (len(item.id) + len(item.text)) if item is not None else 0
        over = size and size + cost > limits.page_bytes_max
        if over or len(response.ids) >= min(request.limit, limits.page_items_max) or looked >= LOOKED_MAX:
            response.next_above = last
            break
        last = version
        if item is not None:
            size += cost
            response.ids.append(item.id)
            response.versions.append(version)
            response.texts.append(item.text)
    return response


def _check_model(
    request: reembed_pb2.BeginReembedRequest | reembed_pb2.FinishReembedRequest, limits: Limits
) -> None:
    check_text("fingerprint", request.fingerprint, limits.fingerprint_bytes_max)


def _check_begin(request: reembed_pb2.BeginReembedRequest, limits: Limits) -> None:
    _check_model(request, limits)
    check_count("dimension", request.dimension, limits.dimension_max, least=1)


def _check_store(request: reembed_pb2.StoreEmbeddingsRequest, limits: Limits) -> None:
    check_text("fingerprint", request.fingerprint, limits.fingerprint_bytes_max)
    count, data = len(request.ids), request.embeddings
    check_count("ids", count, limits.items_max, least=1)
    for place, id in enumerate(request.ids):
        check_text(f"ids[{place}]", id, limits.key_bytes_max)
    check_columns("ids", count, versions=len(request.versions))
    if not data or len(data) % (_FLOAT_BYTES * count):
        raise invalid(
            f"embeddings: {len(data)} bytes for {count} ids; {_FLOAT_BYTES} bytes (float32) for each "
            "component of each",
            field="embeddings",
        )
    check_count("embeddings: components of each", len(data) // (_FLOAT_BYTES * count), limits.dimension_max)
    finite = np.isfinite(np.frombuffer(data, "<f4")).reshape(count, -1).all(axis=1)
    if not finite.all():
        place = int(np.argmin(finite))
        raise invalid(
            f"embeddings[{place}]: NaN or infinite; all components must be finite", field="embeddings"
        )


def _check_get(request: reembed_pb2.GetReembeddingRequest, limits: Limits) -> None:
    check_count("limit", request.limit, limits.page_items_max)


HANDLERS: dict[int, Handler] = {53: begin_reembed, 54: store_embeddings, 55: finish_reembed}
QUERIES: dict[str, Query] = {"GetReembedding": get_reembedding}
WRITE_CHECKS: dict[int, Check] = {53: _check_begin, 54: _check_store, 55: _check_model}
READ_CHECKS: dict[str, Check] = {"GetReembedding": _check_get}
