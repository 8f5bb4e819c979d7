"""Checks of calls on documents."""

from __future__ import annotations

from memraft_proto.v1 import kv_pb2
from memraft_server.machine.limits import Limits
from memraft_server.machine.puts import Puts
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import (
    are_json,
    check_columns,
    check_count,
    check_json,
    check_text,
)


def _check_ttl(field: str, ttl_ms: int, limits: Limits) -> None:
    if ttl_ms > limits.ttl_ms_max:
        raise invalid(
            f"{field}: {ttl_ms} ms, at most {limits.ttl_ms_max}; 0 is never",
            field=field,
            limit=str(limits.ttl_ms_max),
        )


def _put(request: kv_pb2.PutRequest, limits: Limits) -> None:
    check_text("key", request.key, limits.key_bytes_max)
    check_json("value", request.value, limits.value_bytes_max)
    if request.ttl_ms:
        _check_ttl("ttl_ms", request.ttl_ms, limits)


def are_sound(puts: Puts, limits: Limits) -> bool:
    """Whether puts pass the checks of each for certain; else those find out what is amiss, if anything."""
    keys, values, _ = puts
    return (
        all(keys)
        and 4 * max(map(len, keys)) <= limits.key_bytes_max
        and "".join(keys).isprintable()
        and are_json(values, limits.value_bytes_max)
    )


def _delete(request: kv_pb2.DeleteRequest, limits: Limits) -> None:
    check_text("key", request.key, limits.key_bytes_max)


def _multi_put(request: kv_pb2.MultiPutRequest, limits: Limits) -> None:
    keys, values, kinds = request.keys, request.values, request.kinds
    check_count("keys", len(keys), limits.items_max, least=1)
    check_columns("keys", len(keys), values=len(values))
    if kinds:
        check_columns("keys", len(keys), kinds=len(kinds))
        if max(kinds) > 1:
            raise invalid(f"kinds: {max(kinds)}, 0 (put) or 1 (delete)", field="kinds")
    if request.ttls_ms:
        check_columns("keys", len(keys), ttls_ms=len(request.ttls_ms))
        _check_ttl("ttls_ms", max(request.ttls_ms), limits)
    for i, (key, value) in enumerate(zip(keys, values, strict=True)):
        check_text(f"keys[{i}]", key, limits.key_bytes_max)
        if not (kinds and kinds[i]):
            check_json(f"values[{i}]", value, limits.value_bytes_max)
        elif value:
            raise invalid(f"values[{i}]: {len(value)} bytes, empty where kinds[{i}] is 1 (delete)")


def _get(request: kv_pb2.GetRequest | kv_pb2.HistoryRequest, limits: Limits) -> None:
    check_text("key", request.key, limits.key_bytes_max)


def _history(request: kv_pb2.HistoryRequest, limits: Limits) -> None:
    check_text("key", request.key, limits.key_bytes_max)
    check_count("limit", request.limit, limits.page_items_max)


def _list(request: kv_pb2.ListRequest, limits: Limits) -> None:
    for field in ("prefix", "start", "end"):
        check_text(field, getattr(request, field), limits.key_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)


def _multi_get(request: kv_pb2.MultiGetRequest, limits: Limits) -> None:
    check_count("keys", len(request.keys), limits.items_max)
    for i, key in enumerate(request.keys):
        check_text(f"keys[{i}]", key, limits.key_bytes_max)


WRITE_CHECKS: dict[int, Check] = {1: _put, 2: _delete, 3: _multi_put}
READ_CHECKS: dict[str, Check] = {"Get": _get, "List": _list, "History": _history, "MultiGet": _multi_get}
