"""Registering projections: in process, by name or class, for what is on disk already; and what is none."""

import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from memraft import ConfigurationError, Memory, ProjectionFailed
from memraft_server.config import Config, parse
from memraft_server.extensions import ProjectionUnusable, load_projections
from memraft_server.node import Node
from memraft_server.projections.protocol import Projection


class Sum:
    name: ClassVar[str] = "sum"
    kinds: ClassVar[tuple[str, ...]] = ("document",)

    def __init__(self) -> None:
        self.total = 0

    def apply(self, change: Any) -> None:
        self.total += (change.value or 0) - (change.old or 0)

    def query(self, argument: Any) -> Any:
        return self.total


class Nameless(Sum):
    name: ClassVar[str] = ""


class OfNothing(Sum):
    kinds: ClassVar[tuple[str, ...]] = ("rows",)


class Deaf:
    name = "deaf"
    kinds = ("document",)

    def query(self, argument: Any) -> Any:
        """Nothing to say."""


def test_what_is_on_disk_is_replayed(tmp_path: Path) -> None:
    with Memory(path=tmp_path / "memory") as memory:
        for number in range(1_000):
            memory.put(f"k{number % 10}", number)
    with Memory(path=tmp_path / "memory", projections=[Sum]) as memory:
        expected = sum(range(990, 1_000))
        assert memory.project("sum") == expected
        memory.put("k", 5)
        assert memory.project("sum") == expected + 5
    with Memory(path=tmp_path / "memory", projections=[f"{__name__}:Sum"]) as memory:
        assert memory.project("sum") == expected + 5


def test_many_write_while_it_is_made(tmp_path: Path) -> None:
    with Memory(path=tmp_path / "memory") as memory:
        memory.put_many({f"k{number}": 1 for number in range(5_000)})
    with Memory(path=tmp_path / "memory", projections=[Sum]) as memory:

        def write() -> None:
            for number in range(200):
                memory.put(f"more{threading.get_ident()}-{number}", 1)

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert memory.project("sum") >= 5_000
        for thread in threads:
            thread.join()
        assert memory.project("sum") == 5_600


def test_code_that_fails_stops_no_write() -> None:
    with Memory(projections=[Sum]) as memory:
        memory.put("k", "no number")
        memory.put("k", 2)
        assert memory.get("k") == 2
        with pytest.raises(ProjectionFailed, match=r"failed at document 'k', version .*: TypeError"):
            memory.project("sum")
        assert memory.projections()[0].state == "failed"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["nowhere:Sum"], "'nowhere:Sum': ModuleNotFoundError"),
        ([f"{__name__}:Other"], "AttributeError"),
        (["Sum"], "such as 'package.module:Class'"),
        (Sum, "a list of classes"),
        ("words:Words", "a list of classes"),
        ([5], "is no class"),
        ([Nameless], "name = '': a text of 1 to 128 bytes"),
        ([OfNothing], "kinds = .*'rows'.*: a tuple of some of document, state, event"),
        ([Deaf], "has no method apply"),
        ([Sum, Sum], "'sum'.* has this name, and another one, too"),
        ([Sum] * 65, "65, at most 64"),
    ],
)
def test_what_is_no_projection_is_refused(given: Any, says: str) -> None:
    with pytest.raises(ProjectionUnusable, match=says):
        load_projections(given)
    with pytest.raises(ConfigurationError, match=says):
        Memory(projections=given)


def test_a_cluster_has_its_own() -> None:
    with pytest.raises(ConfigurationError, match="projections= is for a memory in process"):
        Memory("127.0.0.1:1", insecure=True, projections=[Sum])


def test_the_class_fits_the_protocol() -> None:
    made: Projection = Sum()
    assert isinstance(made, Projection)


def node_config(path: Path, classes: list[str]) -> Config:
    tree = {
        "node": {"id": 1, "name": "n1", "data_dir": str(path)},
        "cluster": {
            "name": "c",
            "nodes": [{"id": 1, "name": "n1", "peer": "127.0.0.1:7100", "client": "127.0.0.1:7000"}],
        },
        "tls": {"enabled": False},
        "projections": {"classes": classes},
    }
    return parse(tree, "node.toml", path)


def test_a_node_does_not_begin_without_what_it_was_told_to_have(tmp_path: Path) -> None:
    with pytest.raises(ProjectionUnusable, match="nowhere:Words"):
        Node(node_config(tmp_path, ["nowhere:Words"]))
