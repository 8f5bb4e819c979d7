"""How long the means of the vectors in windows are: what cosines with these means are divided by.

It is the same for every query, and takes longer to find than all else of a cosine. So it is kept with the
embeddings, four bytes a row, until a vector of the window comes or goes.
"""

from __future__ import annotations

import numpy as np

from memraft_server.projections.embedded import Embedded
from memraft_server.projections.text import TextIndex, Windows
from memraft_server.projections.vector_math import Floats, Rows

_REACH = 2
"""The longest way of `text.DEFAULT_WINDOW` from a row to another."""
_UNKNOWN = np.float32(-1)


def mean_lengths(known: Floats, index: Rows, weights: Floats) -> Floats:
    """Returns the lengths of weighted sums of vectors.

    Args:
        known: The vectors, shape (vectors, dimension).
        index: Which of them each sum is of, shape (places, sums).
        weights: Of the same shape.
    """
    means = known.take(index[0], axis=0)
    means *= weights[0][:, None]
    part = np.empty_like(means)
    for places, share in zip(index[1:], weights[1:], strict=True):
        known.take(places, axis=0, out=part, mode="clip")  # of the modes the one that copies once
        part *= share[:, None]
        means += part
    lengths: Floats = np.sqrt(np.einsum("rv,rv->r", means, means))
    return lengths


def lengths_now(embedded: Embedded, text: TextIndex, rows: Rows, windows: Windows, known: Floats) -> Floats:
    """Returns the lengths of the means of these windows, which are as of now and of the default form.

    Args:
        embedded: Has the vectors, and the lengths that are known.
        text: The index of the same rows.
        rows: That the windows are around.
        windows: Of them.
        known: The vectors of `windows.needed`.
    """
    lengths = _up_to_date(embedded, text)
    found: Floats = lengths.take(rows)
    if found.item(found.argmin()) < 0:
        unknown = np.flatnonzero(found < 0)
        found[unknown] = mean_lengths(known, windows.index[:, unknown], windows.weights[:, unknown])
        lengths[rows[unknown]] = found[unknown]
    return found


def _up_to_date(embedded: Embedded, text: TextIndex) -> Floats:
    """Returns the lengths of all rows, negative where they are not known."""
    lengths, changed, count = embedded.lengths, embedded.changed, len(text)
    if changed is None:
        lengths, embedded.changed = np.empty(0, np.float32), []
    elif changed:
        embedded.changed = []
        rows = text.neighbours(np.array(changed, np.int64), _REACH)
        lengths[rows[rows < len(lengths)]] = _UNKNOWN
    if len(lengths) < count:
        grown = np.full(count + (count >> 3), _UNKNOWN)
        grown[: len(lengths)] = lengths
        lengths = grown
    embedded.lengths = lengths
    return lengths
