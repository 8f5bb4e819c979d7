"""Short codes of vectors, by which a scan of very many rows finds few candidates for an exact comparison.

A vector is turned so that its first components say most (principal components of a sample), cut to so many
components as the store's own neighbours need to be told apart, and rounded to bytes. numkong compares bytes
two to four times as fast as numpy compares floats: 38 us for 10,000 rows of 128 components. Where numkong
is not installed, the same components stay floats and numpy compares them.

Codes choose candidates and nothing else: what a search answers is scored with the components as they are.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.products import turned
from memraft_server.projections.vector_math import Floats

COMPONENTS = (48, 80, 112, 128, 160, 176, 240, 368, 496, 752, 1008, 2032)
"""How many components a code may have, besides all of them. numkong lays out a row of 48 in 52 bytes and one
of 64 in 84, as one of 80, so that multiples of 64 are left out where memory is what a scan waits for."""

TURNED_DIMENSION_MAX = 2048
"""Vectors of more components are cut as they are: finding axes takes the third power of the dimension."""

BYTE_MAX = 127

ROWS_TOGETHER = 8
"""numkong compares so many rows at a time, and where some are left over all of them one by one: 1,300 rows of
96 components take 21 us, 1,304 take 5."""

PEAK_MIN, PEAK_MAX = 1e-12, 1e12
"""Components of a size beyond these lose too much in the arithmetic of floats: such rows get no codes."""

Scores = NDArray[np.int32] | Floats

Codes = NDArray[np.int8] | Floats
"""Codes as bytes, or as floats where numkong is not installed."""


@cache
def load_numkong() -> ModuleType | None:
    """Returns the module numkong, or None where it is not installed; the first call then warns."""
    try:
        import numkong
    except ImportError:
        warnings.warn(
            "numkong is not installed (it comes with memraft[server]): codes of vectors are compared by"
            " numpy, which takes two to three times as long",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return numkong


@dataclass(frozen=True, slots=True)
class Leading:
    """The first components of codes, which are compared before the whole codes are.

    Attributes:
        components: How many.
        left_share: Which part of the rows they have to leave.
    """

    components: int
    left_share: float


@dataclass(frozen=True, slots=True)
class Axes:
    """The turn, the cut and the rounding of a group of vectors.

    Attributes:
        centre: Shape (dimension,): what is subtracted from each vector.
        turn: Shape (dimension, components), columns of length one; None: the components as they are.
        components: Components of a code.
        step: What one step of a byte stands for.
        rows: How many rows they were chosen for.
        leading: Fewer components that tell which rows are worth comparing; None where fewer do not.
        wide: What they were cut from, with more components, which may do for other rows; None: not kept.
    """

    centre: Floats
    turn: Floats | None
    components: int
    step: float
    rows: int
    leading: Leading | None = None
    wide: Axes | None = None

    def project(self, centred: Floats) -> Floats:
        """Returns the leading components of vectors whose centre was subtracted.

        Args:
            centred: One, shape (dimension,), or several, shape (vectors, dimension).
        """
        if self.turn is None:
            return centred[..., : self.components]
        if centred.ndim == 1:
            projected: Floats = centred.dot(self.turn)
            return projected
        return turned(centred, self.turn)


class Block(Protocol):
    """The codes of some rows."""

    def dots(self, query: Codes) -> Scores:
        """Compares all rows with a query as `asked` returns it: the greater, the nearer."""


class ByteBlock:
    """Codes of bytes, compared by numkong."""

    __slots__ = ("_compare", "_count", "_packed")

    def __init__(self, numkong: ModuleType, codes: Codes) -> None:
        self._count = len(codes)
        filling = np.zeros((-len(codes) % ROWS_TOGETHER, codes.shape[1]), np.int8)
        self._packed: Any = numkong.dots_pack(np.concatenate((codes, filling)), dtype="int8")
        self._compare = numkong.dots_packed

    def dots(self, query: Codes) -> Scores:
        """Compares all rows; the products are whole numbers."""
        products: NDArray[np.int32] = np.asarray(self._compare(query, self._packed))[0, : self._count]
        return products


class FloatBlock:
    """Codes of floats, compared by numpy: four times as large, and half as fast to compare."""

    __slots__ = ("_codes",)

    def __init__(self, codes: Floats) -> None:
        self._codes = codes

    def dots(self, query: Codes) -> Scores:
        """Compares all rows."""
        products: Floats = self._codes @ query
        return products


def asked(projected: Floats, block: Block) -> tuple[Codes, float] | None:
    """Returns a projected query as `block` compares it, and what one step of it stands for; None where it
    is too small or too great to be compared."""
    sizes = np.abs(projected)
    peak = sizes.item(sizes.argmax())  # a third of the time that max takes
    if not PEAK_MIN < peak < PEAK_MAX:
        return None
    if isinstance(block, FloatBlock):
        return projected, 1.0
    steps = projected * np.float32(BYTE_MAX / peak)
    np.rint(steps, steps)
    return steps.astype(np.int8)[None], peak / BYTE_MAX


def dots_of(query: Codes, codes: Codes) -> Scores:
    """Compares a query as `asked` returns it with these codes, shape (n, components), of its own type."""
    numkong = load_numkong()
    if numkong is None or codes.dtype != np.int8:
        products: Floats = np.matmul(codes, query, dtype=np.float32)
        return products
    dots: NDArray[np.float32] = np.asarray(numkong.cdist(query, codes, "dot"))[0].astype(np.float32)
    return dots


def encode(projected: Floats, axes: Axes) -> Codes:
    """Returns the codes of projected vectors in the form that this machine compares fastest, same shape."""
    if load_numkong() is None:
        return projected
    codes: NDArray[np.int8] = _steps(projected, axes).astype(np.int8)
    return codes


def stepped(projected: Floats, axes: Axes) -> Floats:
    """Returns projected vectors as their codes of bytes know them, same shape."""
    return _steps(projected, axes) * np.float32(axes.step)


def _steps(projected: Floats, axes: Axes) -> Floats:
    steps: Floats = np.rint(projected * np.float32(1 / axes.step))
    return np.clip(steps, -BYTE_MAX, BYTE_MAX, out=steps)


def block_of(codes: Codes) -> Block:
    """Returns the codes of some rows, shape (n, components), ready to be compared."""
    numkong = load_numkong()
    if numkong is None or codes.dtype != np.int8:
        return FloatBlock(codes.astype(np.float32, copy=False))
    return ByteBlock(numkong, codes)


def axes_of(sample: Floats, rows: int) -> Axes | None:
    """Finds axes for vectors like those of a sample, with all their components and no step yet.

    Args:
        sample: Shape (n, dimension).
        rows: How many rows it stands for.

    Returns:
        None where bytes cannot say what these vectors are: numbers too great, too small or all the same.
    """
    dimension = sample.shape[1]
    with np.errstate(all="ignore"):
        centre = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = sample - centre
        peak = float(np.abs(centred).max())
        if not PEAK_MIN < peak < PEAK_MAX:
            return None
        turn: Floats | None = None
        if dimension <= TURNED_DIMENSION_MAX:
            _, columns = np.linalg.eigh((centred.T @ centred).astype(np.float64))
            turn = np.ascontiguousarray(columns[:, ::-1], dtype=np.float32)
    return Axes(centre, turn, dimension, 1.0, rows)


def narrowed(axes: Axes, components: int) -> Axes:
    """Returns axes with no more components than these."""
    if components >= axes.components:
        return axes
    turn = None if axes.turn is None else np.ascontiguousarray(axes.turn[:, :components])
    return replace(axes, turn=turn, components=components)


def cut(axes: Axes, components: int, projected: Floats, rows: int) -> Axes:
    """Returns axes with no more components than these, and with a step.

    Args:
        axes: These.
        components: How many to leave.
        projected: So many components of a sample, shape (n, components): the step is chosen by these.
        rows: How many rows the sample stands for.
    """
    peak = float(np.abs(projected).max())
    return replace(narrowed(axes, components), step=peak / BYTE_MAX or 1.0, rows=rows)
