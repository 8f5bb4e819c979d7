"""What happens to a group before the driver's task takes it over: its machine is rebuilt, its core made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from . import raft
from .driver_config import DriverConfig
from .errors import LogCorrupted
from .group import GroupSpec
from .log import DurableLog

REPLAY_SLICE_S = 0.01
"""How long replay holds the loop before it lets others run."""
ENTRY_ROOM_BYTES = 1 << 20
"""What an entry may hold beside one command of the largest size."""

Progress = Callable[[int, int, int], None]
"""(group, entries applied so far, entries to apply); during replay."""


async def replay(log: DurableLog, group: int, spec: GroupSpec, progress: Progress | None) -> None:
    """Rebuild a group's machine by applying its whole committed log.

    A machine that keeps its own state on disk, and so needs only what follows it, comes with snapshots.

    Raises:
        LogCorrupted: a damaged entry, or entries without the term and vote they were written with.
    """
    state = log.hard_state(group)
    if state is None:
        if log.group(group).last_index():
            raise LogCorrupted(log.path, f"group {group} has entries but no term and vote", group)
        return
    slice_end = time.monotonic() + REPLAY_SLICE_S
    for entry in log.replay(group, 1, state.commit + 1):
        if entry.data and entry.kind is raft.EntryKind.COMMAND:
            spec.machine.apply(entry.index, entry.data, None)
        if time.monotonic() > slice_end:
            if progress is not None:
                progress(group, entry.index, state.commit)
            await asyncio.sleep(0)
            slice_end = time.monotonic() + REPLAY_SLICE_S
    if progress is not None:
        progress(group, state.commit, state.commit)


def make_core(config: DriverConfig, log: DurableLog, group: int, spec: GroupSpec, seed: int) -> raft.Core:
    """The core of a group whose machine has applied what is committed on this disk."""
    state = log.hard_state(group)
    core_config = raft.Config(
        id=config.node_id,
        voters=config.peers,
        election_ticks=config.election_ticks,
        heartbeat_ticks=config.heartbeat_ticks,
        entry_bytes_max=config.command_bytes_max + config.entry_bytes_target + ENTRY_ROOM_BYTES,
        proposals_bytes_max=config.proposals_bytes_max,
        committed_bytes_max=config.committed_bytes_max,
        commit_notices=config.commit_notices,
        seed=seed + group,
        preferred=spec.preferred_leader == config.node_id,
    )
    return raft.Core(core_config, log.group(group), state, state.commit if state is not None else 0)
