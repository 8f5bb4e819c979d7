"""What `memraft cluster` shows of the record and of what is under way, and how a new node is named."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from memraft_cluster.meta import (
    META_GROUP,
    AddNode,
    Bootstrap,
    Command,
    FinishRemoval,
    NodeEntry,
    Rebalance,
    Record,
    RemoveNode,
    Report,
    apply,
    bootstrap_record,
)
from memraft_proto.v1 import cluster_pb2
from memraft_server.cli import operator
from memraft_server.cli.app import build_parser
from memraft_server.cli.cluster import _new_node, _teller, facts_of, rebalance, remove_node, render
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.operator import Operator, Standing
from memraft_server.cli.output import progress

LEADER, FOLLOWER = cluster_pb2.REPLICA_ROLE_LEADER, cluster_pb2.REPLICA_ROLE_FOLLOWER


def record(*commands: Command) -> Record:
    nodes = [NodeEntry(i, f"n{i}", f"h{i}:7100", f"h{i}:7000") for i in (1, 2, 3)]
    found = apply(None, Bootstrap(bootstrap_record("test", nodes, 2))).record
    for command in commands:
        found = apply(found, command).record
    return found


def standing(found: Record, steps: dict[int, str]) -> Standing:
    """n1 leads all it says it does; n3 does not answer."""
    leads = [cluster_pb2.ReplicaStatus(shard=s, role=LEADER, term=4, step=steps.get(s, "")) for s in (0, 1)]
    of_record = cluster_pb2.ReplicaStatus(
        shard=META_GROUP, role=LEADER, term=2, step=steps.get(META_GROUP, "")
    )
    deposed = cluster_pb2.ReplicaStatus(shard=1, role=LEADER, term=3, step="of long ago")
    answers = {
        1: cluster_pb2.GetNodeStatusResponse(node_id=1, replicas=leads, record=of_record),
        2: cluster_pb2.GetNodeStatusResponse(node_id=2, replicas=[deposed]),
    }
    return Standing(found, "n1", answers)


def test_a_settled_cluster_is_shown_without_anything_under_way() -> None:
    text = render(standing(record(), {}))
    assert text.startswith(
        "cluster test, epoch 1, 3 replicas of each shard\nthe cluster's record is led by n1; n1 n2 n3"
    )
    assert "n3     3  h3:7000  h3:7100  does not answer         2      0" in text
    assert "    0  0-2047     n1 n2 n3  so      n1      n1" in text
    assert "under way" not in text


def test_what_is_under_way_is_told_with_what_it_waits_for() -> None:
    moving = record(
        AddNode("n4", "h4:7100", "h4:7000"),
        RemoveNode("n1"),
        Report(0, (1, 2, 3), (4,), 9),
    )
    seen = standing(moving, {0: "n4 is to catch up, 12,000 entries behind", META_GROUP: "n4 does not answer"})
    assert seen.pending() == [
        "shard 0, n1 n2 n3 +n4 -> n2 n3 n4: n4 is to catch up, 12,000 entries behind",
        "shard 1, n1 n2 n3 -> n2 n3 n4: about to begin",
        "the cluster's record: n4 does not answer",
    ]
    text = render(seen)
    assert "n1 n2 n3 +n4  n2 n3 n4" in text
    assert "leaving, ok" in text
    facts = facts_of(seen)
    assert facts["shards"][0]["led_by"] == "n1" and facts["pending"] == seen.pending()


def test_of_two_that_claim_to_lead_the_later_term_does_and_its_step_is_told() -> None:
    seen = standing(record(), {1: "now"})
    assert seen.leads(1) == 1 and seen.step(1) == "now"
    assert seen.misled() == ["shard 1 is to be led by n2"]
    assert Standing(record(), "", {}).step(0) == "has no leader that answers"


def test_a_line_is_told_again_where_more_than_a_number_of_entries_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    behind = "shard 0, n1 -> n4: n4 is to catch up, {} entries behind".format
    with progress(quiet=False) as shown:
        tell = _teller(shown, False)
        for lines in ([behind("900")], [behind("1,200"), "shard 1: about to begin"], [behind("0")], ["done"]):
            tell(lines)
        tell([behind("5")])
    told = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert told == [behind("900"), "shard 1: about to begin", "done", behind("5")]


def test_removed_nodes_are_remembered() -> None:
    found = record(RemoveNode("n3", force=True))
    for shard in found.shards:
        found = apply(found, Report(shard.shard, shard.replicas, (), 5)).record
    found = apply(found, Report(META_GROUP, (1, 2), (), 5)).record
    found = apply(found, FinishRemoval(3)).record
    assert render(standing(found, {})).endswith(f"removed: n3 (id 3, epoch {found.epoch})")
    assert apply(found, Rebalance()).record.staying == [1, 2]


def parsed(*arguments: str) -> argparse.Namespace:
    where = ("--endpoints", "h:1", "--insecure")
    return build_parser().parse_args(["cluster", "add-node", *arguments, *where])


def test_a_new_node_is_named_by_arguments_or_by_its_configuration(tmp_path: Path) -> None:
    named = parsed("n4", "--peer", "h:7100", "--client", "h:7000", "--id", "4")
    assert _new_node(named) == ("n4", "h:7100", "h:7000", 4)
    toml = tmp_path / "node.toml"
    toml.write_text(
        '[node]\nid = 4\nname = "n4"\ndata_dir = "data"\n[cluster]\nname = "c"\njoin = true\nnodes = [\n'
        '{ id = 1, name = "n1", peer = "a:1", client = "a:2" },\n'
        '{ id = 4, name = "n4", peer = "b:1", client = "b:2" },\n]\n[tls]\nenabled = false\n'
    )
    assert _new_node(parsed("--config", str(toml))) == ("n4", "b:1", "b:2", 4)
    assert _new_node(parsed("n4", "--config", str(toml))) == ("n4", "b:1", "b:2", 4)
    for wrong, said in (
        (("n5", "--config", str(toml)), "is the configuration of n4, not n5"),
        (("--config", str(toml), "--id", "4"), "leave out"),
        (("n4", "--peer", "h:1"), "say which node"),
        (("n4", "--peer", "h:1", "--client", "h:2", "--id", "-1"), "--id -1"),
    ):
        with pytest.raises(UsageError, match=said):
            _new_node(parsed(*wrong))


def test_a_command_that_is_interrupted_waits_for_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    class Torn:
        """What an interrupt leaves of a channel, where it comes in the middle of a call."""

        def close(self) -> None:
            raise AssertionError("it waits for ever")

    def interrupted(asks: Any, *_: object, **__: object) -> None:
        asks._observer._channels["h:1"] = Torn()
        raise KeyboardInterrupt

    answer = cluster_pb2.ChangeClusterResponse(changed=True, message="n4 leaves")
    monkeypatch.setattr(Operator, "change", lambda *_: answer)
    monkeypatch.setattr(operator, "watch", interrupted)
    where = ("--endpoints", "127.0.0.1:1", "--insecure")
    with pytest.raises(CliError, match="it goes on without this command"):
        remove_node(build_parser().parse_args(["cluster", "remove-node", "n4", *where]))


def test_nonsense_is_refused_before_anything_is_changed() -> None:
    where = ("--endpoints", "127.0.0.1:1", "--insecure")
    for number in ("0", "-1"):
        asked = build_parser().parse_args(["cluster", "rebalance", "--replicas", number, *where])
        with pytest.raises(UsageError, match=f"--replicas {number}"):
            rebalance(asked)
    for seconds in ("-1", "nan"):
        asked = build_parser().parse_args(["cluster", "remove-node", "n1", "--wait-s", seconds, *where])
        with pytest.raises(UsageError, match=f"--wait-s {seconds}"):
            remove_node(asked)
