"""Between Python values and the messages of the contract. Pure; shared by both facades.

The client checks no more than it must to build a message: limits are the server's to know and to name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

from memraft_proto.v1 import common_pb2, run_pb2, vector_pb2

from .errors import InvalidArgument
from .types import (
    At,
    Collection,
    Consistency,
    Documents,
    Event,
    Hit,
    KeyVersion,
    Match,
    MemoryItem,
    Metric,
    Record,
    Results,
    Run,
    time_us_of,
)

M = TypeVar("M", bound=Message)
T = TypeVar("T")

_encode_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode
decode_json: Callable[[bytes], Any] = msgspec.json.Decoder().decode

_CONSISTENCY = {
    "session": common_pb2.CONSISTENCY_SESSION,
    "linearizable": common_pb2.CONSISTENCY_LINEARIZABLE,
    "stale": common_pb2.CONSISTENCY_STALE,
}
_METRIC = {
    "cosine": vector_pb2.METRIC_COSINE,
    "dot": vector_pb2.METRIC_DOT,
    "l2": vector_pb2.METRIC_L2,
}
_METRIC_NAME: dict[int, Metric] = {
    vector_pb2.METRIC_UNSPECIFIED: "cosine",
    vector_pb2.METRIC_COSINE: "cosine",
    vector_pb2.METRIC_DOT: "dot",
    vector_pb2.METRIC_L2: "l2",
}
_RUN_STATUS = {"succeeded": run_pb2.RUN_STATUS_SUCCEEDED, "failed": run_pb2.RUN_STATUS_FAILED}


def build(message: Callable[..., M], **fields: Any) -> M:
    """Returns `message(**fields)`.

    Raises:
        InvalidArgument: a field does not fit: text that is not Unicode, a number out of range, a wrong type.
    """
    try:
        return message(**fields)
    except (UnicodeError, ValueError, TypeError, OverflowError) as error:
        name = getattr(message, "__name__", "message").removesuffix("Request")
        raise InvalidArgument(f"{name}: {_culprit(message, fields)}{error}") from error


def _culprit(message: Callable[..., Message], fields: Mapping[str, Any]) -> str:
    for name, value in fields.items():
        try:
            message(**{name: value})
        except (UnicodeError, ValueError, TypeError, OverflowError):
            return f"argument {name}: "
    return ""


def encode_json(value: Any, name: str = "value") -> bytes:
    """Returns the JSON text of a value: what msgspec encodes (dicts, lists, dataclasses, datetimes, ...).

    Raises:
        InvalidArgument: the value, called `name`, cannot be written as JSON.
    """
    try:
        return _encode_json(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidArgument(f"{name} cannot be written as JSON: {error}") from error


def encode_object(value: Mapping[str, Any] | None, name: str) -> bytes:
    """Returns the JSON text of an object; empty bytes for None and for an empty one."""
    return encode_json(value, name) if value else b""


def decode_object(data: bytes) -> dict[str, Any]:
    """Returns the object in JSON text; an empty one for empty bytes."""
    found: dict[str, Any] = decode_json(data) if data else {}
    return found


def decode_optional(data: bytes) -> Any:
    """Returns the value in JSON text; None for empty bytes."""
    return decode_json(data) if data else None


def read_context(consistency: Consistency, at: At) -> common_pb2.ReadContext:
    """Returns the context of a read.

    Raises:
        InvalidArgument: the consistency is none of the three, or `at` is not a datetime with a zone or an
        index.
    """
    level = _CONSISTENCY.get(consistency)
    if level is None:
        raise InvalidArgument(
            f"consistency must be one of {', '.join(map(repr, _CONSISTENCY))}, not {consistency!r}"
        )
    if at is None:
        return common_pb2.ReadContext(consistency=level)
    if isinstance(at, datetime):
        try:
            return common_pb2.ReadContext(consistency=level, at_time_us=time_us_of(at))
        except ValueError as error:
            raise InvalidArgument(f"at: {error}") from error
    if isinstance(at, int) and not isinstance(at, bool) and 0 <= at < 1 << 44:
        return common_pb2.ReadContext(consistency=level, at_index=at)
    raise InvalidArgument(
        f"at must be an aware datetime or a log index from 0 to 2**44-1 (a result's .log_index), not {at!r}"
    )


def vector_bytes(vector: Any, name: str = "vector") -> bytes:
    """Returns one vector as float32 little-endian bytes.

    Raises:
        InvalidArgument: it is not a sequence of numbers.
    """
    return matrix_bytes(vector, name, dimensions=1)[0]


def matrix_bytes(vectors: Any, name: str, dimensions: int = 2) -> tuple[bytes, int]:
    """Returns vectors as float32 little-endian bytes, one after the other, and their dimension."""
    try:
        with np.errstate(
            over="ignore"
        ):  # What float32 cannot hold becomes infinite, which the server refuses.
            array: npt.NDArray[np.float32] = np.asarray(vectors, dtype="<f4")
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(f"{name} is not a sequence of numbers: {error}") from error
    if array.ndim != dimensions:
        wanted = "one row of numbers" if dimensions == 1 else "rows of numbers, all of one length"
        raise InvalidArgument(f"{name} must be {wanted}, not an array of {array.ndim} dimensions")
    return array.tobytes(), array.shape[-1]


def metric_number(metric: Metric) -> int:
    """Returns the contract's number of a metric; InvalidArgument for an unknown one."""
    found = _METRIC.get(metric)
    if found is None:
        raise InvalidArgument(f"metric must be one of {', '.join(map(repr, _METRIC))}, not {metric!r}")
    return found


