"""A transformer such as all-MiniLM-L6-v2 from an ONNX file, without torch: `pip install memraft[onnx]`."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigurationError
from .base import Vectors, unit_rows
from .static import DATA, VOCABULARY, vocabulary
from .wordpiece import BEGIN, END

_INPUTS = frozenset(("input_ids", "attention_mask", "token_type_ids"))


class OnnxEmbedder:
    """Runs the file on the CPU; averages what it says about each piece, unless it returns one vector a text.

    Args:
        path: the model, an `.onnx` file with inputs `input_ids`, `attention_mask` and perhaps
            `token_type_ids`.
        vocabulary_path: its vocabulary, one piece a line; None: BERT's uncased one, as MiniLM's, which comes
            with the package.
        fingerprint: names the model; None: by a hash of the file.
        pieces_max: pieces of a text that are looked at, the two marks at its ends included.
        texts_max: texts that run as one; bounds the memory taken.
        threads: for one run.

    Raises:
        ConfigurationError: onnxruntime is missing, or a file is missing or of another kind.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        vocabulary_path: str | Path | None = None,
        fingerprint: str | None = None,
        pieces_max: int = 256,
        texts_max: int = 32,
        threads: int = 1,
    ) -> None:
        if pieces_max < 3 or texts_max < 1 or threads < 1:
            raise ConfigurationError("pieces_max is at least 3, texts_max and threads at least 1")
        try:
            content = Path(path).read_bytes()
            self._pieces = vocabulary(Path(vocabulary_path) if vocabulary_path else DATA / VOCABULARY)
            self._marks = self._pieces.number(BEGIN), self._pieces.number(END)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigurationError(f"no model in {path} with its vocabulary: {error}") from error
        self._session = _session(content, path, threads)
        self._inputs = [each.name for each in self._session.get_inputs()]
        if not _INPUTS.issuperset(self._inputs) or "input_ids" not in self._inputs:
            raise ConfigurationError(f"{path} has inputs {self._inputs}, not those of a BERT model")
        self._pieces_max, self._texts_max = pieces_max, texts_max
        self.fingerprint = fingerprint or f"onnx:{sha256(content).hexdigest()[:16]}:{pieces_max}:mean:unit"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Returns shape (len(texts), dimension), rows of length 1."""
        inner = self._pieces_max - 2
        begin, end = self._marks
        numbers = [[begin, *self._pieces(text, inner), end] for text in texts]
        # Texts of like length run together: the shorter are filled up to the longest.
        order = sorted(range(len(texts)), key=lambda i: len(numbers[i]))
        parts: list[Vectors] = []
        for start in range(0, len(order), self._texts_max):
            parts.append(self._run([numbers[i] for i in order[start : start + self._texts_max]]))
        if not parts:
            return np.zeros((0, 0), np.float32)
        made = np.concatenate(parts)
        vectors = np.empty_like(made)
        vectors[order] = made
        return vectors

    def _run(self, numbers: list[list[int]]) -> Vectors:
        longest = max(map(len, numbers))
        ids = np.zeros((len(numbers), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, of_text in enumerate(numbers):
            ids[row, : len(of_text)] = of_text
            mask[row, : len(of_text)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        output: npt.NDArray[np.float32] = self._session.run(
            None, {name: given[name] for name in self._inputs}
        )[0]
        if output.ndim == 3:
            weights = mask[:, :, None].astype(np.float32)
            output = (output * weights).sum(axis=1) / weights.sum(axis=1)
        return unit_rows(output, len(numbers))


def _session(content: bytes, path: str | Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigurationError("OnnxEmbedder needs onnxruntime: pip install 'memraft[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but this
        raise ConfigurationError(
            f"{path} is not a model that onnxruntime {onnxruntime.__version__} runs: {error}"
        ) from error
