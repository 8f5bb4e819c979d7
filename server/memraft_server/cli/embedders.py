"""`--embedder`: what makes embeddings of texts, as typed on a command line."""

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from memraft_server.cli.errors import CliError, UsageError

if TYPE_CHECKING:
    from memraft import Memory

EMBEDDER_VARIABLE = "MEMRAFT_EMBEDDER"
KEY_VARIABLE = "MEMRAFT_EMBEDDER_KEY"
FORMS = "static, hashed[:DIMENSION], onnx:FILE, endpoint:URL#MODEL or MODULE:NAME"
_HASHED = "hashed-ngrams-v1:"


def add_embedder(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds --embedder; `what` says for what it is."""
    parser.add_argument(
        "--embedder",
        metavar="WHICH",
        default=os.environ.get(EMBEDDER_VARIABLE),
        help=f"{what}: {FORMS} (or {EMBEDDER_VARIABLE}; a service's key is read from {KEY_VARIABLE})",
    )


def embedder_of(which: str) -> Any:
    """Makes the embedder that `which` names.

    Raises:
        UsageError: it names none.
        ConfigurationError: of `memraft`: its file is missing, or the like.
    """
    from memraft.embedders import EndpointEmbedder, HashedNgrams, OnnxEmbedder, StaticEmbedder

    kind, _, rest = which.partition(":")
    if which == "static":
        return StaticEmbedder()
    if kind == "hashed" and (not rest or (rest.isascii() and rest.isdigit() and int(rest))):
        return HashedNgrams(int(rest)) if rest else HashedNgrams()
    if kind == "onnx" and rest:
        return OnnxEmbedder(rest)
    if kind == "endpoint" and "#" in rest:
        url, _, model = rest.rpartition("#")
        return EndpointEmbedder(url, model, api_key=os.environ.get(KEY_VARIABLE))
    if rest and all(map(str.isidentifier, (*kind.split("."), *rest.split(".")))):
        return _imported(kind, rest)
    raise UsageError(f"--embedder is {FORMS}, not {which!r}")


def _imported(module: str, name: str) -> Any:
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--embedder {module}:{name}: {error}") from error
    finally:
        sys.path.remove(os.getcwd())
    return found() if isinstance(found, type) else found


def fitting(memory: "Memory", arguments: argparse.Namespace, **read: Any) -> "Memory":
    """Returns the memory with the embedder that --embedder names, else the one whose embeddings it has.

    Args:
        memory: as it was opened.
        arguments: as parsed.
        read: as of when it is read, and how fresh.

    Raises:
        CliError: its embeddings are by a model that is not part of the package.
    """
    from memraft.embedders import HashedNgrams

    if arguments.embedder:
        return memory.with_embedder(embedder_of(arguments.embedder))
    models = memory.embedding_models(**read)
    if memory.embedder_fingerprint in (models.fingerprint, models.next_fingerprint) or not models.fingerprint:
        return memory
    if models.fingerprint == f"{_HASHED}{models.dimension}":
        return memory.with_embedder(HashedNgrams(models.dimension))
    raise CliError(
        f"the memories of {arguments.namespace} are embedded by {models.fingerprint!r}: say which embedder "
        f"that is with --embedder {FORMS}"
    )