def run_status_number(status: str) -> int:
    """Returns the contract's number of a run's final status; InvalidArgument for any other."""
    found = _RUN_STATUS.get(status)
    if found is None:
        raise InvalidArgument(f"status must be 'succeeded' or 'failed', not {status!r}")
    return found


def event(found: Any) -> Event:
    """Returns the Event of an `Event` message."""
    return Event(
        version=found.version,
        time_us=found.time_us,
        sequence=found.sequence,
        id=found.event_id,
        type=found.type,
        payload=decode_optional(found.payload),
        agent=found.agent,
        run=found.run,
        prev_hash=found.prev_hash,
        hash=found.hash,
    )


def record(key: str, found: Any) -> Record:
    """Returns the Record of a `GetResponse` or `GetStateResponse`."""
    written = found.provenance
    return Record(
        key=key,
        value=decode_json(found.value),
        version=written.version,
        time_us=written.time_us,
        agent=written.agent,
        run=written.run,
        tool=written.tool,
        expires_at_us=getattr(found, "expires_at_us", 0),
    )


def memory_fields(found: Any) -> dict[str, Any]:
    """Returns what MemoryItem and Hit share, of a `MemoryRecord` message."""
    written = found.provenance
    return {
        "id": found.id,
        "text": found.text,
        "about": found.about,
        "kind": found.kind,
        "salience": found.salience,
        "metadata": decode_object(found.metadata),
        "version": written.version,
        "time_us": written.time_us,
        "agent": written.agent,
        "run": written.run,
        "tool": written.tool,
    }


def memories(found: Iterable[Any]) -> tuple[MemoryItem, ...]:
    """Returns the items of `MemoryRecord` messages."""
    return tuple(MemoryItem(**memory_fields(each)) for each in found)


def hits(found: Iterable[Any]) -> tuple[Hit, ...]:
    """Returns the hits of `RecallHit` messages."""
    return tuple(Hit(score=each.score, **memory_fields(each.memory)) for each in found)


def collection(found: Any) -> Collection:
    """Returns the Collection of a `Collection` message."""
    return Collection(
        name=found.collection,
        dimension=found.dimension,
        metric=_METRIC_NAME[found.metric],
        fingerprint=found.fingerprint,
        count=found.count,
    )


def run(found: Any) -> Run:
    """Returns the Run of a `Run` message."""
    if found.status == run_pb2.RUN_STATUS_SUCCEEDED:
        return _run(found, "succeeded")
    if found.status == run_pb2.RUN_STATUS_FAILED:
        return _run(found, "failed")
    return _run(found, "running")


def _run(found: Any, status: Any) -> Run:
    return Run(
        id=found.run_id,
        status=status,
        agent=found.agent,
        version=found.version,
        time_us=found.ended_at_us or found.began_at_us,
        began_at_us=found.began_at_us,
        ended_at_us=found.ended_at_us,
        inputs=decode_optional(found.inputs),
        outputs=decode_optional(found.outputs),
    )


def results(response: Any, items: tuple[T, ...]) -> Results[T]:
    """Returns items with what the read saw, and the next page's cursor where the response has one."""
    stamp = response.stamp
    return Results(
        items=items,
        log_index=stamp.applied_index,
        time_us=stamp.applied_time_us,
        age_us=stamp.age_us,
        next_cursor=getattr(response, "next_cursor", ""),
    )


def listing(response: Any, keys_only: bool) -> Results[Record]:
    """Returns the records of a `ListResponse`."""
    values = [None] * len(response.keys) if keys_only else map(decode_json, response.values)
    columns = zip(response.keys, values, response.versions, response.times_us, strict=True)
    items = tuple(
        Record(key=key, value=value, version=version, time_us=time_us)
        for key, value, version, time_us in columns
    )
    return results(response, items)


def history(key: str, response: Any) -> Results[KeyVersion]:
    """Returns the versions of a `HistoryResponse`."""
    items = tuple(
        KeyVersion(
            key=key,
            value=None if each.deleted else decode_json(each.value),
            deleted=each.deleted,
            version=each.provenance.version,
            time_us=each.provenance.time_us,
            agent=each.provenance.agent,
            run=each.provenance.run,
            tool=each.provenance.tool,
        )
        for each in response.versions
    )
    return results(response, items)


def documents(keys: Sequence[str], response: Any) -> Documents:
    """Returns the documents of a `MultiGetResponse` to `keys`."""
    values: dict[str, Any] = {}
    versions: dict[str, int] = {}
    columns = zip(keys, response.kinds, response.values, response.versions, strict=True)
    for key, kind, value, version in columns:
        if kind:
            values[key] = decode_json(value)
            versions[key] = version
    stamp = response.stamp
    return Documents(
        values=values,
        versions=versions,
        log_index=stamp.applied_index,
        time_us=stamp.applied_time_us,
        age_us=stamp.age_us,
    )


Nearest = tuple[Sequence[str], Sequence[float], Sequence[bytes], Sequence[int], int, int]
"""(ids, scores, metadatas, versions), best first; then the applied index and its commit time in µs."""


def nearest(found: Nearest) -> Results[Match]:
    """Returns what a search in this process found."""
    ids, scores, metadatas, versions, log_index, time_us = found
    items = tuple(
        [
            Match(id=id, score=score, metadata=decode_json(metadata) if metadata else {}, version=version)
            for id, score, metadata, version in zip(ids, scores, metadatas, versions, strict=True)
        ]
    )
    return Results(items=items, log_index=log_index, time_us=time_us)


def matches(response: Any) -> tuple[Match, ...]:
    """Returns the matches of a `SearchVectorsResponse`."""
    columns = zip(response.ids, response.scores, response.metadatas, response.versions, strict=True)
    return tuple(
        Match(id=id, score=score, metadata=decode_object(metadata), version=version)
        for id, score, metadata, version in columns
    )
