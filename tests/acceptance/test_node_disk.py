"""What a node keeps on its disk for bad times."""

from __future__ import annotations

from pathlib import Path

from memraft_cluster.diskspace import BALLAST_NAME
from tests.acceptance.nodes import Nodes, run


def test_a_node_that_serves_has_its_ballast_from_the_start(tmp_path: Path) -> None:
    """Its disk may fill up and the node die in its first seconds: the next start needs the room."""
    nodes = Nodes(tmp_path)

    async def script(_: Nodes) -> None:
        assert (tmp_path / "data" / "n1" / BALLAST_NAME).exists()

    run(nodes, script)
