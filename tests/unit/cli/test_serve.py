"""What `memraft serve` does before the node."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from memraft_server.cli.serve import FILES_WANTED, raise_file_limit


@pytest.fixture(autouse=True)
def files() -> Iterator[tuple[int, int]]:
    """The limits of files, put back afterwards."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield limits
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_soft_limit_of_files_is_raised_to_the_hard_one(files: tuple[int, int]) -> None:
    _, most = files
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    raise_file_limit()
    wanted = FILES_WANTED if most == resource.RLIM_INFINITY else min(FILES_WANTED, most)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, most)


def test_a_limit_that_is_high_enough_stays(files: tuple[int, int]) -> None:
    raise_file_limit()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
