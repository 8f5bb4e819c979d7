"""Vectors in named collections."""

from collections.abc import Mapping, Sequence
from typing import Any

from memraft_proto.v1 import vector_pb2

from .. import _json, _wire
from .. import _operations as operations
from ..types import (
    At,
    Collection,
    Consistency,
    Created,
    Deleted,
    Match,
    Metric,
    Results,
    Upserted,
    WrittenMany,
)
from .base import METHOD, AsyncCalls

_CREATE, _LIST = METHOD["CreateCollection"], METHOD["ListCollections"]
_UPSERT, _UPSERT_MANY = METHOD["UpsertVector"], METHOD["UpsertMany"]
_DELETE, _SEARCH = METHOD["DeleteVector"], METHOD["SearchVectors"]


class AsyncVectorCalls(AsyncCalls):
    """Vectors in named collections, each of one dimension, one metric and one embedding model."""

    async def create_collection(
        self, collection: str, dimension: int, *, metric: Metric = "cosine", fingerprint: str = ""
    ) -> Created:
        """Creates a collection. Creating it again with the same settings changes nothing.

        Args:
            collection: its name: 1 to 128 bytes of UTF-8 without control characters.
            dimension: components of its vectors, 1 to 4,096.
            metric: how nearness is measured.
            fingerprint: what makes its vectors (model, normalisation); checked wherever a write or search
                names one.

        Raises:
            CollectionMismatch: it exists with other settings.
        """
        request = operations.create_collection(self._where, collection, dimension, metric, fingerprint)
        return operations.create_collection_done(request, await self._link.write(_CREATE, request))

    async def collections(
        self, *, at: At = None, consistency: Consistency | None = None
    ) -> Results[Collection]:
        """Lists the collections of the namespace in order of name.

        Args:
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(vector_pb2.ListCollectionsRequest, **self._from(at, consistency))
        response: vector_pb2.ListCollectionsResponse = await self._link.read(_LIST, request)
        return _wire.results(response, tuple(map(_wire.collection, response.collections)))

    async def upsert(
        self,
        collection: str,
        id: str,
        vector: Any,
        *,
        metadata: Mapping[str, Any] | None = None,
        fingerprint: str = "",
    ) -> Upserted:
        """Stores one vector, replacing the one with the same id.

        Args:
            collection: which one.
            id: 1 to 512 bytes of UTF-8 without control characters.
            vector: shape (dimension,): a sequence of numbers or an array; sent as float32, must be finite.
            metadata: an object to filter by.
            fingerprint: what made the vector; if given, it must be the collection's.

        Raises:
            NotFound: there is no such collection.
            EmbeddingMismatch: another fingerprint or dimension than the collection's.
        """
        request = operations.upsert(self._where, collection, id, vector, metadata, fingerprint)
        return operations.upsert_done(request, await self._link.write(_UPSERT, request))

    async def upsert_many(
        self,
        collection: str,
        ids: Sequence[str],
        vectors: Any,
        *,
        metadatas: Sequence[Mapping[str, Any] | None] | None = None,
        fingerprint: str = "",
    ) -> WrittenMany:
        """Stores many vectors in one log entry.

        Args:
            collection: which one.
            ids: at most 10,000.
            vectors: shape (len(ids), dimension): rows of numbers or an array; sent as float32, must be
                finite.
            metadatas: an object for each, or None.
            fingerprint: what made the vectors; if given, it must be the collection's.

        Raises:
            NotFound: there is no such collection.
            EmbeddingMismatch: another fingerprint or dimension than the collection's.
        """
        request = operations.upsert_many(self._where, collection, ids, vectors, metadatas, fingerprint)
        return operations.upsert_many_done(request, await self._link.write(_UPSERT_MANY, request))

    async def delete_vector(self, collection: str, id: str) -> Deleted:
        """Deletes one vector. Searches with an earlier `at=` still find it.

        Args:
            collection: which one.
            id: which vector. Deleting an absent one is no error: see `.found`.

        Raises:
            NotFound: there is no such collection.
        """
        request = operations.delete_vector(self._where, collection, id)
        return operations.delete_vector_done(request, await self._link.write(_DELETE, request))

    async def search(
        self,
        collection: str,
        vector: Any,
        *,
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        fingerprint: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Match]:
        """Finds the nearest vectors, nearest first.

        Args:
            collection: which one.
            vector: shape (dimension,), as in `upsert`.
            k: how many, 1 to 1,000.
            filter: only those whose metadata pass, such as `{"lang": "en", "year": {"$gte": 2020}}`.
                Operators: `$eq $ne $lt $lte $gt $gte $in $exists $prefix $contains` on a field; `$and $or
                $not` over filters.
            fingerprint: what made the vector; if given, it must be the collection's.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Raises:
            NotFound: there is no such collection.
            EmbeddingMismatch: another fingerprint or dimension than the collection's.
        """
        k = _wire.at_least_one(k, "k")
        is_plain = filter is None and at is None and consistency is None and not fingerprint
        if self._nearest is not None and is_plain:
            found = self._nearest(self._namespace, collection, vector, k)
            if found is not None:
                return _wire.nearest(found)
        request = _wire.build(
            vector_pb2.SearchVectorsRequest,
            **self._from(at, consistency),
            collection=collection,
            vector=_wire.vector_bytes(vector),
            k=k,
            filter=_json.encode_object(filter, "filter"),
            fingerprint=fingerprint,
        )
        response: vector_pb2.SearchVectorsResponse = await self._link.read(_SEARCH, request)
        return _wire.matches(response)
