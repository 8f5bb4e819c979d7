"""Between Python values and the messages of a recall. Pure; shared by both facades."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from math import isfinite
from reprlib import repr as shown
from typing import Any, cast, get_args

from msgspec.structs import replace

from memraft_proto.v1 import common_pb2, memory_pb2

from . import _json, _wire
from ._moments import when_us
from .errors import InvalidArgument
from .types import FusionName, Hit, Reason, Recalled, RecallParameters, ReceiptId, ReceiptMode

TOKENS_MAX = (1 << 32) - 1
_CHARACTERS_A_TOKEN = 4
_PROFILE = "profile"

_FUSIONS: dict[Any, int] = {
    "min-max": memory_pb2.FUSION_MIN_MAX,
    "reciprocal-ranks": memory_pb2.FUSION_RECIPROCAL_RANKS,
}
_FUSION_NAMES = {number: name for name, number in _FUSIONS.items()}
_MODES: dict[Any, int] = {
    "soon": memory_pb2.RECEIPT_MODE_SOON,
    "now": memory_pb2.RECEIPT_MODE_NOW,
    "none": memory_pb2.RECEIPT_MODE_NONE,
}
_NAMES = tuple(field.name for field in memory_pb2.RecallParameters.DESCRIPTOR.fields)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many hits are wanted.

    Args:
        k: At most this many; None: 10, and with `tokens` as many as fit.
        tokens: Of their texts together, at most; None: any number.
        rerank_k: So many are asked for where a reranker chooses; None: there is none.
    """

    k: int | None
    tokens: int | None
    rerank_k: int | None = None

    def fields(self) -> dict[str, int]:
        """Returns what the request says of it. Raises InvalidArgument."""
        asked: dict[str, int] = {}
        if self.k is not None:
            asked["k"] = _wire.at_least_one(self.k, "k")
        if self.tokens is not None:
            asked["tokens"] = _wire.at_least_one(self.tokens, "tokens")
        if self.rerank_k is not None:
            asked["k"] = max(_wire.at_least_one(self.rerank_k, "rerank_k"), asked.get("k", 0))
            if self.tokens is not None:  # What fits is known once the reranker has chosen.
                asked["tokens"] = TOKENS_MAX
        return asked

    def reranked(self, found: Recalled, scores: Any) -> Recalled:
        """Returns the hits in the order of a reranker's scores, as many as are wanted. Raises
        InvalidArgument where these are not one finite number for each hit."""
        judged = [_score(each) for each in _wire.listed(scores, "what rerank returns", "numbers")]
        if len(judged) != len(found):
            raise InvalidArgument(f"rerank returned {len(judged)} scores for {len(found)} texts")
        places = sorted(range(len(judged)), key=lambda place: (not _is_profile(found[place]), -judged[place]))
        ranks = {
            place: rank
            for rank, place in enumerate(sorted(range(len(judged)), key=lambda at: -judged[at]), 1)
        }
        hits = [_judged(found[place], judged[place], ranks[place]) for place in places]
        if self.tokens is not None:
            hits = _fitting(hits, self.tokens)
        k = self.k if self.k is not None else 10 if self.tokens is None else len(hits)
        return replace(found, items=tuple(hits[:k]))


Recollection = tuple[
    Sequence[tuple[Any, float]], Sequence[int], Any, memory_pb2.RecallParameters | None, str, int, int
]
"""What a recall in this process found: (memories as they are stored and their scores, when each was written
in µs, columns as of `RecallSignals`, what was counted with, the receipt's id or "", the applied index, its
commit time in µs)."""


