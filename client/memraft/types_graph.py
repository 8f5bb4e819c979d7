"""What calls on the graph and the index return: frozen values, exported by `memraft.types`."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from ._moments import datetime_of

Direction: TypeAlias = Literal["out", "in", "both"]
"""Which way edges are followed: from source to target, from target to source, or both ways."""

MergePolicy: TypeAlias = Literal["keep", "take", "newest", "union", "max", "min"]
"""What becomes of a property that both of two merged nodes have.

`keep`: as the node that stays has it; `take`: as the one that goes has it; `newest`: as the one has it that
was written later; `union`: a list of the members of both; `max`, `min`: the greater or lesser of two numbers
or texts, else `keep`. A property that only one of them has stays in any case.
"""


class MergedNode(msgspec.Struct, frozen=True, kw_only=True):
    """An id that was merged into a node."""

    id: str
    version: int
    """The version that its node had."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node, and who wrote it last when."""

    id: str
    """Another than was asked for where that was merged into this one."""
    type: str = ""
    domain: str = ""
    properties: dict[str, Any]
    version: int
    time_us: int
    """Commit time in microseconds since the Unix epoch."""
    agent: str = ""
    run: str = ""
    tool: str = ""
    is_forgotten: bool = False
    merged_from: tuple[MergedNode, ...] = ()
    """What was merged into it, oldest first."""

    @property
    def log_index(self) -> int:
        """The log index of the entry, as every read takes it for `at=`."""
        return self.version >> 20

    @property
    def at(self) -> datetime:
        """Commit time, aware, in UTC."""
        return datetime_of(self.time_us)


class _Valid(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    """What the edge says."""
    properties: dict[str, Any]
    """The edge's."""
    weight: float
    """What a weighted path pays for it."""
    valid_from_us: int
    """It holds in the world from this moment on, in microseconds since the Unix epoch. 0: it always did."""
    valid_until_us: int
    """It holds until before this moment. 0: it has no end."""
    version: int

    @property
    def valid_from(self) -> datetime | None:
        """`valid_from_us`, aware, in UTC; None where it always did."""
        return datetime_of(self.valid_from_us) if self.valid_from_us else None

    @property
    def valid_until(self) -> datetime | None:
        """`valid_until_us`, aware, in UTC; None where it has no end."""
        return datetime_of(self.valid_until_us) if self.valid_until_us else None

    @property
    def log_index(self) -> int:
        """The log index of the entry that wrote it."""
        return self.version >> 20


class Edge(_Valid, frozen=True, kw_only=True):
    """An edge from one node to another."""

    source: str
    target: str


class Neighbour(_Valid, frozen=True, kw_only=True, gc=False):
    """A node beside another, and the edge between them."""

    id: str
    """The neighbour."""
    direction: Literal["out", "in"]
    """`out`: the edge goes to the neighbour; `in`: it comes from it."""


class CrossDomainEdge(Edge, frozen=True, kw_only=True):
    """An edge whose ends are in different domains."""

    source_domain: str
    target_domain: str


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """A node that a walk came to."""

    id: str
    depth: int
    """How many edges away from where the walk began."""
    previous: str = ""
    """The node that it was reached from; empty where the walk began."""
    type: str = ""
    """The type of the edge by which it was reached; empty where the walk began."""


class Traversal(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes that a walk came to, nearest first."""

    items: tuple[Reached, ...]
    is_truncated: bool
    """Whether there is more within the depth: the walk ended at `limit`, or at 100,000 edges."""
    log_index: int
    time_us: int

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Reached]:
        return iter(self.items)


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """A path through the graph."""

    ids: tuple[str, ...]
    """The nodes along it, both ends included."""
    edges: tuple[Edge, ...]
    """The edges along it, one fewer."""
    weight: float
    """The sum of their weights."""
    log_index: int
    time_us: int


class Subgraph(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes and every edge between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    is_truncated: bool
    """Whether there is more within the depth: it ended at `limit`, at 100,000 edges, or at 3 MiB."""
    log_index: int
    time_us: int


class MergedInto(msgspec.Struct, frozen=True, kw_only=True):
    """Two nodes that are one now."""

    id: str
    """The one that stays."""
    version: int
    time_us: int
    edges_moved: int
    edges_dropped: int
    """Edges that ended: between the two, and such as the one that stays had already."""

    @property
    def log_index(self) -> int:
        """The log index of the entry."""
        return self.version >> 20


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace in a few words: a table of contents as Markdown. `str()` of it is its text."""

    text: str
    tokens: int
    """Its characters divided by 4, rounded up."""
    log_index: int
    time_us: int

    def __str__(self) -> str:
        return self.text
