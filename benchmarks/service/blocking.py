"""The systems as clients without an event loop see them, for one caller; and indexes called in process."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import grpc
import redis

from benchmarks.service import etcd_api, products
from benchmarks.service.products import TIMEOUT_S
from benchmarks.service.stores import COLLECTION, K, Missing, Target, decode, encode
from memraft import Memory

NAMESPACE = "acme/bench"


def _memraft(target: Target) -> tuple[Callable[[str, Any], Any], Callable[[str, Any], Any]]:
    engine = products.client_engine(target.engine)
    memory = Memory(target.endpoints, certs=target.certs, namespace=NAMESPACE, timeout_s=TIMEOUT_S, **engine)
    return memory.put, lambda key, level: memory.get(key, consistency=level)


def _redis(target: Target) -> tuple[Callable[[str, Any], Any], Callable[[str, Any], Any]]:
    host, _, port = target.endpoints.rpartition(":")
    client: Any = redis.Redis(host=host, port=int(port), socket_timeout=TIMEOUT_S)

    def get(key: str, level: Any) -> Any:
        value = client.get(key)
        return None if value is None else decode(value)

    return lambda key, value: client.set(key, encode(value)), get


def _etcd(target: Target) -> tuple[Callable[[str, Any], Any], Callable[[str, Any], Any]]:
    api = etcd_api.api()
    calls = etcd_api.calls_of(grpc.insecure_channel(target.endpoints))

    def put(key: str, value: Any) -> None:
        calls["Put"](api.PutRequest(key=key.encode(), value=encode(value)), timeout=TIMEOUT_S)

    def get(key: str, level: Any) -> Any:
        request = api.RangeRequest(key=key.encode(), serializable=level == "serializable")
        found = calls["Range"](request, timeout=TIMEOUT_S).kvs
        return decode(found[0].value) if found else None

    return put, get


_OPENERS = {"memraft": _memraft, "redis": _redis, "etcd": _etcd}


class BlockingStore:
    """`put` and `get` of one system, called one after the other."""

    def __init__(self, target: Target) -> None:
        self.put, self._get = _OPENERS[target.kind](target)

    def get(self, key: str, level: Any) -> Any:
        """Reads a value. Raises Missing."""
        value = self._get(key, level)
        if value is None:
            raise Missing(key)
        return value


def open_index(name: str, vectors: Any) -> Callable[[Any], list[int]]:
    """An index of vectors in this process: `vector -> places of the nearest K`, by cosine.

    Args:
        name: `index`: ours, as Memory calls it, without what Memory makes of its answer; or `hnswlib`.
        vectors: shape (count, dimension), float32, of length 1.

    Raises:
        Unavailable: it is not installed.
    """
    return _own_index(vectors) if name == "index" else _hnswlib(vectors)


def _own_index(vectors: Any) -> Callable[[Any], list[int]]:
    memory = Memory(agent="bench", namespace=NAMESPACE)
    memory.create_collection(COLLECTION, vectors.shape[1], metric="cosine")
    memory.upsert_many(COLLECTION, [str(place) for place in range(len(vectors))], vectors)
    nearest: Any = memory._nearest
    return lambda vector: [int(each) for each in nearest(NAMESPACE, COLLECTION, vector, K)[0]]


HNSW_LINKS, HNSW_BUILD, HNSW_SEARCH = 16, 200, 64
"""M, ef_construction and ef: customary ones; recall is told beside the time."""


def _hnswlib(vectors: Any) -> Callable[[Any], list[int]]:
    try:
        hnswlib: Any = import_module("hnswlib")  # a source distribution: not everybody can build it
    except ImportError:
        raise products.Unavailable(
            "hnswlib is not installed: pip install hnswlib (needs a C++ compiler)"
        ) from None
    index = hnswlib.Index("cosine", vectors.shape[1])
    index.init_index(len(vectors), ef_construction=HNSW_BUILD, M=HNSW_LINKS)
    index.set_num_threads(1)
    index.add_items(vectors)
    index.set_ef(HNSW_SEARCH)
    return lambda vector: [int(each) for each in index.knn_query(vector, k=K)[0][0]]
