"""One suite, four backends: in process, in process on disk, and three nodes with TLS, over each engine.

A test asks for `memory` and runs once on each. It gets a namespace of its own, so that the nodes need to be
started only once.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from memraft import Memory
from memraft_server.cli.devcluster import DevCluster

PROJECTIONS = Path(__file__).resolve().parents[2] / "docs" / "projections.md"

BACKENDS = ("in process", "on disk", "three nodes", "three nodes, lean")

_numbers = count(1)


def example(directory: Path) -> Path:
    """Writes the example of docs/projections.md into a directory, as words.py; returns the directory."""
    source = PROJECTIONS.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (directory / "words.py").write_text(source, encoding="utf-8")
    return directory


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the class of docs/projections.md is, as it is registered."""
    monkeypatch.syspath_prepend(str(example(tmp_path)))
    monkeypatch.delitem(sys.modules, "words", raising=False)
    return "words:Words"


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """Three nodes and three shards, each node a process of its own."""
    directory = tmp_path_factory.mktemp("nodes")
    with DevCluster.open(directory, 3, 3, None) as cluster, pytest.MonkeyPatch.context() as patch:
        for node in cluster.plan.nodes:
            with (directory / "nodes" / node.name / "node.toml").open("a", encoding="utf-8") as config:
                config.write('\n[projections]\nclasses = ["words:Words"]\n')
        patch.setenv("PYTHONPATH", str(example(tmp_path_factory.mktemp("example"))))
        cluster.start()
        yield cluster


@pytest.fixture(params=BACKENDS)
def open_memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Memory]]:
    """Opens memories that share what they store; all are closed after the test."""
    opened: list[Memory] = []
    namespace = f"acme/test-{next(_numbers)}"

    def open_one(**options: object) -> Memory:
        where: dict[str, object] = {"agent": "support", "namespace": namespace, **options}
        if request.param.startswith("three nodes"):
            cluster: DevCluster = request.getfixturevalue("nodes")
            certs = cluster.agent_certs("acme", "support")
            where.pop("projections", None)  # the nodes have them
            where["engine"] = "lean" if request.param.endswith("lean") else "grpcio"
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
