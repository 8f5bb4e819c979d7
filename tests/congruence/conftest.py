"""One suite, four backends: in process, in process on disk, and three nodes with TLS, over either engine.

A test asks for `memory` and runs once on each. It gets a namespace of its own, so that the nodes need to be
started only once.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from memraft import Memory
from memraft_server.cli.devcluster import DevCluster

PROJECTIONS = Path(__file__).resolve().parents[2] / "docs" / "projections.md"

ENGINES = {"three nodes, grpcio": "grpcio", "three nodes, lean": "lean"}
BACKENDS = ("in process", "on disk", *ENGINES)

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


@pytest.fixture(scope="package")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], DevCluster]]:
    """Three nodes and three shards by the engine that serves, each node a process of its own. They end with
    the folder's last test: six idle processes would slow down all that comes after it."""
    started: dict[str, DevCluster] = {}
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("PYTHONPATH", str(example(tmp_path_factory.mktemp("example"))))

        def cluster_of(engine: str) -> DevCluster:
            if engine not in started:
                directory = tmp_path_factory.mktemp(engine)
                cluster = stack.enter_context(DevCluster.open(directory, 3, 3, None))
                for node in cluster.plan.nodes:
                    path = directory / "nodes" / node.name / "node.toml"
                    config = path.read_text(encoding="utf-8")
                    config = config.replace("[client]", f'[client]\nengine = "{engine}"')
                    path.write_text(config + '\n[projections]\nclasses = ["words:Words"]\n', encoding="utf-8")
                cluster.start()
                started[engine] = cluster
            return started[engine]

        yield cluster_of


@pytest.fixture
def nodes(clusters: Callable[[str], DevCluster]) -> DevCluster:
    """The three nodes with the default engine."""
    return clusters("lean")


@pytest.fixture(params=BACKENDS)
def open_memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Memory]]:
    """Opens memories that share what they store; all are closed after the test."""
    opened: list[Memory] = []
    namespace = f"acme/test-{next(_numbers)}"

    def open_one(**options: object) -> Memory:
        where: dict[str, object] = {"agent": "support", "namespace": namespace, **options}
        if engine := ENGINES.get(request.param):
            cluster: DevCluster = request.getfixturevalue("clusters")(engine)
            certs = cluster.agent_certs("acme", "support")
            where.pop("projections", None)  # the nodes have them
            where["engine"] = engine
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
