"""The one seam to the server's code: the machine in this process, imported when such a memory is opened."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from memraft_proto.methods import Method

from . import _left_behind, errors
from ._graph import Adjacent, Contents
from ._recall import Recollection
from ._wire import Nearest

if TYPE_CHECKING:
    from memraft_server.embedded import EmbeddedEngine, EmbeddedFeed

R = TypeVar("R")

_EXTRA = (
    "the machine runs in process only where the server's needs are installed: pip install 'memraft[server]'"
)


class Engine:
    """A machine in this process, with the client's exceptions. Any thread may call it."""

    def __init__(self, engine: "EmbeddedEngine", refused: type[Any], failures: "_Failures") -> None:
        self.is_durable = engine.is_durable
        self.close = engine.close
        """Ends it; harmless when called twice."""
        self.head = engine.head
        """Returns the document that stands at a key of a namespace now; None where `call` must say that there
        is none, or what is amiss."""
        self._call = engine.call
        self._follow = engine.follow
        self._nearest = engine.nearest
        self._recalled = engine.recalled
        self._adjacent = engine.adjacent
        self._contents = engine.contents
        self._refused = refused
        self._failures = failures
        self._engine = engine
        self.is_left_behind = False
        """Whether it was opened before a fork, by the parent: closing it does nothing."""
        _left_behind.watch(self)

    def leave_behind(self, reason: str) -> None:
        """See `_left_behind.Opened`."""
        self.is_left_behind = True
        self.is_durable = False  # what refuses needs no thread
        self._engine.leave_behind(reason)
        _left_behind.keep_for_ever(self._engine)

    def call(self, method: Method, request: Any) -> Any:
        """Answers a call. Raises MemraftError."""
        try:
            return self._call(method, request)
        except self._refused as refused:
            error = errors.from_reason(refused.reason, refused.message, refused.metadata)
        except self._failures.types as failure:
            error = self._failures.explain(failure)
        raise error

    def nearest(self, namespace: str, collection: str, vector: Any, k: int) -> Nearest | None:
        """The nearest vectors now, None where `call` must say what is amiss. Raises ClosedError."""
        try:
            return self._nearest(namespace, collection, vector, k)
        except self._failures.types as failure:
            error = self._failures.explain(failure)
        raise error

    def recalled(self, request: Any) -> Recollection:
        """Answers a recall of now whose receipt need not be there before the answer. Raises MemraftError."""
        try:
            return self._recalled(request)
        except self._refused as refused:
            error = errors.from_reason(refused.reason, refused.message, refused.metadata)
        except self._failures.types as failure:
            error = self._failures.explain(failure)
        raise error

    def follow(self, method: Method, request: Any, wake: Callable[[], object]) -> "LocalFeed":
        """Begins a call that has many responses. Raises MemraftError.

        Args:
            method: which.
            request: its message; kept and changed.
            wake: called when there may be more, in whatever thread made it so; it must only take note.
        """
        return LocalFeed(self, self._asked(lambda: self._follow(method, request, wake)))

    def _asked(self, ask: Callable[[], R]) -> R:
        try:
            return ask()
        except self._refused as refused:
            error = errors.from_reason(refused.reason, refused.message, refused.metadata)
        except self._failures.types as failure:
            error = self._failures.explain(failure)
        raise error

    def adjacent(self, namespace: str, id: str, direction: str, limit: int) -> Adjacent | None:
        """The first edges of a node now, None where `call` must answer. Raises ClosedError."""
        try:
            return self._adjacent(namespace, id, direction, limit)
        except self._failures.types as failure:
            error = self._failures.explain(failure)
        raise error

    def contents(self, namespace: str, tokens: int) -> Contents | None:
        """The index of a namespace, None where it is not kept. Raises ClosedError."""
        try:
            return self._contents(namespace, tokens)
        except self._failures.types as failure:
            error = self._failures.explain(failure)
        raise error


class LocalFeed:
    """The responses of a call that has many, with the client's exceptions."""

    def __init__(self, engine: Engine, feed: "EmbeddedFeed") -> None:
        self._engine = engine
        self._feed = feed
        self.close = feed.close
        """Ends it; harmless when called twice."""
        self.due_s = feed.due_s
        """Returns the seconds after which to ask again even without being woken; None: no need to."""

    def next(self) -> Any | None:
        """The next response, None where there is nothing to say by now. Raises MemraftError."""
        while True:
            response = self._engine._asked(self._feed.next)
            if response is not None or not self._feed.is_behind:
                return response


class _Failures:
    """What the engine raises beside refusals, and what a caller is told."""

    def __init__(self, closed: type[Exception], disk: type[Exception], unwritten: type[Exception]) -> None:
        self.types = (closed, disk, unwritten)
        self._disk = disk
        self._unwritten = unwritten

    def explain(self, failure: Exception) -> errors.MemraftError:
        if isinstance(failure, self._disk):
            return errors.OutcomeUnknown(
                f"{failure}; what reached the disk is unknown: where it is full make room, then close this "
                "memory and open it again"
            )
        if isinstance(failure, self._unwritten):
            return errors.DataDirectoryError(str(failure))
        return errors.ClosedError(str(failure))


def open_engine(
    path: str | Path | None, projections: Sequence[str | type[Any]] = (), is_relaxed: bool = False
) -> Engine:
    """Opens a machine in this process.

    Args:
        path: the directory of its log; None: in memory only.
        projections: classes to derive views with, or where they are.
        is_relaxed: whether it may acknowledge writes before they are on the disk.

    Raises:
        ConfigurationError: the server's needs are not installed, or what was given is no projection.
        DataDirectoryError: the directory is locked, damaged or holds something else, or its disk is full.
    """
    try:
        from memraft_server.embedded import (
            Closed,
            DirectoryUnusable,
            DiskFailed,
            EmbeddedEngine,
            NotWritten,
            ProjectionUnusable,
            Refused,
        )
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("memraft"):
            raise
        raise errors.ConfigurationError(f"the package {error.name!r} is missing; {_EXTRA}") from error
    try:
        engine = EmbeddedEngine(path, projections, is_relaxed)
    except DirectoryUnusable as error:
        raise errors.DataDirectoryError(str(error)) from error
    except ProjectionUnusable as error:
        raise errors.ConfigurationError(str(error)) from error
    return Engine(engine, Refused, _Failures(Closed, DiskFailed, NotWritten))
