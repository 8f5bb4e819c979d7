# Generated from _async/base.py by scripts/generate_sync.py: edit that one.

"""What all groups of calls share: where they write and read, and the link that carries them."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeAlias

from memraft_proto.methods import METHODS, Method
from memraft_proto.v1 import common_pb2

from .. import _wire
from .._coalesce import Place
from .._gets import Shelf
from .._graph import Adjacent, Contents
from .._recall import Recollection
from ..errors import InvalidArgument
from ..types import At, Consistency
from .embedding import Embedding
from .feeds import Source
from .following import Advance

METHOD = METHODS

Put = Callable[[Place, str, bytes], Any]
"""A short way of a link: (where, key, JSON text) -> what came of storing the document under no condition."""

Coming: TypeAlias = Any
"""What a link has begun to do for a caller."""

Head = Callable[[str, str], bytes | None]
"""A short cut of a machine in this process: (namespace, key) -> the document that stands there now."""

Search = Callable[[str, str, Any, int], _wire.Nearest | None]
"""Another: (namespace, collection, vector, k) -> the nearest now; None where a call must say what is off."""

Recollect = Callable[[Any], Recollection]
"""Another: the request of a recall of now, whose receipt may follow -> what it found."""

Beside = Callable[[str, str, str, int], Adjacent | None]
"""Another: (namespace, node, direction, limit) -> its first edges now; None where a call must do it."""

Outline = Callable[[str, int], Contents | None]
"""Another: (namespace, tokens) -> its index, if it is kept; None where a call must make it."""


class Link(Protocol):
    """Carries requests to the machine: in this process, or over the network to the shard's replicas."""

    puts: Put | None
    head: Head | None
    nearest: Search | None
    recalled: Recollect | None
    adjacent: Beside | None
    contents: Outline | None
    timeout_s: float

    def write(self, method: Method, request: Any) -> Any: ...
    def value(self, shelf: Shelf, key: str, deadline_s: float) -> Coming: ...
    def settled(self, outcome: Any, shelf: Shelf, key: str, deadline_s: float) -> bytes: ...
    def read(self, method: Method, request: Any) -> Any: ...
    def follow(self, method: Method, request: Any, advance: Advance) -> Source: ...
    def close(self) -> None: ...


class Calls:
    """The base of the groups of calls. One object is one namespace, one agent, one run."""

    def __init__(
        self,
        link: Link,
        namespace: str,
        writer: common_pb2.WriteContext,
        consistency: Consistency,
        embedder: Embedding,
    ) -> None:
        self._link = link
        self._namespace = namespace
        self._writer = writer
        self._consistency: Consistency = consistency
        self._embedder = embedder
        # Made once: every request copies them.
        self._where: dict[str, Any] = {"namespace": namespace, "context": writer}
        self._reader = _wire.read_context(consistency, None)
        self._shelf = Shelf(namespace, self._reader)
        self._shelves = {consistency: self._shelf}
        self._place = Place(namespace, writer)
        self._puts = link.puts
        self._head = link.head
        self._nearest = link.nearest
        self._recalled = link.recalled
        self._adjacent = link.adjacent
        self._contents = link.contents

    def _from(self, at: At, consistency: Consistency | None) -> dict[str, Any]:
        """The fields of a read that say where, how fresh and as of when."""
        if at is None and consistency is None:
            return {"namespace": self._namespace, "context": self._reader}
        context = _wire.read_context(self._consistency if consistency is None else consistency, at)
        return {"namespace": self._namespace, "context": context}

    def _shelf_of(self, consistency: Consistency) -> Shelf:
        """Where documents as of now are read from that fresh. Raises InvalidArgument."""
        found = self._shelves.get(consistency) if type(consistency) is str else None
        if found is None:
            found = Shelf(self._namespace, _wire.read_context(consistency, None))
            self._shelves[consistency] = found
        return found

    def _placed(self, namespace: str, run: str | None = None) -> Self:
        """The same view of another namespace, and where one is given in another run."""
        writer = common_pb2.WriteContext()
        writer.CopyFrom(self._writer)
        if run is not None:
            writer.run = run
        view = type(self).__new__(type(self))
        Calls.__init__(view, self._link, namespace, writer, self._consistency, self._embedder)
        return view

    def _fenced(self, lease: str, token: int) -> Self:
        """The same view, whose writes are refused once `token` is not that of the lease's holder."""
        mine = self._writer
        writer = _wire.build(
            common_pb2.WriteContext,
            agent=mine.agent,
            run=mine.run,
            tool=mine.tool,
            fence_lease=lease,
            fence_token=token,
        )
        view = type(self).__new__(type(self))
        Calls.__init__(view, self._link, self._namespace, writer, self._consistency, self._embedder)
        return view

    def _embedding(self, text: str, vector: Any, fingerprint: str | None) -> tuple[bytes, str]:
        """The embedding's bytes and fingerprint: of the vector that is given, else of the text."""
        if vector is None:
            if not isinstance(text, str):
                raise InvalidArgument(f"text must be a str, not {type(text).__name__}")
            made, named = self._embedder.of(text)
            return _wire.vector_bytes(made), named if fingerprint is None else fingerprint
        data, dimension = _wire.matrix_bytes(vector, "embedding", rows=None)
        return data, self._embedder.of_caller(dimension) if fingerprint is None else fingerprint

    def _embeddings(self, texts: Sequence[str]) -> tuple[list[bytes], str]:
        """The embeddings' bytes and fingerprint of texts, which are embedded together."""
        vectors, named = self._embedder.of_many(texts)
        return [_wire.vector_bytes(vector) for vector in vectors], named