def parameters(given: Mapping[str, Any] | None) -> memory_pb2.RecallParameters | None:
    """Returns the message of what is given, None for nothing. Raises InvalidArgument."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"parameters must be a mapping of names to numbers, not {shown(given)}")
    unknown = [name for name in given if name not in _NAMES]
    if unknown:
        raise InvalidArgument(f"parameters: there is no {unknown[0]!r}; there are {', '.join(_NAMES)}")
    fields = dict(given)
    if "fusion" in fields:
        if fields["fusion"] not in _FUSIONS:
            known = " or ".join(map(repr, get_args(FusionName)))
            raise InvalidArgument(f"fusion must be {known}, not {shown(fields['fusion'])}")
        fields["fusion"] = _FUSIONS[fields["fusion"]]
    for name, value in fields.items():
        if value is None:
            raise InvalidArgument(f"{name} must be a number, not None: leave it out")
    return _wire.build(memory_pb2.RecallParameters, **fields)


def as_parameters(message: memory_pb2.RecallParameters) -> RecallParameters:
    """Returns what a message says."""
    return cast(RecallParameters, dict(_read_parameters(message.SerializeToString(deterministic=True))))


@lru_cache(maxsize=256)
def _read_parameters(data: bytes) -> dict[str, Any]:
    message = memory_pb2.RecallParameters.FromString(data)
    found: dict[str, Any] = {}
    for field, value in message.ListFields():  # a float32 has seven digits, and no more are shown
        found[field.name] = float(f"{value:.7g}") if isinstance(value, float) else value
    if "fusion" in found:
        found["fusion"] = _FUSION_NAMES.get(found["fusion"], "min-max")
    return found


def needs_vector(given: memory_pb2.RecallParameters | None) -> bool:
    """Whether a text has to be embedded for a recall with these parameters."""
    return given is None or not given.HasField("vector") or given.vector != 0


def request(
    where: Mapping[str, Any],
    writer: common_pb2.WriteContext,
    query: str | None,
    embedding: tuple[bytes, str],
    budget: Budget,
    weighed: memory_pb2.RecallParameters | None,
    receipt: ReceiptMode,
    filter: Mapping[str, Any] | None,
    valid_at: datetime | None,
    **labels: Any,
) -> memory_pb2.RecallRequest:
    """Returns the request. Raises InvalidArgument."""
    if receipt not in _MODES:
        known = " or ".join(map(repr, get_args(ReceiptMode)))
        raise InvalidArgument(f"receipt must be {known}, not {shown(receipt)}")
    return _wire.build(
        memory_pb2.RecallRequest,
        **where,
        query=query or "",
        embedding=embedding[0],
        fingerprint=embedding[1],
        parameters=weighed,
        filter=_json.encode_object(filter, "filter"),
        valid_at_us=when_us(valid_at, "valid_at"),
        receipt=_MODES[receipt],
        agent=writer.agent,
        run=writer.run,
        **budget.fields(),
        **labels,
    )


def recalled(response: memory_pb2.RecallResponse) -> Recalled:
    """Returns what was found."""
    stamp = response.stamp
    return Recalled(
        items=tuple(_hits(response)),
        log_index=stamp.applied_index,
        time_us=stamp.applied_time_us,
        age_us=stamp.age_us,
        receipt=ReceiptId(response.receipt) if response.receipt else None,
        parameters=as_parameters(response.parameters),
    )


def recollected(found: Recollection) -> Recalled:
    """Returns what a recall in this process found."""
    hits, times_us, signals, counted, receipt, log_index, time_us = found
    return Recalled(
        items=tuple(_remembered(hits, times_us, signals)),
        log_index=log_index,
        time_us=time_us,
        receipt=ReceiptId(receipt) if receipt else None,
        parameters=as_parameters(counted) if counted is not None else {},
    )


def _remembered(hits: Sequence[tuple[Any, float]], times_us: Sequence[int], signals: Any) -> Iterator[Hit]:
    because = _reasons(signals)
    for (item, score), time_us, count in zip(hits, times_us, signals.counts, strict=False):
        author = item.author
        yield Hit(
            id=item.id,
            text=item.text,
            about=item.about,
            kind=item.kind,
            salience=item.salience,
            metadata=_json.decode_object(item.metadata),
            valid_from_us=item.valid_from_us,
            valid_until_us=item.valid_until_us,
            thread=item.thread,
            speaker=item.speaker,
            pinned=item.pinned,
            expires_at_us=item.expires_at_us,
            version=item.version,
            time_us=time_us,
            agent=author.agent,
            run=author.run,
            tool=author.tool,
            score=score,
            reasons=tuple(islice(because, count)),
        )


def _hits(response: memory_pb2.RecallResponse) -> Iterator[Hit]:
    why = reasons(response.signals, len(response.hits))
    for found, because in zip(response.hits, why, strict=True):
        yield Hit(score=found.score, reasons=because, **_wire.memory_fields(found.memory))


def reasons(signals: memory_pb2.RecallSignals, hits: int) -> list[tuple[Reason, ...]]:
    """Returns the reasons of each of so many hits; none where the signals were left out."""
    every = _reasons(signals)
    return [tuple(islice(every, count)) for count in signals.counts or [0] * hits]


def _reasons(signals: Any) -> Iterator[Reason]:
    """Returns the reasons of all hits, one after the other, of `RecallSignals` or the like."""
    names, weights = list(signals.names), list(signals.weights)
    places = signals.places[:]  # as lists: what a message repeats is slow to go through
    of_names, of_weights = map(names.__getitem__, places), map(weights.__getitem__, places)
    return map(Reason, of_names, signals.ranks[:], signals.values[:], of_weights, signals.shares[:])


def _score(value: Any) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"rerank must return numbers, not {shown(value)}") from error
    if not isfinite(score):
        raise InvalidArgument(f"rerank must return finite numbers, not {score}")
    return score


def _is_profile(hit: Hit) -> bool:
    return any(reason.name == _PROFILE for reason in hit.reasons)


def _judged(hit: Hit, score: float, rank: int) -> Hit:
    reason = Reason(name="rerank", rank=rank, value=score, weight=1.0, share=score)
    return replace(hit, score=score, reasons=(reason, *hit.reasons))


def _fitting(hits: Sequence[Hit], tokens: int) -> list[Hit]:
    kept = []
    for hit in hits:
        cost = -(-len(hit.text) // _CHARACTERS_A_TOKEN)
        if cost <= tokens:
            tokens -= cost
            kept.append(hit)
    return kept
