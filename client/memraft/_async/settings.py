"""Settings of a namespace: schemas, a default time to live, how many documents it keeps."""

from typing import Any

from memraft_proto.v1 import namespace_pb2

from .. import _settings, _wire
from ..types import (
    At,
    Consistency,
    Deleted,
    MemorySettingsChanges,
    NamespaceSettings,
    RecallParameters,
    Results,
    SchemaInfo,
    Written,
)
from .base import METHOD, AsyncCalls

_SET_SCHEMA, _LIST_SCHEMAS = METHOD["SetSchema"], METHOD["ListSchemas"]
_SET, _GET = METHOD["SetNamespaceSettings"], METHOD["GetNamespaceSettings"]


class AsyncSettingsCalls(AsyncCalls):
    """Settings of a namespace."""

    async def set_schema(self, prefix: str, schema: Any) -> Written:
        """Sets the JSON Schema of the documents whose keys begin with a prefix.

        What is written there from now on is refused with `SchemaViolation` unless it is what the schema asks
        for. Of several schemas that fit a key, only the one with the longest prefix holds. Documents that are
        there are not looked at until they are written again.

        Args:
            prefix: up to 512 bytes; empty: all documents that no longer prefix is set for.
            schema: an object, true or false: JSON Schema of draft 2020-12 or, where `$schema` says so,
                draft 7; at most 64 KiB. References stay within it, patterns are RE2's, `format` asserts
                nothing.

        Raises:
            InvalidArgument: it is no schema, or one that cannot be checked within bounds; the message says
                where. Or the namespace has schemas for 256 prefixes.
        """
        request = _settings.set_schema(self._where, prefix, schema)
        return _settings.schema_set(request, await self._link.write(_SET_SCHEMA, request))

    async def remove_schema(self, prefix: str) -> Deleted:
        """Removes the schema of a prefix; that of a shorter one holds then, if there is one.

        Args:
            prefix: which one. Removing one that is not there is no error: see `.found`.
        """
        request = _settings.remove_schema(self._where, prefix)
        return _settings.schema_removed(request, await self._link.write(_SET_SCHEMA, request))

    async def schemas(
        self,
        prefix: str = "",
        *,
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[SchemaInfo]:
        """Lists schemas in the order of their prefixes.

        Args:
            prefix: only prefixes that begin with this.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            namespace_pb2.ListSchemasRequest,
            **self._from(at, consistency),
            prefix=prefix,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return _settings.schemas(await self._link.read(_LIST_SCHEMAS, request))

    async def set_settings(
        self,
        *,
        default_ttl_ms: int | None = None,
        entries_max: int | None = None,
        bytes_max: int | None = None,
        receipts_ttl_ms: int | None = None,
        memories: MemorySettingsChanges | None = None,
        recall: RecallParameters | None = None,
    ) -> Written:
        """Changes settings of the namespace; what is None stays as it is.

        Where there may only be so many documents or bytes, those that were not used for longest are evicted,
        and with them one in a hundred, to have room for the next. Used is what was written, or read by key
        where the namespace's leader answered. They go by a command of their own, soon after the write that
        was too much; their past stays readable with `at=`.

        Args:
            default_ttl_ms: milliseconds until a document expires that is written without a time to live of
                its own, up to a hundred years; 0: never. Documents that are there keep their times.
            entries_max: most documents; 0: any number.
            bytes_max: most bytes of keys and documents; 0: any number. The document that was used last stays
                in any case.
            receipts_ttl_ms: milliseconds that receipts of recalls are kept, up to a hundred years, also those
                that are there; 0: they are kept.
            memories: what to change of how many memories are kept and for how long, such as
                `{"entries_max": 10_000}`: see `types.MemorySettings`.
            recall: what signals count for in recalls, in place of all that was set before; `{}`: as measured
                best. A recall's own `parameters` go before these.
        """
        request = _settings.set_settings(
            self._where, default_ttl_ms, entries_max, bytes_max, receipts_ttl_ms, memories, recall
        )
        return _settings.settings_set(request, await self._link.write(_SET, request))

    async def settings(self, *, at: At = None, consistency: Consistency | None = None) -> NamespaceSettings:
        """Reads the settings of the namespace.

        Args:
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(namespace_pb2.GetNamespaceSettingsRequest, **self._from(at, consistency))
        return _settings.settings(await self._link.read(_GET, request))
