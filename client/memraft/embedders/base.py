"""What an embedder is, and how any callable becomes one."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..errors import ConfigurationError, InvalidArgument

Vector: TypeAlias = npt.NDArray[np.float32]
"""Shape (dimension,)."""
Vectors: TypeAlias = npt.NDArray[np.float32]
"""Shape (texts, dimension)."""

Function: TypeAlias = Callable[[str], "Sequence[float] | npt.NDArray[Any]"]
"""Any callable from a text to its vector. Its attribute `fingerprint`, if it has one, names the model."""
AwaitedFunction: TypeAlias = Callable[[str], "Awaitable[Sequence[float] | npt.NDArray[Any]]"]

_CALLS_MAX = 8
"""How many calls of a coroutine function are under way at once for one `embed`."""


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors. `embed` may also be a coroutine function, for `AsyncMemory`.

    An embedder that takes well under a millisecond says so with an attribute `inline_characters_max`: texts
    of no more characters together are embedded where the caller is, others in a thread beside the event loop.
    """

    @property
    def fingerprint(self) -> str:
        """Names model, dimension and normalisation: vectors of two fingerprints are never compared."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Returns shape (len(texts), dimension), each row of length 1, or all zeros where a text says
        nothing.
        """


AnyEmbedder: TypeAlias = Embedder | Function | AwaitedFunction
"""What `Memory(embedder=...)` takes."""


class FunctionEmbedder:
    """An embedder out of a callable that takes one text.

    Args:
        function: str -> numbers.
        fingerprint: names the model; None: the callable's attribute of this name, else
            `module.name:dimension`, which tells models of equal dimension apart only if their callables have
            different names.
    """

    def __init__(self, function: Function | AwaitedFunction, fingerprint: str | None = None) -> None:
        self._function: Callable[[str], Any] = function
        named = function if hasattr(function, "__qualname__") else type(function)
        self.name = f"{named.__module__}.{getattr(named, '__qualname__', 'embedder')}"
        self.fingerprint: str = fingerprint or _text_attribute(function, "fingerprint")
        """Empty where only the dimension of the first vector will tell."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Calls the function once a text.

        Raises:
            InvalidArgument: it did not return numbers, or not equally many for each text.
        """
        return unit_rows([self._function(text) for text in texts], len(texts))


class AwaitedEmbedder(FunctionEmbedder):
    """The same out of a coroutine function; only `AsyncMemory` can wait for it."""

    async def embed(self, texts: Sequence[str]) -> Vectors:  # type: ignore[override]
        """Awaits the function once a text, a few at a time."""
        slots = asyncio.Semaphore(_CALLS_MAX)

        async def one(text: str) -> Any:
            async with slots:
                return await self._function(text)

        return unit_rows(await asyncio.gather(*map(one, texts)), len(texts))


def as_embedder(given: Any) -> Embedder:
    """The embedder that was given, or one around the callable that was.

    Raises:
        ConfigurationError: it is neither.
    """
    if callable(getattr(given, "embed", None)):
        if not isinstance(getattr(given, "fingerprint", None), str):
            raise ConfigurationError(
                f"an embedder has a fingerprint that names its model; {given!r} has none"
            )
        embedder: Embedder = given
        return embedder
    if not callable(given):
        raise ConfigurationError(f"embedder must be an Embedder or a callable, str -> numbers, not {given!r}")
    if inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(type(given).__call__):
        return AwaitedEmbedder(given)  # type: ignore[return-value]  # AsyncMemory awaits it
    return FunctionEmbedder(given)


def fingerprint_of(embedder: Embedder, dimension: int) -> str:
    """What names the model behind an embedder whose vectors have this dimension."""
    if not embedder.fingerprint and isinstance(embedder, FunctionEmbedder):
        return f"{embedder.name}:{dimension}"
    return embedder.fingerprint


def unit_rows(vectors: Any, rows: int) -> Vectors:
    """Returns what an embedder made as float32 of shape (rows, dimension), each row of length 1 or all zeros.

    Raises:
        InvalidArgument: they are not numbers, not of this shape, or not finite.
    """
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused below
            array = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(f"the embedding is not a sequence of numbers: {error}") from error
    if array.ndim != 2 or array.shape[0] != rows or not array.shape[1]:
        raise InvalidArgument(
            f"an embedder returns one row of numbers for each of {rows} texts, not shape {array.shape}"
        )
    largest = np.abs(array).max(axis=1, keepdims=True)
    if not np.isfinite(largest).all():
        raise InvalidArgument("the embedding has numbers that are not finite as float32")
    # Scaled to 1 at most before they are squared: large components would overflow, tiny ones vanish.
    array = np.divide(array, largest, out=np.zeros_like(array), where=largest > 0)
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array))[:, None]
    unit: Vectors = np.divide(array, lengths, out=array, where=lengths > 0)
    return unit


def _text_attribute(owner: Any, name: str) -> str:
    text = getattr(owner, name, None)
    return text if isinstance(text, str) else ""
