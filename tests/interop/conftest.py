"""One server of each engine for the tests of a file; tests that harm theirs make their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.serving import ENGINES, Certificates, Serving


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority, a server, an agent and an operator."""
    directory: Path = tmp_path_factory.mktemp("certificates")
    return Certificates(directory)


@pytest.fixture(scope="module", params=ENGINES)
def serving(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Serving]:
    """With mutual TLS."""
    with Serving(request.param, certificates) as server:
        yield server


@pytest.fixture(scope="module", params=ENGINES)
def plain(request: pytest.FixtureRequest) -> Iterator[Serving]:
    """In plain text."""
    with Serving(request.param, None) as server:
        yield server
