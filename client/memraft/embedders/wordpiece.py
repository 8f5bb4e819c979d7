"""Splits text into the pieces of BERT's uncased vocabulary, as its own tokenizer does.

The method is greedy longest-match-first over words ("WordPiece", Wu et al., "Google's Neural Machine
Translation System", 2016), after the cleaning of `BertNormalizer`: controls dropped, case folded, accents
stripped, ideographs and punctuation set apart.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

WORD_CHARACTERS_MAX = 100
"""A longer word is one unknown piece."""
WORDS_CACHED_MAX = 32_768
WORD_CACHED_CHARACTERS_MAX = 64
"""What stands between white space is looked up as it is written: most texts need no more than that."""

UNKNOWN, BEGIN, END = "[UNK]", "[CLS]", "[SEP]"

_ASCII_WORDS = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
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
        self._of_written = lru_cache(maxsize=WORDS_CACHED_MAX)(self._split_written)

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
        of_word, of_short_word = self._split_written, self._of_written
        for word in _CONTROLS.sub("", text).split():
            numbers += of_short_word(word) if len(word) <= WORD_CACHED_CHARACTERS_MAX else of_word(word)
            if len(numbers) >= pieces_max:
                del numbers[pieces_max:]
                break
        return numbers

    def _split_written(self, word: str) -> tuple[int, ...]:
        """The pieces of what stands between white space, such as `(Hello,`."""
        if word.isascii():
            words = _ASCII_WORDS.findall(word.lower())
        else:
            words = "".join(map(_spaced, unicodedata.normalize("NFD", _lower(word)))).split()
        return tuple(number for each in words for number in self._split(each))

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


def _lower(text: str) -> str:
    # Character by character: `str.lower` looks at the neighbours of a Greek sigma, the tokenizer does not.
    return "".join(map(str.lower, text))


@lru_cache(maxsize=8192)
def _spaced(character: str) -> str:
    """The character as the rest of the split needs it: dropped, or set apart by blanks."""
    category = unicodedata.category(character)
    if category in ("Mn", "Cc", "Cf", "Co") or character == "\ufffd":
        return ""
    if category[0] == "P" or (character.isascii() and not character.isalnum()):
        return f" {character} "
    code = ord(character)
    if any(first <= code <= last for first, last in _IDEOGRAPHS):
        return f" {character} "
    return character
