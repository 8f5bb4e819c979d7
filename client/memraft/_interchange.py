"""The seam to OpenTelemetry, whose messages are a package that only export and import of traces need."""

from typing import Any, Literal, Protocol

import msgspec

from .errors import ConfigurationError
from .types import Run
from .types_traces import NewTrace, TraceTree


class ImportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of one run."""

    run: str
    inputs: Any
    outputs: Any
    status: Literal["succeeded", "failed"] | None
    """None: it does not say that it ended."""
    traces: tuple[NewTrace, ...]
    """Parents before their children."""
    left_out: int
    """How many spans are none of them."""
    origin: dict[str, Any]
    """What is remembered of where they are from."""
    is_empty: bool
    """Whether there is nothing to store: it has no traces, and the file does not say that it was a run."""


class Otlp(Protocol):
    """Between traces and OTLP/JSON."""

    def export_run(self, namespace: str, run: Run, tree: TraceTree) -> bytes:
        """Returns a run as OTLP/JSON."""

    def read_runs(self, data: bytes | str, run: str) -> list[ImportedRun]:
        """Returns what an OTLP/JSON file says. Raises InvalidArgument."""


def otlp() -> Otlp:
    """Returns what reads and writes OTLP. Raises ConfigurationError where its package is missing."""
    try:
        from . import _otlp
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise ConfigurationError(
            "OpenTelemetry's messages are not installed: pip install 'memraft[otel]'"
        ) from error
    return _otlp
