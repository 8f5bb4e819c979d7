"""Kills a leader, and waits for what the cluster comes to after that."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from memraft_proto.sharding import slot_of
from memraft_server.cli.clusterview import ClusterView, Observer
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.errors import CliError

REJOIN_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.1


Say = Callable[[str], None]


class Kill(msgspec.Struct, frozen=True):
    """A leader that was killed."""

    node: str
    shard: int
    new_leader: str


async def fail_over(cluster: DevCluster, observer: Observer, namespace: str, when: str, say: Say) -> Kill:
    """Kills the leader of a namespace's shard, waits for the next one, and starts the node again.

    when: what goes on meanwhile, for `say`.
    """
    view = await asyncio.to_thread(observer.look)
    shard = shard_of(view, namespace)
    node = view.shards[shard].leader
    if not node:
        raise CliError(f"shard {shard} has no leader to kill")
    pid = cluster.pid(node)
    await asyncio.to_thread(cluster.kill_node, node)
    say(f"  {when}: SIGKILL for {node} (pid {pid}), the leader")
    leader = await leader_after(observer, shard, node)
    say(f"  {leader} leads now; {node} is started again")
    cluster.start_node(node)
    return Kill(node, shard, leader)


def shard_of(view: ClusterView, namespace: str) -> int:
    """Returns the shard that a namespace is on."""
    slot = slot_of(namespace)
    return next(s.shard for s in view.shards if s.slot_first <= slot <= s.slot_last)


async def leader_after(observer: Observer, shard: int, killed: str) -> str:
    """Returns the node that leads a shard instead of the one that was killed."""

    async def led() -> str:
        view = await asyncio.to_thread(observer.look, 1.0)
        leader = view.shards[shard].leader
        return leader if leader != killed else ""

    return await _eventually(led, f"shard {shard} has no new leader")


async def rejoined(observer: Observer, node: str) -> None:
    """Returns when a node that was started again has caught up in all shards."""

    async def caught_up() -> str:
        view = await asyncio.to_thread(observer.look, 1.0)
        lags = [r.lag for shard in view.shards for r in shard.replicas if r.node == node]
        # Under load the replica is always a few entries behind; being with the others is what counts.
        together = len(lags) == len(view.shards) and all(0 <= lag <= 5 for lag in lags)
        return node if together else ""

    await _eventually(caught_up, f"{node} did not rejoin")


async def replicas_agree(observer: Observer) -> bool:
    """Whether all replicas of every shard come to the same hash of everything they applied."""

    async def equal() -> str:
        view = await asyncio.to_thread(observer.look)
        for shard in view.shards:
            seen = {(replica.applied_index, replica.applied_hash) for replica in shard.replicas}
            if len(shard.replicas) < len(view.nodes) or len(seen) != 1:
                return ""
        return "equal"

    try:
        return bool(await _eventually(equal, "replicas differ"))
    except CliError:
        return False


async def _eventually(ask: Callable[[], Awaitable[str]], failure: str) -> str:
    deadline = time.monotonic() + REJOIN_TIMEOUT_S
    while time.monotonic() < deadline:
        answer = await ask()
        if answer:
            return answer
        await asyncio.sleep(POLL_INTERVAL_S)
    raise CliError(f"{failure} after {REJOIN_TIMEOUT_S:.0f} s")
