"""Clusters of processes of their own for the tests of a file, which may harm them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memraft_server.cli.devcluster import DevCluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """Three nodes and three shards."""
    with DevCluster.open(tmp_path_factory.mktemp("cluster"), 3, 3, None) as cluster:
        cluster.start()
        yield cluster


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """One node and one shard."""
    with DevCluster.open(tmp_path_factory.mktemp("node"), 1, 1, None) as cluster:
        cluster.start()
        yield cluster
