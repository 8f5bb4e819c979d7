"""The systems as clients of asyncio see them: each does the same work in the way that suits it best.

All take and give values as Python objects: what JSON costs, each pays. None retries what failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import grpc.aio
import msgspec
import redis.asyncio
from grpc_health.v1 import health_pb2

from benchmarks.service import etcd_api, products
from benchmarks.service.products import TIMEOUT_S
from benchmarks.service.ycsb import KEY_END, KEY_PREFIX, Record
from memraft import AsyncMemory
from memraft.errors import ConflictError

CONNECTIONS_MAX = 512
"""Of a client of Redis: one a caller."""
COLLECTION = "bench"
K = 10
EMPTY_PATH = "/grpc.health.v1.Health/Check"
LOAD_AT_ONCE = 100

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Target(msgspec.Struct, frozen=True):
    """Where a system is. `kind`: memraft, redis or etcd; `engine`: of a client, empty as it comes."""

    kind: str
    endpoints: str
    certs: str = ""
    engine: str = ""


class Missing(Exception):
    """A record that was acknowledged is not there."""


class Store(Protocol):
    """What workloads ask of a system. `level`: of a read, empty where there is no choice."""

    async def put(self, key: str, value: Any) -> None:
        """Writes a value, durable as the system promises it."""

    async def get(self, key: str, level: str) -> Any:
        """Reads a value. Raises Missing."""

    async def put_batch(self, values: Mapping[str, Any]) -> None:
        """Writes many values at once."""

    async def get_batch(self, keys: Sequence[str], level: str) -> None:
        """Reads many values at once. Raises Missing."""

    async def insert(self, key: str, record: Record) -> None:
        """Writes a record that a scan finds."""

    async def load(self, values: Mapping[str, Any]) -> None:
        """Inserts many records."""

    async def scan(self, key: str, count: int, level: str) -> None:
        """Reads up to `count` records in order of their keys, from one that exists. Raises Missing."""

    async def swap(self, key: str, field: str, value: str, level: str) -> bool:
        """Reads a record and writes it back with a field changed; False where somebody was faster."""

    async def append(self, stream: str, events: Sequence[Any]) -> None:
        """Appends events."""

    async def close(self) -> None:
        """Ends it."""


class MemraftStore:
    """AsyncMemory, as a user has it."""

    def __init__(self, target: Target) -> None:
        engine = products.client_engine(target.engine)
        self._memory = AsyncMemory(
            target.endpoints, certs=target.certs, namespace="acme/bench", timeout_s=TIMEOUT_S, **engine
        )
        self._check = products.call_over(
            self._memory,
            target.endpoints.partition(",")[0],
            EMPTY_PATH,
            health_pb2.HealthCheckRequest,
            health_pb2.HealthCheckResponse,
        )

    async def put(self, key: str, value: Any) -> None:
        await self._memory.put(key, value)

    async def get(self, key: str, level: Any) -> Any:
        value = await self._memory.get(key, consistency=level)
        if value is None:
            raise Missing(key)
        return value

    async def put_batch(self, values: Mapping[str, Any]) -> None:
        async with self._memory.batch() as together:
            for key, value in values.items():
                together.put(key, value)

    async def get_batch(self, keys: Sequence[str], level: Any) -> None:
        if len(await self._memory.get_many(keys, consistency=level)) != len(keys):
            raise Missing(f"one of {len(keys)}")

    async def insert(self, key: str, record: Record) -> None:
        await self._memory.put(key, record)

    async def load(self, values: Mapping[str, Any]) -> None:
        await self._memory.put_many(values)

    async def scan(self, key: str, count: int, level: Any) -> None:
        if not await self._memory.list(KEY_PREFIX, start=key, limit=count, consistency=level):
            raise Missing(key)

    async def swap(self, key: str, field: str, value: str, level: Any) -> bool:
        found = await self._memory.record(key, consistency=level)
        if found is None:
            raise Missing(key)
        try:
            await self._memory.put(key, {**found.value, field: value}, if_version=found.version)
        except ConflictError:
            return False
        return True

    async def append(self, stream: str, events: Sequence[Any]) -> None:
        await self._memory.append_many(stream, events)

    async def empty(self) -> None:
        """A call that carries nothing and asks no shard."""
        await self._check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)

    async def search(self, vector: Any) -> list[int]:
        """The places of the nearest K."""
        return [int(match.id) for match in await self._memory.search(COLLECTION, vector, k=K)]

    async def load_vectors(self, vectors: Any) -> None:
        """Stores vectors under their places."""
        await self._memory.create_collection(COLLECTION, vectors.shape[1], metric="cosine")
        for start in range(0, len(vectors), 1_000):
            rows = vectors[start : start + 1_000]
            ids = [str(start + place) for place in range(len(rows))]
            await self._memory.upsert_many(COLLECTION, ids, rows)

    async def close(self) -> None:
        await self._memory.close()


_INDEX = "keys"
"""A sorted set of all keys of records: how Redis finds them in order, as YCSB's own binding does it."""

