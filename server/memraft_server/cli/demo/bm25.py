"""Plain BM25 over a handful of texts: the baseline that recall is compared with.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with Lucene's idf,
log(1 + (N - n + 0.5) / (n + 0.5)), and k1 = 1.5, b = 0.75. Words are runs of letters and digits in lower
case; no stemming and no stop words. Written here because it is forty lines: the libraries for it bring a
dependency each, and this one can be read beside the figure it stands for.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

K1 = 1.5
B = 0.75

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of `text` in lower case."""
    return _WORD.findall(text.lower())


class BM25:
    """An index over `texts`; a text is named by its place in the sequence."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [Counter(words(text)) for text in texts]
        self._lengths = np.array([counts.total() for counts in counted], dtype=np.float64)
        self._length_mean = float(self._lengths.mean()) if len(texts) and self._lengths.any() else 1.0
        postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, counts in enumerate(counted):
            for word, times in counts.items():
                postings[word].append((place, times))
        self._postings = {
            word: (np.array([p for p, _ in pairs]), np.array([t for _, t in pairs], dtype=np.float64))
            for word, pairs in postings.items()
        }

    def scores(self, query: str) -> npt.NDArray[np.float64]:
        """The score of every text, in order of place; 0 where it has no word of the query."""
        scores = np.zeros(len(self._lengths))
        for word in words(query):
            posting = self._postings.get(word)
            if posting is None:
                continue
            places, times = posting
            idf = np.log1p((len(scores) - len(places) + 0.5) / (len(places) + 0.5))
            norm = K1 * (1 - B + B * self._lengths[places] / self._length_mean)
            scores[places] += idf * times * (K1 + 1) / (times + norm)
        return scores

    def search(self, query: str, k: int) -> list[int]:
        """Returns the places of at most `k` texts, best first; ties in order of place."""
        scores = self.scores(query)
        order = np.argsort(-scores, kind="stable")[:k]
        return [int(place) for place in order if scores[place] > 0]
