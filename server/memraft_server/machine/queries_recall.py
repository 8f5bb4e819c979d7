"""Answers recalls: what a request asks for, as the pipeline takes it, and what that found, as a reply."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import pack
from typing import NamedTuple

from memraft_proto.v1 import memory_pb2
from memraft_server.machine.handlers_memories import fill_record, memory_wire_bytes, memory_wire_bytes_max
from memraft_server.machine.handlers_reembed import model_of
from memraft_server.machine.handlers_vectors import as_vector
from memraft_server.machine.limits import POSITION_BITS, Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.puts import varint
from memraft_server.machine.recall_settings import check_parameters, fill_given, given_of, set_parameters
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check, Query, View
from memraft_server.machine.validate_common import check_count, check_moment, check_size, check_text
from memraft_server.machine.validate_vectors import check_fingerprint, check_vector, parse_filter
from memraft_server.projections.graph import GraphProjection
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.memory_rows import MemoryRows, Wanted
from memraft_server.projections.receipts import ReceiptsProjection
from memraft_server.projections.reembedding import Model
from memraft_server.projections.vector_math import Floats
from memraft_server.recall.entities import named, nearness
from memraft_server.recall.moments import span_of
from memraft_server.recall.parameters import (
    GRAPH_DEPTH_MAX,
    PIPELINE,
    SHAPES,
    WEIGHTS,
    Parameters,
    overlaid,
)
from memraft_server.recall.pipeline import Asked, Found, Moments, nearest
from memraft_server.recall.pipeline import recall as find
from memraft_server.recall.scoring import NO_REASONS, Reasons

_RECEIPT_MODES = frozenset(memory_pb2.ReceiptMode.values())
_VALUES = memory_pb2.RecallSignals.VALUES_FIELD_NUMBER
_SHARES = memory_pb2.RecallSignals.SHARES_FIELD_NUMBER
_LENGTH_DELIMITED = 2
"""Type of a field in protobuf's wire format whose length stands before it."""
_SIGNALS_WIRE_BYTES = 192
"""What the signals of a hit take in a reply."""


class Answer(NamedTuple):
    """What a recall found, as many of the best as fit a reply."""

    hits: list[tuple[Remembered, float]]
    """Memories and their scores, best first."""
    reasons: Reasons
    """Why these were found."""
    parameters: memory_pb2.RecallParameters | None
    """What was counted with, not to be changed; None: nothing was."""


def recall(view: View, space: Namespace, request: memory_pb2.RecallRequest) -> memory_pb2.RecallResponse:
    """Finds memories, as many of the best as fit a reply."""
    found = answer(view, space, request)
    response = memory_pb2.RecallResponse()
    for item, score in found.hits:
        hit = response.hits.add()  # a score that is set afterwards takes less than one that is given here
        hit.score = score
        fill_record(hit.memory, view, item)
    fill_signals(response.signals, found.reasons, len(found.hits))
    if found.parameters is not None:
        response.parameters.CopyFrom(found.parameters)
        response.pipeline = PIPELINE
    return response


def answer(view: View, space: Namespace, request: memory_pb2.RecallRequest) -> Answer:
    """Finds memories, without a message."""
    store = space.projection(MemoryStore)
    embedding, model = _embedding(view, space, store, request)
    if not request.query and embedding is None:
        return Answer([], NO_REASONS, None)
    if not request.query and not request.HasField("parameters") and not request.tokens:
        ceiling = None if view.is_now else view.ceiling
        asked = Asked("", embedding, request.k, 0, _wanted(view, space, request), model=model)
        return _fitting(view, nearest(store, ceiling, asked), None)
    parameters = _parameters(view, space, request)
    moments = _moments(view, space, parameters)
    asked = Asked(
        request.query,
        embedding,
        request.k,
        request.tokens,
        _wanted(view, space, request),
        _entities(view, space, request.query, parameters),
        span_of(request.query, moments.now_us) if parameters.weights.dated else None,
        parameters,
        model,
    )
    return _fitting(view, find(store, view.ceiling, asked, moments), parameters)


def _fitting(view: View, found: Found, parameters: Parameters | None) -> Answer:
    """Returns as many of the best as fit a reply, which a caller in process gets no more of either."""
    hits, left = found.hits, view.limits.reply_bytes_max
    # A few cannot be too large, and are not looked at for that.
    among = hits if len(hits) * (memory_wire_bytes_max(view.limits) + _SIGNALS_WIRE_BYTES) > left else ()
    for place, (item, _) in enumerate(among):
        left -= memory_wire_bytes(item) + _SIGNALS_WIRE_BYTES
        if left < 0:
            hits = hits[:place]
            break
    return Answer(hits, found.reasons, _message_of(parameters) if parameters is not None else None)


def fill_signals(signals: memory_pb2.RecallSignals, why: Reasons, hits: int) -> None:
    """Writes why the first hits, so many, were found."""
    counts = why.counts[:hits]
    count = sum(counts)
    signals.names.extend(why.names)
    signals.weights.extend(why.weights)
    signals.counts.extend(counts)
    signals.places.extend(why.places[:count])
    signals.ranks.extend(why.ranks[:count])
    if count:
        signals.MergeFromString(_packed(_VALUES, why.values[:count]) + _packed(_SHARES, why.shares[:count]))