_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class RedisStore:
    """redis-py with hiredis, a connection a caller; batches are pipelines without a transaction."""

    def __init__(self, target: Target) -> None:
        host, _, port = target.endpoints.rpartition(":")
        self._redis: Any = redis.asyncio.Redis(
            host=host, port=int(port), max_connections=CONNECTIONS_MAX, socket_timeout=TIMEOUT_S
        )
        self._swap = self._redis.register_script(_SWAP)

    async def put(self, key: str, value: Any) -> None:
        await self._redis.set(key, encode(value))

    async def get(self, key: str, level: str) -> Any:
        value = await self._redis.get(key)
        if value is None:
            raise Missing(key)
        return decode(value)

    async def put_batch(self, values: Mapping[str, Any]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, value in values.items():
                pipe.set(key, encode(value))
            await pipe.execute()

    async def get_batch(self, keys: Sequence[str], level: str) -> None:
        for value in await self._redis.mget(keys):
            if value is None:
                raise Missing(f"one of {len(keys)}")
            decode(value)

    async def insert(self, key: str, record: Record) -> None:
        await self.load({key: record})

    async def load(self, values: Mapping[str, Any]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, value in values.items():
                pipe.set(key, encode(value))
            pipe.zadd(_INDEX, dict.fromkeys(values, 0))
            await pipe.execute()

    async def scan(self, key: str, count: int, level: str) -> None:
        keys = await self._redis.zrangebylex(_INDEX, f"[{key}", "+", start=0, num=count)
        if not keys:
            raise Missing(key)
        await self.get_batch(keys, level)

    async def swap(self, key: str, field: str, value: str, level: str) -> bool:
        found = await self._redis.get(key)
        if found is None:
            raise Missing(key)
        return bool(await self._swap(keys=[key], args=[found, encode({**decode(found), field: value})]))

    async def append(self, stream: str, events: Sequence[Any]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for event in events:
                pipe.xadd(stream, {"type": "event", "payload": encode(event)})
            await pipe.execute()

    async def close(self) -> None:
        await self._redis.aclose()


class EtcdStore:
    """etcd's KV service over one channel to the member that leads; batches are transactions."""

    def __init__(self, target: Target) -> None:
        self._api = etcd_api.api()
        if target.engine == "lean":
            self._channel = products.open_lean(target.endpoints)
        else:
            self._channel = grpc.aio.insecure_channel(target.endpoints)
        calls = etcd_api.calls_of(self._channel)
        self._range, self._put, self._txn = calls["Range"], calls["Put"], calls["Txn"]

    async def put(self, key: str, value: Any) -> None:
        request = self._api.PutRequest(key=key.encode(), value=encode(value))
        await self._put(request, timeout=TIMEOUT_S)

    async def _read(self, key: str, level: str, end: str = "", limit: int = 0) -> Any:
        request = self._api.RangeRequest(
            key=key.encode(), range_end=end.encode(), limit=limit, serializable=level == "serializable"
        )
        found = (await self._range(request, timeout=TIMEOUT_S)).kvs
        if not found:
            raise Missing(key)
        return found

    async def get(self, key: str, level: str) -> Any:
        return decode((await self._read(key, level))[0].value)

    async def _do(self, steps: Iterator[Any], compare: Sequence[Any] = ()) -> Any:
        request = self._api.TxnRequest(compare=compare, success=steps)
        return await self._txn(request, timeout=TIMEOUT_S)

    async def put_batch(self, values: Mapping[str, Any]) -> None:
        put, step = self._api.PutRequest, self._api.Step
        await self._do(step(put=put(key=key.encode(), value=encode(v))) for key, v in values.items())

    async def get_batch(self, keys: Sequence[str], level: str) -> None:
        is_local = level == "serializable"
        one, step = self._api.RangeRequest, self._api.Step
        done = await self._do(step(range=one(key=key.encode(), serializable=is_local)) for key in keys)
        for each in done.responses:
            if not each.range.kvs:
                raise Missing(f"one of {len(keys)}")
            decode(each.range.kvs[0].value)

    async def insert(self, key: str, record: Record) -> None:
        await self.put(key, record)

    async def load(self, values: Mapping[str, Any]) -> None:
        await self.put_batch(values)

    async def scan(self, key: str, count: int, level: str) -> None:
        for each in await self._read(key, level, KEY_END, count):
            decode(each.value)

    async def swap(self, key: str, field: str, value: str, level: str) -> bool:
        found = (await self._read(key, level))[0]
        unchanged = self._api.Compare(
            target=self._api.Compare.MODIFIED, key=key.encode(), mod_revision=found.mod_revision
        )
        record = encode({**decode(found.value), field: value})
        step = self._api.Step(put=self._api.PutRequest(key=key.encode(), value=record))
        return bool((await self._do(iter([step]), [unchanged])).succeeded)

    async def append(self, stream: str, events: Sequence[Any]) -> None:
        raise TypeError("etcd keeps no streams")

    async def close(self) -> None:
        await self._channel.close()


STORES: dict[str, type[Any]] = {"memraft": MemraftStore, "redis": RedisStore, "etcd": EtcdStore}
