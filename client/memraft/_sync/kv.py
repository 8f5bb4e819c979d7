# Generated from _async/kv.py by scripts/generate_sync.py: edit that one.

"""Documents under keys."""

from collections.abc import Iterable, Mapping
from typing import Any

from memraft_proto.v1 import kv_pb2

from .. import _json, _wire
from .. import _operations as operations
from .._gets import is_key
from ..types import At, Consistency, Deleted, Documents, KeyVersion, Record, Results, Written, WrittenMany
from .base import METHOD, Calls
from .io import monotonic

_PUT, _DELETE, _GET = METHOD["Put"], METHOD["Delete"], METHOD["Get"]
_LIST, _HISTORY = METHOD["List"], METHOD["History"]
_MULTI_GET, _MULTI_PUT = METHOD["MultiGet"], METHOD["MultiPut"]


class KvCalls(Calls):
    """JSON documents under keys, with versions."""

    def put(self, key: str, value: Any, *, ttl_ms: int = 0, if_version: int | None = None) -> Written:
        """Stores a document.

        Args:
            key: 1 to 512 bytes of UTF-8 without control characters.
            value: anything that msgspec writes as JSON; at most 1 MiB of it. It is read back as what JSON
                has: bytes as text in base64, sets and tuples as lists, datetimes (naive ones without a zone),
                UUIDs and Decimals as text, dataclasses and structs as dicts, keys of dicts as text.
            ttl_ms: milliseconds until it expires; 0: as the namespace has it (`set_settings`), else never.
            if_version: store only if the key's version is this one; 0: only if the key is absent.

        Raises:
            ConflictError: `if_version` did not hold; it carries the current version.
            SchemaViolation: it is not what the schema of its prefix asks for; see `set_schema`.
            MemraftError: see `memraft.errors`.
        """
        if self._puts is not None and if_version is None and ttl_ms == 0 and is_key(key):
            done = self._puts(self._place, key, _json.encode(value))
            return Written(id=key, version=done.version, time_us=done.time_us)
        request = operations.put(self._where, key, value, ttl_ms, if_version)
        return operations.put_done(request, self._link.write(_PUT, request))

    def get(
        self, key: str, default: Any = None, *, at: At = None, consistency: Consistency | None = None
    ) -> Any:
        """Reads a document's value.

        Args:
            key: which one.
            default: what to return where there is none.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Returns:
            The value, decoded from JSON. `record` also tells its version, its time and who wrote it.
        """
        if self._head is not None and at is None and consistency is None:
            try:
                head = self._head(self._namespace, key)
            except TypeError:  # A key that cannot be one: the message says so.
                head = None
            if head is not None:
                return _json.decode(head)
        if at is None:
            shelf = self._shelf if consistency is None else self._shelf_of(consistency)
            deadline_s = monotonic() + self._link.timeout_s
            value = self._link.value(shelf, key, deadline_s)
            if type(value) is not bytes:
                value = self._link.settled(value, shelf, key, deadline_s)
            return _json.decode(value) if value else default
        request = _wire.build(kv_pb2.GetRequest, **self._from(at, consistency), key=key)
        response: kv_pb2.GetResponse = self._link.read(_GET, request)
        return _json.decode(response.value) if response.found else default

    def record(self, key: str, *, at: At = None, consistency: Consistency | None = None) -> Record | None:
        """Reads a document with its version, its time and who wrote it; None where there is none.

        Args:
            key: which one.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(kv_pb2.GetRequest, **self._from(at, consistency), key=key)
        response: kv_pb2.GetResponse = self._link.read(_GET, request)
        return _wire.record(key, response) if response.found else None

    def delete(self, key: str, *, if_version: int | None = None) -> Deleted:
        """Deletes a document. Its past versions stay readable with `at=`.

        Args:
            key: which one. Deleting an absent one is no error: see `.found`.
            if_version: delete only if the key's version is this one.

        Raises:
            ConflictError: `if_version` did not hold; it carries the current version.
        """
        request = operations.delete(self._where, key, if_version)
        return operations.delete_done(request, self._link.write(_DELETE, request))

    def list(
        self,
        prefix: str = "",
        *,
        start: str = "",
        end: str = "",
        limit: int = 1000,
        cursor: str = "",
        keys_only: bool = False,
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Record]:
        """Lists documents in key order (by code point).

        Args:
            prefix: only keys that begin with this.
            start: only keys at or after this one.
            end: only keys before this one.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            keys_only: leave the values out.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Returns:
            Records with key, value, version and time; who wrote them is told by `record` and `history`.
        """
        request = _wire.build(
            kv_pb2.ListRequest,
            **self._from(at, consistency),
            prefix=prefix,
            start=start,
            end=end,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
            keys_only=keys_only,
        )
        return _wire.listing(self._link.read(_LIST, request), keys_only)

    def history(
        self,
        key: str,
        *,
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[KeyVersion]:
        """Lists the versions of one key, newest first, deletions, expiries and evictions among them.

        Args:
            key: which one.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: only what was there as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            kv_pb2.HistoryRequest,
            **self._from(at, consistency),
            key=key,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return _wire.history(key, self._link.read(_HISTORY, request))

    def get_many(
        self, keys: Iterable[str], *, at: At = None, consistency: Consistency | None = None
    ) -> Documents:
        """Reads many documents at one applied log index.

        Args:
            keys: at most 10,000.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Returns:
            Key -> value of those that exist, with their versions.
        """
        wanted = [keys] if isinstance(keys, str) else _wire.listed(keys, "keys", "keys")
        request = _wire.build(kv_pb2.MultiGetRequest, **self._from(at, consistency), keys=wanted)
        return _wire.documents(wanted, self._link.read(_MULTI_GET, request))

    def put_many(
        self, values: Mapping[str, Any], *, delete: Iterable[str] = (), ttl_ms: int = 0
    ) -> WrittenMany:
        """Stores and deletes many documents in one log entry: all of them or, on an error, none.

        Args:
            values: key -> document; with `delete`, at most 10,000 together.
            delete: keys to delete, after the documents are stored.
            ttl_ms: milliseconds until each stored one expires; 0: as the namespace has it, else never.

        Returns:
            The versions: of the stored ones in order, then of the deletions.
        """
        request = operations.put_many(self._where, values, delete, ttl_ms)
        return operations.put_many_done(request, self._link.write(_MULTI_PUT, request))
