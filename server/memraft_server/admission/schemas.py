"""The barrier of schemas: no document that breaks the schema of its prefix gets into the log.

Documents are checked before they are proposed, by the schemas as this replica has them. The version of these
travels with the command, and the machine refuses it (SCHEMA_CHANGED) where they are others by then, so that
what holds is decided by the log. A document is only refused here by a leader that has applied all that is
committed: a replica that is behind would refuse what is allowed by now.

A check of a few steps is made where the call arrives, a longer one in a thread, for which a call on a node
can wait. In an embedded memory the caller's own thread does it all.

What does the checking is imported with the first schema: that takes a fifth as long as importing all the rest
of a server, and most memories have no schema.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from typing import Any

from google.protobuf.message import Message

from memraft_proto.methods import KIND_BATCH, KIND_TXN
from memraft_proto.v1 import common_pb2
from memraft_server.machine import Machine, Refused
from memraft_server.machine.handlers_settings import HAS_DOCUMENTS, SET_SCHEMA
from memraft_server.machine.refused import invalid
from memraft_server.shard import Outcome, Shard

STEPS_MAX = 50_000
"""Steps that checking the documents of one call may take."""
INLINE_STEPS_MAX = 500
"""Steps that a check may take where others wait for it: about 5 ms."""

CHECKED = HAS_DOCUMENTS | {SET_SCHEMA}
"""Kinds of commands that a schema has a say in."""

Propose = Callable[[bytes | None], Outcome]
"""Proposes the command with these encoded bytes, None where there are none."""


class TooManySteps(Exception):
    """There were more steps to take than the caller allows."""


class SchemaBarrier:
    """Lets commands through to their shards.

    Args:
        threads: Where long checks run. None: where the call arrives.
    """

    def __init__(self, threads: Executor | None = None) -> None:
        self._threads = threads
        self._is_imported = False
        """Where there are threads: the first check is made in one, for it imports what does the checking."""

    def pass_through(
        self, shard: Shard, kind: int, request: Any, raw: bytes | None, propose: Propose
    ) -> Outcome:
        """Proposes a command for which `is_checked`, if what it has in it is as it should be.

        Args:
            shard: Of its namespace.
            kind: As in `memraft_proto.methods.COMMANDS`.
            request: The parsed request, which has been checked otherwise; is changed.
            raw: Its bytes, where there are any.
            propose: See there.

        Raises:
            Refused: SCHEMA_VIOLATION; INVALID_ARGUMENT for a schema that is none; what `propose` raises.
            memraft_cluster.errors.ClusterError: at once or later, as from `propose`.
        """
        if kind == SET_SCHEMA:
            if self._threads is None or not request.schema:
                _check_schema(request.schema)
                return propose(raw)
            return self._schema_aside(self._threads, request.schema, lambda: propose(raw))
        version = _version(shard.machine, request.namespace)
        if self._threads is None:
            fault = _fault(shard.machine, kind, request, STEPS_MAX)
        elif not self._is_imported:
            return self._checked_aside(shard, kind, request, raw, propose)
        else:
            try:
                fault = _fault(shard.machine, kind, request, INLINE_STEPS_MAX)
            except TooManySteps:
                return self._checked_aside(shard, kind, request, raw, propose)
        if fault is None:
            return propose(_fenced(request, raw, version))
        barrier = shard.read_barrier()
        if barrier is not None:
            return self._confirmed(barrier, shard, kind, request, raw, propose)
        return _refused(shard.machine, request, raw, fault, propose)

    async def _schema_aside(
        self, threads: Executor, schema: bytes, propose: Callable[[], Outcome]
    ) -> Message:
        await asyncio.get_running_loop().run_in_executor(threads, lambda: _check_schema(schema))
        self._is_imported = True
        return await _awaited(propose())

    async def _checked_aside(
        self, shard: Shard, kind: int, request: Any, raw: bytes | None, propose: Propose
    ) -> Message:
        version = _version(shard.machine, request.namespace)
        fault = await self._fault_aside(shard, kind, request)
        if fault is None:
            return await _awaited(propose(_fenced(request, raw, version)))
        barrier = shard.read_barrier()
        if barrier is None:
            return await _awaited(_refused(shard.machine, request, raw, fault, propose))
        return await self._confirmed(barrier, shard, kind, request, raw, propose)

    async def _confirmed(
        self,
        barrier: Awaitable[int],
        shard: Shard,
        kind: int,
        request: Any,
        raw: bytes | None,
        propose: Propose,
    ) -> Message:
        """Refuses what was found to be at fault, if it still is by what all replicas agreed on."""
        await barrier
        version = _version(shard.machine, request.namespace)
        fault = await self._fault_aside(shard, kind, request) if version else None
        if fault is None:
            return await _awaited(propose(_fenced(request, raw, version)))
        return await _awaited(_refused(shard.machine, request, raw, fault, propose))

    async def _fault_aside(self, shard: Shard, kind: int, request: Any) -> Refused | None:
        schemas = _schemas(shard.machine, request.namespace)
        found = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: _fault_by(schemas, kind, request, STEPS_MAX)
        )
        try:
            fault = await found
        except TooManySteps:
            fault = _too_long()
        self._is_imported = True
        return fault


def is_checked(machine: Machine, kind: int, namespace: str) -> bool:
    """Whether a command of a kind in `CHECKED` has anything to be checked."""
    space = machine.space(namespace)
    has_schemas = space is not None and space.settings is not None and space.settings.schemas_version > 0
    return has_schemas or kind == SET_SCHEMA


def _version(machine: Machine, namespace: str) -> int:
    space = machine.space(namespace)
    return space.settings.schemas_version if space is not None and space.settings is not None else 0


def _schemas(machine: Machine, namespace: str) -> dict[str, bytes]:
    """Returns the schemas of a namespace by prefix, for another thread."""
    space = machine.space(namespace)
    return dict(space.settings.schemas) if space is not None and space.settings is not None else {}


def _fenced(request: Any, raw: bytes | None, version: int) -> bytes | None:
    """Writes into a request which version of the schemas it was checked against.

    A message that comes twice in an encoded one is merged (encoding of protocol buffers), so that the fence
    can be put behind bytes as they came.
    """
    request.context.schema_version = version
    if raw is None:
        return None
    fence = type(request)(context=common_pb2.WriteContext(schema_version=version))
    suffix: bytes = fence.SerializeToString()
    return raw + suffix


def _refused(machine: Machine, request: Any, raw: bytes | None, fault: Refused, propose: Propose) -> Outcome:
    """Raises the refusal, unless the request was applied before: then its reply is to be had."""
    space, context = machine.space(request.namespace), request.context
    if space is not None and space.tenant.sessions.has_reply(context.client_id, context.request_number):
        return propose(raw)
    raise fault


def _fault(machine: Machine, kind: int, request: Any, steps_max: int) -> Refused | None:
    space = machine.space(request.namespace)
    if space is None or space.settings is None:
        return None
    try:
        return _fault_by(space.settings.schemas, kind, request, steps_max)
    except TooManySteps:
        if steps_max < STEPS_MAX:
            raise
        return _too_long()


def _check_schema(schema: bytes) -> None:
    from memraft_server.admission import json_schema

    if schema:
        json_schema.check_schema(schema)


def _too_long() -> Refused:
    return invalid(
        f"value: checking it against its schema takes more than {STEPS_MAX} steps: write less at once",
        field="value",
        limit=str(STEPS_MAX),
    )


def _fault_by(schemas: dict[str, bytes], kind: int, request: Any, steps_max: int) -> Refused | None:
    """Returns why a command breaks a schema, None where it does not. Raises TooManySteps."""
    from memraft_server.admission import json_schema

    if not schemas:
        return None
    lengths = sorted({len(prefix) for prefix in schemas}, reverse=True)
    for field, key, value in _documents(kind, request):
        prefix = next((key[:length] for length in lengths if key[:length] in schemas), None)
        if prefix is None:
            continue
        try:
            fault = json_schema.compiled(schemas[prefix]).fault(value, steps_max)
        except Refused as refused:
            return Refused(
                refused.reason, f"{field}{refused.message.removeprefix('value')}", refused.metadata
            )
        steps_max = json_schema.steps_left()
        if fault is not None:
            return Refused(
                "SCHEMA_VIOLATION",
                f"{field}: {fault.path}: {fault.message} (schema of prefix {prefix!r}, {fault.schema_path})",
                {
                    "key": key,
                    "path": fault.path,
                    "prefix": prefix,
                    "asked": fault.asked,
                    "schema_path": fault.schema_path,
                },
            )
    return None


def _documents(kind: int, request: Any) -> Iterator[tuple[str, str, bytes]]:
    """Yields the documents of a command: what its value is called in messages, the key and the value."""
    if kind not in (KIND_BATCH, KIND_TXN):
        yield from _documents_in("put" if kind == 1 else "multi_put", request, "")
        return
    for i, operation in enumerate(request.operations):
        name = operation.WhichOneof("operation")
        if name == "put" or name == "multi_put":
            yield from _documents_in(name, getattr(operation, name), f"operations[{i}].{name}.")


def _documents_in(name: str, request: Any, place: str) -> Iterator[tuple[str, str, bytes]]:
    if name == "put":
        yield f"{place}value", request.key, request.value
        return
    kinds = request.kinds
    for i, (key, value) in enumerate(zip(request.keys, request.values, strict=True)):
        if not (kinds and kinds[i]):  # by its key: who called has it from a mapping
            yield f"{place}values[{key!r}]", key, value


async def _awaited(outcome: Outcome) -> Message:
    return await outcome if isinstance(outcome, Awaitable) else outcome
