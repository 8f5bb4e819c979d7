"""A conversation as memories: indexes over its turns, and the candidates of its questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from memraft_server.cli.demo.locomo import Conversation, Question
from memraft_server.cli.demo.replay import said
from memraft_server.projections.text import DEFAULT_WINDOW, TextIndex, Vocabulary, Window
from memraft_server.projections.text_places import NO_ROW
from memraft_server.projections.text_terms import terms_of
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.projections.word_kinds import kinds_of
from memraft_server.recall.cues import cues_of
from memraft_server.recall.fusion import NAMES
from memraft_server.recall.moments import span_of
from memraft_server.recall.signals import CANDIDATES_EACH, Candidates, Columns, gather

Embed = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A conversation's turns in indexes, and the vectors of its questions in their order."""

    conversation: Conversation
    index: TextIndex
    columns: Columns
    vectors: Floats
    query_vectors: Floats
    places: dict[str, int]
    said_us: NDArray[np.int64]
    """When each turn was said, microseconds since the epoch; 0 where that is not known."""

    @property
    def questions(self) -> list[tuple[Question, Floats]]:
        """Those whose evidence is in the conversation, each with its vector."""
        pairs = zip(self.conversation.questions, self.query_vectors, strict=True)
        return [(question, vector) for question, vector in pairs if question.evidence]

    def nearest(self, query_vector: Floats, k: int) -> Rows:
        """The `k` rows of the highest cosine: exact search."""
        return np.argsort(-(self.vectors @ query_vector), kind="stable")[:k].astype(np.int64)

    def candidates(self, text: str, query_vector: Floats, window: Window = DEFAULT_WINDOW) -> Candidates:
        """The candidates of a question and their signals."""
        nearest = self.nearest(query_vector, CANDIDATES_EACH)
        found = gather(
            text, nearest, query_vector, self.vectors.__getitem__, self.index, self.columns, window
        )
        span_us = span_of(text, int(self.said_us.max(initial=0)))
        if span_us is not None:
            said_us = self.said_us[found.rows]
            found.signals[:, NAMES.index("dated")] = (span_us[0] <= said_us) & (said_us < span_us[1])
        return found

    def evidence(self, question: Question) -> set[int]:
        """The rows that hold the answer."""
        return {self.places[turn_id] for turn_id in question.evidence}


def remember(conversation: Conversation, embed: Embed) -> Remembered:
    """Writes the turns of a conversation into indexes; a session is a thread."""
    index, columns = TextIndex(Vocabulary()), Columns()
    session = None
    for row, turn in enumerate(conversation.turns):
        terms = terms_of(said(turn))
        index.add(terms + kinds_of(terms), row + 1, row - 1 if turn.session == session else NO_ROW)
        columns.append(turn.speaker, cues_of(turn.text, terms))
        session = turn.session
    return Remembered(
        conversation=conversation,
        index=index,
        columns=columns,
        vectors=embed([said(turn) for turn in conversation.turns]),
        query_vectors=embed([question.text for question in conversation.questions]),
        said_us=np.array([_us(turn.said_at) for turn in conversation.turns], np.int64),
        places={turn.turn_id: row for row, turn in enumerate(conversation.turns)},
    )


def _us(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1e6) if moment is not None else 0
