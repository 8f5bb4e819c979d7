"""When memories were last recalled, a number a row.

It is found by the memory's id once, and kept until that is recalled again. To ask each candidate for its id,
and for its uses by that, takes 50 us a recall: they lie wherever there was room in memory.
"""

from __future__ import annotations

import numpy as np

from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.receipts import Uses
from memraft_server.projections.text import TextIndex
from memraft_server.projections.vector_math import Rows

_UNKNOWN = -1


class LastUses:
    """The versions at which the memories of a store that is no fork were last recalled, as of now.

    Args:
        store: Of the memories.
        text: The index of the same rows.
    """

    __slots__ = ("_store", "_text", "_versions")

    def __init__(self, store: MemoryStore, text: TextIndex) -> None:
        self._store = store
        self._text = text
        self._versions: Rows = np.empty(0, np.int64)

    def of(self, rows: Rows, uses: Uses) -> Rows:
        """Returns the version of each of these rows, at least one; 0: never.

        Args:
            rows: Of memories that live.
            uses: Of the same namespace. Nobody else empties its `changed`.
        """
        versions = self._up_to_date(uses)
        found: Rows = versions.take(rows)
        if found.item(found.argmin()) < 0:
            unknown = np.flatnonzero(found < 0)
            items = self._store.items
            found[unknown] = uses.last_versions([items[row].id for row in rows[unknown].tolist()])
            versions[rows[unknown]] = found[unknown]
        return found

    def _up_to_date(self, uses: Uses) -> Rows:
        """Returns the versions of all rows, negative where they are not known."""
        versions, changed, count = self._versions, uses.changed, len(self._text)
        if changed is None:
            versions, uses.changed = np.empty(0, np.int64), []
        elif changed:
            uses.changed = []
            heads = self._store.heads_of(dict.fromkeys(changed))
            rows = self._text.rows_born([item.version for item in heads])
            last = np.array(uses.last_versions([item.id for item in heads]), np.int64)
            has = rows < len(versions)
            versions[rows[has]] = last[has]
        if len(versions) < count:
            grown = np.full(count + (count >> 3), _UNKNOWN, np.int64)
            grown[: len(versions)] = versions
            versions = grown
        self._versions = versions
        return versions
