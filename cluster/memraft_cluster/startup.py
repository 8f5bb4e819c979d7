"""What happens to a group before the driver's task takes it over: its state is loaded, what follows replayed.

The state store and the log are two files of one history, and a crash may have come between two writes:

* The state ends within the log: what is committed behind it is replayed.
* The state ends beyond the log, or where the log has another entry: a snapshot was put into force, and the
  crash came before the log was emptied. Nothing in that log counts any more.
* The state ends before the log begins: the store was lost or damaged. Entries are missing that this replica
  has acknowledged, so it is not whole: it neither votes nor leads until it has a state from the others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from . import raft
from .driver_config import DriverConfig
from .errors import LogCorrupted
from .group import Group
from .group_state import GroupSpec, Shared
from .groups import group_name
from .log import DurableLog
from .raft import SnapshotMeta

logger = logging.getLogger("memraft.driver")

REPLAY_SLICE_S = 0.01
"""How long replay holds the loop before it lets others run."""
ENTRY_ROOM_BYTES = 1 << 20
"""What an entry may hold beside one command of the largest size."""

START_ID_BITS = 62

Progress = Callable[[int, str, int, int], None]
"""(group, "load" or "replay", done so far, to do; 0 when not known); while a group starts."""


class RunJob(Protocol):
    """Has something done to the log while nobody else writes to it."""

    async def __call__(self, job: Callable[[], None]) -> None: ...


async def start_group(
    config: DriverConfig,
    log: DurableLog,
    group: int,
    spec: GroupSpec,
    shared: Shared,
    *,
    run_job: RunJob,
    seed: int,
    progress: Progress | None = None,
) -> Group:
    """Load a group's state, replay what is committed behind it, make its core. Holds the loop in slices only.

    Raises:
        LogCorrupted: a damaged entry, or entries or a state without the term and vote they came with.
    """
    report = progress or _silent
    machine = spec.machine
    await machine.load(lambda done, total: report(group, "load", done, total))
    saved = machine.saved()
    await _reconcile(log, group, saved, run_job)
    applied = saved.index if saved is not None else 0
    state = log.hard_state(group)
    if state is not None:
        applied = max(applied, await _replay(log, group, spec, applied, state.commit, report))
    core = make_core(config, log, group, spec, applied, seed)
    loop = asyncio.get_running_loop()
    return Group(group, spec, core, shared, loop)


async def _reconcile(log: DurableLog, group: int, saved: SnapshotMeta | None, run_job: RunJob) -> None:
    """Bring the log to where replay can begin behind the state."""
    storage, state = log.group(group), log.hard_state(group)
    base = storage.base()
    if state is None:
        if storage.last_index() or saved is not None:
            what = "entries" if storage.last_index() else f"a state up to index {saved.index if saved else 0}"
            raise LogCorrupted(log.path, f"{group_name(group)} has {what} but no term and vote", group)
        return
    reached = saved.index if saved is not None else 0
    if reached < (base.index if base is not None else 0):
        fields = {"group": group, "state": reached, "log_begins_behind": base.index if base else 0}
        logger.error("the state is lost: no vote until there is another", extra={"fields": fields})
        # First that the replica is not whole: a crash in between must not leave it voting with nothing.
        not_whole = msgspec.structs.replace(state, is_whole=False)
        await run_job(lambda: log.append(group, (), not_whole))
        await run_job(lambda: log.reset(group, saved))
    elif saved is not None and (reached > storage.last_index() or storage.term(reached) != saved.term):
        fields = {"group": group, "state": reached, "log_ended": storage.last_index()}
        logger.info("the state is newer than the log, which begins anew", extra={"fields": fields})
        if saved.term > state.term:
            # A log may not begin in a later term than is known. No vote was given in it: that would be on
            # disk.
            known = msgspec.structs.replace(state, term=saved.term, vote=0)
            await run_job(lambda: log.append(group, (), known))
        await run_job(lambda: log.reset(group, saved))


async def _replay(
    log: DurableLog, group: int, spec: GroupSpec, applied: int, commit: int, report: Progress
) -> int:
    """Apply what is committed behind ``applied``; returns the last index."""
    if commit <= applied:
        return applied
    slice_end = time.monotonic() + REPLAY_SLICE_S
    for entry in log.replay(group, applied + 1, commit + 1):
        if entry.data and entry.kind is raft.EntryKind.COMMAND:
            spec.machine.apply(entry.index, entry.data, None)
        if time.monotonic() > slice_end:
            report(group, "replay", entry.index - applied, commit - applied)
            await asyncio.sleep(0)
            slice_end = time.monotonic() + REPLAY_SLICE_S
    report(group, "replay", commit - applied, commit - applied)
    return commit


def make_core(
    config: DriverConfig, log: DurableLog, group: int, spec: GroupSpec, applied: int, seed: int
) -> raft.Core:
    """The core of a group whose machine has applied everything up to ``applied``."""
    core_config = raft.Config(
        id=config.node_id,
        voters=spec.voters,
        learners=spec.learners,
        election_ticks=config.election_ticks,
        heartbeat_ticks=config.heartbeat_ticks,
        entry_bytes_max=config.command_bytes_max + config.entry_bytes_target + ENTRY_ROOM_BYTES,
        proposals_bytes_max=config.proposals_bytes_max,
        committed_bytes_max=config.committed_bytes_max,
        cache_bytes_max=config.log_cache_bytes_max,
        commit_notices=config.commit_notices,
        seed=seed + group,
        start_id=secrets.randbits(START_ID_BITS),
        preferred=spec.preferred_leader == config.node_id,
    )
    return raft.Core(core_config, log.group(group), log.hard_state(group), applied)


def _silent(group: int, phase: str, done: int, total: int) -> None:
    pass
