"""One suite, three backends: in process, in process on disk, and three nodes with mutual TLS.

A test asks for `memory` and runs once on each. It gets a namespace of its own, so that the nodes need to be
started only once.
"""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from memraft import Memory
from memraft_server.cli.devcluster import DevCluster

BACKENDS = ("in process", "on disk", "three nodes")

_numbers = count(1)


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """Three nodes and three shards, each node a process of its own."""
    with DevCluster.open(tmp_path_factory.mktemp("nodes"), 3, 3, None) as cluster:
        cluster.start()
        yield cluster


@pytest.fixture(params=BACKENDS)
def open_memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Memory]]:
    """Opens memories that share what they store; all are closed after the test."""
    opened: list[Memory] = []
    namespace = f"acme/test-{next(_numbers)}"

    def open_one(**options: object) -> Memory:
        where: dict[str, object] = {"agent": "support", "namespace": namespace, **options}
        if request.param == "three nodes":
            cluster: DevCluster = request.getfixturevalue("nodes")
            certs = cluster.agent_certs("acme", "support")
            memory = Memory(cluster.endpoints, certs=certs, **where)  # type: ignore[arg-type]
        elif opened:
            return opened[0].scoped(where["namespace"], agent=where["agent"])  # type: ignore[arg-type]
        else:
            path = tmp_path / "memory" if request.param == "on disk" else None
            memory = Memory(path=path, **where)  # type: ignore[arg-type]
        opened.append(memory)
        return memory

    yield open_one
    for memory in opened:
        memory.close()


@pytest.fixture
def memory(open_memory: Callable[..., Memory]) -> Memory:
    """One memory on a backend."""
    return open_memory()
