"""Splits text into the pieces of BERT's uncased vocabulary, as its own tokenizer does.

The method is greedy longest-match-first over words ("WordPiece", Wu et al., "Google's Neural Machine
Translation System", 2016), after the cleaning of `BertNormalizer`: controls dropped, case folded, accents
stripped, ideographs and punctuation set apart. Most texts are ASCII, where all of that is one regular
expression.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

WORD_CHARACTERS_MAX = 100
"""A longer word is one unknown piece."""
WORDS_CACHED_MAX = 32_768

UNKNOWN, BEGIN, END = "[UNK]", "[CLS]", "[SEP]"

_ASCII_WORDS = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Turns texts into the numbers of their pieces.

    Args:
        pieces: the vocabulary; a piece's number is its place. Pieces that go on within a word begin with
            `##`.

    Raises:
        ValueError: a piece stands twice, or `[UNK]` is missing.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        self._numbers = {piece: number for number, piece in enumerate(pieces)}
        if len(self._numbers) != len(pieces) or UNKNOWN not in self._numbers:
            raise ValueError("a vocabulary has every piece once, and [UNK] among them")
        self._unknown = (self._numbers[UNKNOWN],)
        self._longest = max(len(piece) for piece in pieces)
        self._of_word = lru_cache(maxsize=WORDS_CACHED_MAX)(self._split)

    @classmethod
    def from_file(cls, path: Path) -> "WordPiece":
        """Reads a vocabulary of one piece a line."""
        return cls(path.read_text(encoding="utf-8").rstrip("\n").split("\n"))

    def number(self, piece: str) -> int:
        """The number of a piece; KeyError where the vocabulary has none such."""
        return self._numbers[piece]

    def __len__(self) -> int:
        return len(self._numbers)

    def __call__(self, text: str, pieces_max: int) -> list[int]:
        """Returns the numbers of the text's first `pieces_max` pieces."""
        numbers: list[int] = []
        of_word = self._of_word
        for word in _words(text):
            numbers += of_word(word)
            if len(numbers) >= pieces_max:
                del numbers[pieces_max:]
                break
        return numbers

    def _split(self, word: str) -> tuple[int, ...]:
        if len(word) > WORD_CHARACTERS_MAX:
            return self._unknown
        numbers: list[int] = []
        start, prefix = 0, ""
        while start < len(word):
            for end in range(min(len(word), start + self._longest), start, -1):
                number = self._numbers.get(prefix + word[start:end])
                if number is not None:
                    break
            else:
                return self._unknown  # one character that is in no piece makes the whole word unknown
            numbers.append(number)
            start, prefix = end, "##"
        return tuple(numbers)


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORDS.findall(_CONTROLS.sub("", text).lower())
    return "".join(map(_spaced, unicodedata.normalize("NFD", _lower(text)))).split()


def _lower(text: str) -> str:
    # Character by character: `str.lower` looks at the neighbours of a Greek sigma, the tokenizer does not.
    return "".join(map(str.lower, text))


@lru_cache(maxsize=8192)
def _spaced(character: str) -> str:
    """The character as the rest of the split needs it: dropped, as white space, or set apart by blanks."""
    if character in "\t\n\r" or unicodedata.category(character) == "Zs":
        return " "
    category = unicodedata.category(character)
    if category in ("Mn", "Cc", "Cf", "Co") or character == "\ufffd":
        return ""
    if category[0] == "P" or (character.isascii() and not character.isalnum()):
        return f" {character} "
    code = ord(character)
    if any(first <= code <= last for first, last in _IDEOGRAPHS):
        return f" {character} "
    return character
