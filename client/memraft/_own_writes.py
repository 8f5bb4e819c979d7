"""What a transaction has written so far, for its reads: documents as they will be; of all else, that it was
written, for what an operation makes of it is only known when it commits. Pure; shared by both facades."""

from collections.abc import Iterable
from typing import Any

from .errors import InvalidArgument

_NAMED = {
    "compare_and_swap": ("state", "name"),
    "add_counter": ("counter", "name"),
    "set_gate": ("gate", "name"),
    "append": ("stream", "stream"),
    "append_many": ("stream", "stream"),
    "remember": ("memory", "id"),
    "update_memory": ("memory", "id"),
    "forget": ("memory", "id"),
    "begin_run": ("run", "run_id"),
    "end_run": ("run", "run_id"),
    "upsert_node": ("node", "id"),
    "delete_node": ("node", "id"),
    "forget_node": ("node", "id"),
}
"""Operation -> kind of what it writes and the field that has its name."""
_WORDS = {"state": "named record"}
_ENDING = frozenset({"delete_node", "forget_node", "merge_nodes"})
"""Operations on a node that change what is read of its edges."""


class OwnWrites:
    """The writes of one transaction."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        """Key -> the document's JSON, empty where it was deleted."""
        self._written: set[tuple[str, str]] = set()
        self._ends: set[str] = set()

    def note(self, operation: str, request: Any) -> None:
        """Takes in a write: the field of `Operation` that carries it, and its request."""
        if operation == "put":
            self.documents[request.key] = request.value
        elif operation == "delete":
            self.documents[request.key] = b""
        elif operation == "multi_put":
            kinds = request.kinds or bytes(len(request.keys))
            for key, value, kind in zip(request.keys, request.values, kinds, strict=True):
                self.documents[key] = b"" if kind else value
        elif operation in _NAMED:
            kind_, field = _NAMED[operation]
            self._written.add((kind_, getattr(request, field)))
        elif operation == "upsert_edge" or operation == "delete_edge":
            self._written.add(("edge", edge_name(request.source, request.type, request.target)))
        elif operation == "upsert_graph":
            self._written.update(("node", id) for id in request.ids)
            types = request.edge_types
            for i, (source, target) in enumerate(zip(request.sources, request.targets, strict=True)):
                name = edge_name(source, types[i if len(types) > 1 else 0], target)
                self._written.add(("edge", name))
        elif operation == "merge_nodes":
            self._written |= {("node", request.id), ("node", request.merged)}
        if operation in _ENDING:
            self._ends.update({request.id, getattr(request, "merged", request.id)})

    def check_unwritten(self, kind: str, names: Iterable[str]) -> None:
        """Raises InvalidArgument where the transaction itself has written one of these."""
        if not self._written:
            return
        for name in names:
            if (kind, name) in self._written:
                raise _unknown_yet(f"{_WORDS.get(kind, kind)} {name!r}")

    def check_edge(self, source: str, type: str, target: str) -> None:
        """Raises InvalidArgument where the transaction has written this edge, or ended or hidden an end."""
        written = ("edge", edge_name(source, type, target)) in self._written
        if written or source in self._ends or target in self._ends:
            raise _unknown_yet(f"edge ({source!r}, {type!r}, {target!r})")

    def check_document(self, key: str) -> None:
        """Raises InvalidArgument where the transaction has stored this document, whose version is not known
        yet."""
        if self.documents.get(key):
            raise _unknown_yet(f"the version of document {key!r}", "; `get` reads its value")

    def check_range(self, prefix: str, start: str, end: str) -> None:
        """Raises InvalidArgument where the transaction has written a document of this range."""
        for key in self.documents:
            if key.startswith(prefix) and key >= start and (not end or key < end):
                raise _unknown_yet(f"a list with document {key!r}", "; `get` reads its value")


def edge_name(source: str, type: str, target: str) -> str:
    """Returns an edge's name in a set of reads."""
    return "\1".join((source, type, target))


def _unknown_yet(what: str, instead: str = "") -> InvalidArgument:
    return InvalidArgument(
        f"{what} cannot be read here after this transaction wrote it: what comes of the write is only known "
        f"when it commits. Read it before the write, or from `results` after the block{instead}"
    )
