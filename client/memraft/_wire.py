"""Between Python values and the messages of the contract. Pure; shared by both facades.

The client checks no more than it must: that arguments make a message, and none that says something else, as
0 for None, null for NaN or other rows for these. Limits are the server's to know and to name.
"""

from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from datetime import datetime
from operator import index
from reprlib import repr as shown
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from memraft_proto.names import namespace_fault
from memraft_proto.v1 import common_pb2, run_pb2, vector_pb2

from . import _json
from .errors import InvalidArgument
from .types import (
    At,
    Collection,
    Consistency,
    Documents,
    EndReason,
    Event,
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
_FLOAT32 = np.dtype("<f4")
_RUN_STATUS = {"succeeded": run_pb2.RUN_STATUS_SUCCEEDED, "failed": run_pb2.RUN_STATUS_FAILED}


def build(message: Callable[..., M], **fields: Any) -> M:
    """Returns `message(**fields)`.

    Raises:
        InvalidArgument: a field does not fit: text that is not Unicode, a number out of range, a wrong type.
    """
    try:
        return message(**fields)
    except (UnicodeError, ValueError, TypeError, OverflowError) as error:
        raise InvalidArgument(_fault(message, fields) or str(error)) from error


_KINDS = {
    FieldDescriptor.CPPTYPE_STRING: "a str that UTF-8 can encode",
    FieldDescriptor.CPPTYPE_INT32: "an integer from -2**31 to 2**31-1",
    FieldDescriptor.CPPTYPE_INT64: "an integer from -2**63 to 2**63-1",
    FieldDescriptor.CPPTYPE_UINT32: "an integer from 0 to 2**32-1",
    FieldDescriptor.CPPTYPE_UINT64: "an integer from 0 to 2**64-1",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_BOOL: "a bool",
}
_REPEATED = {"ttls_ms": "ttl_ms"}
"""Column -> the argument that it repeats for every item."""


def _fault(message: Callable[..., Message], fields: Mapping[str, Any]) -> str:
    """What is wrong with the first field that does not fit; empty where each fits by itself."""
    for name, value in fields.items():
        if _fits(message, name, value):
            continue
        empty = message()
        wanted = _KINDS.get(empty.DESCRIPTOR.fields_by_name[name].cpp_type, "of another type")
        if not isinstance(getattr(empty, name), MutableSequence):
            return f"{name} must be {wanted}, not {shown(value)}"
        if not isinstance(value, Sequence):
            return f"{name} must be a sequence, not {shown(value)}"
        for i, each in enumerate(value):
            if not _fits(message, name, [each]):
                return f"{_REPEATED.get(name, f'{name}[{i}]')} must be {wanted}, not {shown(each)}"
    return ""


def _fits(message: Callable[..., Message], name: str, value: Any) -> bool:
    try:
        message(**{name: value})
    except (UnicodeError, ValueError, TypeError, OverflowError):
        return False
    return True


def at_least_one(value: Any, name: str) -> int:
    """Returns how many things a caller asks for.

    Raises:
        InvalidArgument: it is no integer, or less than 1: to the contract 0 means its own default.
    """
    try:
        count = index(value)
    except TypeError as error:
        raise InvalidArgument(f"{name} must be an integer from 1, not {shown(value)}") from error
    if count < 1:
        raise InvalidArgument(f"{name} must be an integer from 1, not {count}")
    return count


def listed(values: Any, name: str, of: str) -> list[Any]:
    """Returns the items of an argument that takes several.

    Raises:
        InvalidArgument: it cannot be iterated, or is a str, bytes or a mapping, which can, but surely not as
            the caller means.
    """
    if isinstance(values, str | bytes | Mapping):
        raise InvalidArgument(f"{name} must be a sequence of {of}, not a {type(values).__name__}")
    try:
        return list(values)
    except TypeError as error:
        raise InvalidArgument(f"{name} must be a sequence of {of}, not {shown(values)}") from error


def read_context(consistency: Consistency, at: At) -> common_pb2.ReadContext:
    """Returns the context of a read.

    Raises:
        InvalidArgument: the consistency is none of the three, or `at` is not a datetime with a zone or an
        index.
    """
    level = named(consistency, _CONSISTENCY, "consistency")
    if at is None:
        return common_pb2.ReadContext(consistency=level)
    if isinstance(at, datetime):
        try:
            time_us = time_us_of(at)
        except ValueError as error:
            raise InvalidArgument(f"at: {error}") from error
        if time_us < 0:
            raise InvalidArgument(f"at: {at.isoformat()} is before 1970, when nothing was written")
        return common_pb2.ReadContext(consistency=level, at_time_us=time_us)
    index = at if isinstance(at, int) else getattr(at, "log_index", None)
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < 1 << 44:
        return common_pb2.ReadContext(consistency=level, at_index=index)
    raise InvalidArgument(
        "at must be an aware datetime, a log index from 0 to 2**44-1 or something that has one (.log_index), "
        f"not {at!r}"
    )


def named(value: Any, numbers: Mapping[str, T], name: str) -> T:
    """The contract's number of a name; InvalidArgument for an unknown one."""
    found = numbers.get(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidArgument(f"{name} must be one of {', '.join(map(repr, numbers))}, not {shown(value)}")
    return found


def namespace(name: Any) -> str:
    """Returns a namespace that has the syntax of one; how long it may be is the server's to know.

    Raises:
        InvalidArgument: it has not.
    """
    if not isinstance(name, str):
        raise InvalidArgument(f"namespace must be a str such as 'acme/support', not {shown(name)}")
    fault = namespace_fault(name)
    if fault:
        raise InvalidArgument(f"namespace: {fault}")
    return name


def vector_bytes(vector: Any, name: str = "vector") -> bytes:
    """Returns one vector as float32 little-endian bytes.

    Raises:
        InvalidArgument: it is not a sequence of numbers.
    """
    if type(vector) is np.ndarray and vector.dtype == _FLOAT32 and vector.ndim == 1 and len(vector):
        return vector.tobytes()
    return matrix_bytes(vector, name, rows=None)[0]


def matrix_bytes(vectors: Any, name: str, rows: int | None) -> tuple[bytes, int]:
    """Returns vectors as float32 little-endian bytes, one after the other, and their dimension.

    Args:
        vectors: shape (rows, dimension).
        name: what the caller knows them as.
        rows: how many; None: one, of shape (dimension,).

    Raises:
        InvalidArgument: they are not numbers of that shape. Only bytes are sent: of another shape, there may
            be just as many.
    """
    try:
        with np.errstate(
            over="ignore"
        ):  # What float32 cannot hold becomes infinite, which the server refuses.
            array: npt.NDArray[np.float32] = np.asarray(vectors, dtype="<f4")
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(f"{name} is not a sequence of numbers: {error}") from error
    if array.ndim != (1 if rows is None else 2):
        wanted = "one row of numbers" if rows is None else "rows of numbers, all of one length"
        raise InvalidArgument(f"{name} must be {wanted}, not an array of shape {array.shape}")
    if not array.shape[-1]:
        raise InvalidArgument(f"{name} must have one number at least in each row, not shape {array.shape}")
    if rows is not None and array.shape[0] != rows:
        raise InvalidArgument(
            f"{name} must have a row for each of {rows} ids, shape ({rows}, dimension), not {array.shape}"
        )
    return array.tobytes(), array.shape[-1]


def metric_number(metric: Metric) -> int:
    """Returns the contract's number of a metric; InvalidArgument for an unknown one."""
    return named(metric, _METRIC, "metric")


def run_status_number(status: str) -> int:
    """Returns the contract's number of a run's final status; InvalidArgument for any other."""
    return named(status, _RUN_STATUS, "status")


def event(found: Any) -> Event:
    """Returns the Event of an `Event` message."""
    return Event(
        version=found.version,
        time_us=found.time_us,
        sequence=found.sequence,
        id=found.event_id,
        type=found.type,
        payload=_json.decode_optional(found.payload),
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
        value=_json.decode(found.value),
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
        "metadata": _json.decode_object(found.metadata),
        "valid_from_us": found.valid_from_us,
        "valid_until_us": found.valid_until_us,
        "thread": found.thread,
        "speaker": found.speaker,
        "pinned": found.pinned,
        "expires_at_us": found.expires_at_us,
        "version": written.version,
        "time_us": written.time_us,
        "agent": written.agent,
        "run": written.run,
        "tool": written.tool,
    }


def memories(found: Iterable[Any]) -> tuple[MemoryItem, ...]:
    """Returns the items of `MemoryRecord` messages."""
    return tuple(MemoryItem(**memory_fields(each)) for each in found)


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
        began_version=found.began_version,
        recorded=found.recorded,
        steps=found.steps,
        ended_at_us=found.ended_at_us,
        inputs=_json.decode_optional(found.inputs),
        outputs=_json.decode_optional(found.outputs),
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
        floor_index=getattr(response, "floor_index", 0),
    )


def listing(response: Any, keys_only: bool) -> Results[Record]:
    """Returns the records of a `ListResponse`."""
    return _records(response, response.keys, keys_only)


def states(response: Any) -> Results[Record]:
    """Returns the records of a `ListStatesResponse`."""
    return _records(response, response.names, False)


def _records(response: Any, keys: Sequence[str], keys_only: bool) -> Results[Record]:
    values = [None] * len(keys) if keys_only else map(_json.decode, response.values)
    columns = zip(keys, values, response.versions, response.times_us, strict=True)
    items = tuple(
        Record(key=key, value=value, version=version, time_us=time_us)
        for key, value, version, time_us in columns
    )
    return results(response, items)


_END_REASONS: dict[int, EndReason] = {
    common_pb2.END_REASON_DELETED: "deleted",
    common_pb2.END_REASON_EXPIRED: "expired",
    common_pb2.END_REASON_EVICTED: "evicted",
}


def end_reason(number: int) -> EndReason:
    """Returns why a document ended, of the contract's number."""
    return _END_REASONS.get(number, "")


def history(key: str, response: Any) -> Results[KeyVersion]:
    """Returns the versions of a `HistoryResponse`."""
    items = tuple(
        KeyVersion(
            key=key,
            value=None if each.deleted else _json.decode(each.value),
            deleted=each.deleted,
            reason=end_reason(each.reason),
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
            values[key] = _json.decode(value)
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
    items = _matches(ids, scores, metadatas, versions)
    return Results(items=items, log_index=log_index, time_us=time_us)


def matches(response: Any) -> Results[Match]:
    """Returns what a `SearchVectorsResponse` tells."""
    # Slices are lists, made at once: a message's own sequences give one element after the other.
    items = _matches(response.ids[:], response.scores[:], response.metadatas[:], response.versions[:])
    stamp = response.stamp
    return Results(
        items=items, log_index=stamp.applied_index, time_us=stamp.applied_time_us, age_us=stamp.age_us
    )


def _matches(
    ids: Sequence[str], scores: Sequence[float], metadatas: Sequence[bytes], versions: Sequence[int]
) -> tuple[Match, ...]:
    return tuple(
        [
            Match(id=id, score=score, metadata=_json.decode(metadata) if metadata else {}, version=version)
            for id, score, metadata, version in zip(ids, scores, metadatas, versions, strict=True)
        ]
    )
