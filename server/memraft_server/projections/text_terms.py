"""Turns text into the terms that it is found by: words in lower case, without stop words, cut to their stem.

English: a list of stop words with the remains of contractions ("don", "ll"), and the Snowball project's
stemmer Porter2 (PyStemmer, its own C code, the same on every machine), before it irregular forms and a few
short ones are put back to the word they are of. Words of other languages go through the same stemmer, which
leaves most of them whole, so they are found by their exact form; where no spaces are between words they are
found by pairs of characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import add
from unicodedata import normalize

import Stemmer

from memraft_server.projections.word_forms import BASES

WORD_CHARS_MAX = 64
"""Longer runs of letters and digits (keys, hashes, encoded data) are cut to this many characters."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u3400-\u9fff"
)
"""Thai, Lao, Burmese, Khmer, kana and Han: no spaces are between words."""
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")
_RUN = re.compile(f"[{_UNSPACED}]{{3,}}")
_APART = {code: " " for code in range(128) if not chr(code).isalnum()}
"""For ASCII alone, where it takes a fifth of the time."""

_STOP_WORDS_TEXT = """
a about above after again against all am an and any are as at be because been before being below between
both but by can could d did do does doing don down during each few for from further had has have having
he her here hers herself him himself his how i if in into is it its itself just ll m me more most my
myself no nor not now of off on once only or other our ours ourselves out over own re s same she should
so some such t than that the their theirs them themselves then there these they this those through to
too under until up ve very was we were what when where which while who whom why will with would you your
yours yourself yourselves
"""

STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())

KNOWN_MAX = 1 << 15
"""Words whose terms are kept: some 4 MB. One more, and all are forgotten, which takes a millisecond."""

_stem = Stemmer.Stemmer("english", 0).stemWord
"""Without a cache of its own, which takes 2 ms to be cleaned every thousand texts or so."""


class _Terms(dict[str, str]):
    """A word -> its term, empty for a stop word. Most of what is said are words that were said before, and to
    look them up takes a third of the time."""

    def __missing__(self, word: str) -> str:
        cut = word[:WORD_CHARS_MAX]
        term: str = "" if word in STOP_WORDS else _stem(BASES.get(cut, cut))
        if len(word) <= WORD_CHARS_MAX:
            if len(self) >= KNOWN_MAX:
                self.clear()
            self[word] = term
        return term


_TERMS = _Terms()


def _parts(word: str) -> Iterable[str]:
    """A word; where none are set apart, each pair of neighbouring characters, as Lucene's CJKAnalyzer."""
    return map(add, word, word[1:]) if _RUN.match(word) else (word,)


def _said(text: str) -> list[str]:
    """The runs of letters and digits of a text in lower case."""
    lower = text.lower()
    if lower.isascii():
        return lower.translate(_APART).split()
    # One letter may be written as one character or as two, or in full width.
    lower = normalize("NFKC", lower).lower()
    return [part for word in _WORD.findall(lower) for part in _parts(word)]


def terms_of(text: str) -> list[str]:
    """The terms of a text in their order; a term stands there as often as it was said."""
    terms = _TERMS
    return [term for word in _said(text) if (term := terms[word])]