def _packed(field: int, values: list[float]) -> bytes:
    """Returns a repeated field of floats as it is encoded: to read it so takes a tenth of setting each."""
    data = pack(f"<{len(values)}f", *values)
    return varint(field << 3 | _LENGTH_DELIMITED) + varint(len(data)) + data


def _embedding(
    view: View, space: Namespace, store: MemoryStore, request: memory_pb2.RecallRequest
) -> tuple[Floats | None, Model | None]:
    """Returns the query's embedding and what made it; nothing where there is none, or nothing to compare it
    with. Raises Refused."""
    data = request.embedding
    if not data or not store.dimension:
        return None, None
    return as_vector(data), model_of(space, store, len(data), request.fingerprint, view.ceiling)


def _wanted(view: View, space: Namespace, request: memory_pb2.RecallRequest) -> Wanted:
    return Wanted(
        _abouts(view, space, request),
        request.kind,
        request.filter,
        parse_filter(request.filter, view.limits) if request.filter else None,
        request.valid_at_us if request.HasField("valid_at_us") else None,
    )


def _abouts(view: View, space: Namespace, request: memory_pb2.RecallRequest) -> list[str] | None:
    """Returns the entities that a recall is confined to, None where it is not."""
    if not request.about:
        return None
    if not request.about_hops:
        return [request.about]
    graph = space.projection(GraphProjection)
    about = request.about
    starts = dict.fromkeys((about, graph.resolve(about, view.ceiling)[0]))
    return list(nearness(graph, starts, view.ceiling, request.about_hops))


def _entities(view: View, space: Namespace, query: str, parameters: Parameters) -> dict[str, float]:
    """Returns how near entities are to what the query names."""
    store, graph = space.projection(MemoryStore), space.graph
    if not query or not parameters.weights.graph:
        return {}
    found_by = [each.found_by for each, _, _ in store.parts(view.ceiling)]
    if not any(each.is_about_any for each in found_by):
        return {}  # whatever the graph says, no memory is about it
    starts = named(query, graph, view.ceiling, _is_about(found_by))
    if graph is None:
        return dict.fromkeys(starts, 1.0)
    return nearness(graph, starts, view.ceiling, parameters.graph_depth)


def _is_about(found_by: list[MemoryRows]) -> Callable[[str], bool]:
    """Returns what says whether any memory is about an entity."""
    if len(found_by) == 1:
        return found_by[0].is_about
    return lambda entity: any(each.is_about(entity) for each in found_by)


def _moments(view: View, space: Namespace, parameters: Parameters) -> Moments:
    entries = view.entries
    now_us = entries.time_at(view.ceiling)

    def versions(start_us: int, end_us: int) -> tuple[int, int]:
        first, after = entries.index_at(start_us - 1) + 1, entries.index_at(end_us - 1) + 1
        return first << POSITION_BITS, after << POSITION_BITS

    weights = parameters.weights
    if not weights.recency and not weights.salience:
        return Moments(now_us, entries.times_of, versions)
    accesses, ceiling = space.projection(ReceiptsProjection).accesses, view.ceiling
    return Moments(
        now_us,
        entries.times_of,
        versions,
        lambda ids: accesses.last_versions(ids, ceiling),
        accesses if accesses.is_now(ceiling) else None,
    )


@lru_cache(maxsize=256)
def _message_of(parameters: Parameters) -> memory_pb2.RecallParameters:
    message = memory_pb2.RecallParameters()
    fill_given(message, {name: getattr(parameters.weights, name) for name in WEIGHTS})
    fill_given(message, {name: getattr(parameters, name) for name in SHAPES})
    return message


def _parameters(view: View, space: Namespace, request: memory_pb2.RecallRequest) -> Parameters:
    """Returns what a recall counts with: its own parameters over those of the namespace over the default."""
    base = set_parameters(view, space)
    return overlaid(base, given_of(request.parameters)) if request.HasField("parameters") else base


def _check_recall(request: memory_pb2.RecallRequest, limits: Limits) -> None:
    check_size("query", len(request.query.encode()), limits.text_bytes_max)
    if request.embedding or not request.query:
        check_vector("embedding", request.embedding, limits)
    check_fingerprint(request.fingerprint, limits)
    check_count("k", request.k, limits.k_max)
    check_text("about", request.about, limits.key_bytes_max, empty=True)
    check_count("about_hops", request.about_hops, GRAPH_DEPTH_MAX)
    check_text("kind", request.kind, limits.name_bytes_max, empty=True)
    parse_filter(request.filter, limits)
    check_moment("valid_at_us", request.valid_at_us)
    for name in ("agent", "run", "turn"):
        check_text(name, getattr(request, name), limits.label_bytes_max, empty=True)
    if request.receipt not in _RECEIPT_MODES:
        raise invalid(f"receipt: {request.receipt}, from 0 to {max(_RECEIPT_MODES)}", field="receipt")
    if request.HasField("parameters"):
        check_parameters("parameters", request.parameters)


QUERIES: dict[str, Query] = {"Recall": recall}
READ_CHECKS: dict[str, Check] = {"Recall": _check_recall}
