"""How a cluster began is written down once, and the configuration is not asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memraft_cluster.errors import DataDirectoryError
from memraft_server.bootstrap import FILE, pinned_record
from memraft_server.config import Config, ConfigError, parse


def config(directory: Path, count: int = 3, **cluster: Any) -> Config:
    nodes = [
        {"id": i, "name": f"n{i}", "peer": f"h{i}:7100", "client": f"h{i}:7000"} for i in range(1, count + 1)
    ]
    tree = {
        "node": {"id": 1, "name": "n1", "data_dir": str(directory)},
        "cluster": {"name": "test", "nodes": nodes, "shards": 4, **cluster},
        "tls": {"enabled": False},
    }
    return parse(tree, "node.toml", directory)


def test_the_first_start_pins_what_the_configuration_says(tmp_path: Path) -> None:
    began = pinned_record(config(tmp_path))
    assert began is not None and began.epoch == 0
    assert [node.name for node in began.nodes] == ["n1", "n2", "n3"]
    assert all(shard.replicas == (1, 2, 3) for shard in began.shards)
    assert pinned_record(config(tmp_path, count=5)) == began
    assert pinned_record(config(tmp_path, join=True)) == began


def test_a_node_that_joins_begins_with_nothing_even_when_it_is_told_otherwise_later(tmp_path: Path) -> None:
    assert pinned_record(config(tmp_path, join=True)) is None
    assert pinned_record(config(tmp_path)) is None


def test_more_nodes_than_replicas_begin_with_three_of_each_shard_or_as_configured(tmp_path: Path) -> None:
    five = pinned_record(config(tmp_path / "a", count=5))
    assert five is not None and {len(shard.replicas) for shard in five.shards} == {3}
    all_five = pinned_record(config(tmp_path / "b", count=5, replicas=5))
    assert all_five is not None and {len(shard.replicas) for shard in all_five.shards} == {5}


def test_a_missing_file_beside_a_log_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    assert pinned_record(config(tmp_path)) is not None  # an empty directory is none
    (tmp_path / "log" / "HEAD").write_bytes(b"x")
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text[:-20])
    with pytest.raises(DataDirectoryError, match=r"bootstrap\.json is damaged"):
        pinned_record(config(tmp_path))
    (tmp_path / FILE).unlink()
    with pytest.raises(DataDirectoryError, match=r"bootstrap\.json is missing beside a log"):
        pinned_record(config(tmp_path))


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"replicas": 4}, "cluster.replicas: 4 replicas of a shard need as many nodes; cluster.nodes has 3"),
        ({"replicas": -1}, "cluster.replicas: -1"),
    ],
)
def test_a_beginning_that_cannot_be_is_refused(tmp_path: Path, cluster: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(tmp_path, **cluster)
    with pytest.raises(ConfigError, match=r"cluster\.join: .* must name one of its nodes, too"):
        config(tmp_path, count=1, join=True)
