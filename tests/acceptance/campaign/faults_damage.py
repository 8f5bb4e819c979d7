"""Damage to what lies on a stopped node's disk: flipped bits, cut files, files and disks that are gone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from memraft import Memory
from memraft_server.doctor import COVERED, examine
from tests.acceptance.campaign.cluster import ClusterError
from tests.acceptance.campaign.faults import RECOVERY_S_MAX, Stage, Steps, fault

LOG, STATE = "log", "state"
"""Directories below a node's data directory."""

DAMAGE_RECOVERY_S_MAX = RECOVERY_S_MAX + 10.0
"""A replica that is healed gets a snapshot and the log behind it."""

Damage = Callable[[Stage, Path], None]
SEGMENTS, TABLES = "*.log", "*.sst"
"""What the log and the state are in."""

LOG_KEEP_BYTES, LOG_KEEP_ENTRIES = 1 << 20, 100
STUFF_BYTES = 60_000
STUFF_COUNT = 40
TRIES_MAX = 100


def short_logs(stage: Stage) -> None:
    """Logs are cut early, so that the state is on disk and who comes late needs a snapshot."""
    stage.cluster.settings[""] = {
        "disk": {"log_keep_bytes": LOG_KEEP_BYTES, "log_keep_entries": LOG_KEEP_ENTRIES}
    }


def stuff(stage: Stage, settle_s: float = 1.0) -> None:
    """Writes more into every shard than its log may keep, and waits until the states are saved."""
    assert stage.load is not None
    for place in stage.load.places:
        with Memory(stage.cluster.endpoints, certs=stage.cluster.agent_certs, namespace=place) as memory:
            for number in range(STUFF_COUNT):
                memory.put(f"stuff:{number}", "x" * STUFF_BYTES)
    time.sleep(settle_s)


rebuilt = partial(fault, prepare=short_logs, recovery_s_max=DAMAGE_RECOVERY_S_MAX, hold_s=1.0)
"""A fault after which a replica is rebuilt from a snapshot and what the log has behind it."""


def _largest(directory: Path, pattern: str) -> Path:
    found = [each for each in directory.rglob(pattern) if each.is_file() and each.stat().st_size]
    if not found:
        there = sorted(each.name for each in directory.rglob("*"))
        raise ClusterError(f"{directory} has nothing like {pattern} to damage, but {there}")
    return max(found, key=_used_bytes)


def _used_bytes(path: Path) -> int:
    """Up to the last byte that is not zero: files are made larger than what is in them."""
    return len(path.read_bytes().rstrip(b"\0"))


def flip_bit(stage: Stage, path: Path, begin: float = 0.1, end: float = 0.6) -> None:
    """One bit somewhere in the given part of what the file holds."""
    content = bytearray(path.read_bytes())
    used = max(1, _used_bytes(path))
    position = stage.dice.randrange(int(used * begin), max(int(used * begin) + 1, int(used * end)))
    content[position] ^= 1 << stage.dice.randrange(8)
    path.write_bytes(content)
    stage.notes.append(f"bit flipped in {path.name} at byte {position} of {used}")


def flip_bit_that_counts(stage: Stage, directory: Path) -> None:
    """One bit of a node's log that its states do not cover: they may have been saved a moment ago, so that
    only what is near its end counts."""
    path = _largest(directory / LOG, SEGMENTS)
    whole = path.read_bytes()
    for attempt in range(1, TRIES_MAX + 1):
        flip_bit(stage, path, 1 - 0.5 * attempt / TRIES_MAX, 0.999)
        if COVERED not in examine(directory).notes:
            return
        path.write_bytes(whole)
        stage.notes.pop()
    stage.expect(False, f"no bit of {path.name} in {TRIES_MAX} counts")


def cut_file(stage: Stage, path: Path) -> None:
    """The file loses the second half of what it holds."""
    used = _used_bytes(path)
    with path.open("r+b") as file:
        file.truncate(used // 2)
    stage.notes.append(f"{path.name} cut from {used} to {used // 2} bytes")


def lose_file(stage: Stage, path: Path) -> None:
    """The file is gone."""
    path.unlink()
    stage.notes.append(f"{path.name} removed")


def damage_one(stage: Stage, name: str, place: str, pattern: str, damage: Damage) -> None:
    """Damages the largest file in a part of a node's data, and starts the node.

    It must name the damage, not go on as if nothing were, and be well again by itself.
    """
    directory = stage.cluster.data(name) / place
    path = _largest(directory, pattern)
    damage(stage, path)
    before = len(stage.cluster.log_text(name))
    stage.cluster.start_node(name)
    stage.cluster.wait_ready([name], DAMAGE_RECOVERY_S_MAX)
    said = stage.cluster.log_text(name)[before:]
    stage.expect("damage" in said.lower(), f"{name} does not say that {path.name} is damaged")
    stage.expect(str(directory) in said, f"{name} does not say where the damage is ({directory})")


def _killed_follower(stage: Stage) -> str:
    stuff(stage)
    name = stage.follower()
    stage.cluster.kill(name)
    return name


@rebuilt("flip-log", "a bit of a killed follower's log is flipped")
def flip_log(stage: Stage) -> Steps:
    """Named, set aside, healed by the others, without losing the vote."""
    damage_one(stage, _killed_follower(stage), LOG, SEGMENTS, flip_bit)
    yield


@rebuilt("cut-log", "half of a killed follower's log is cut off")
def cut_log(stage: Stage) -> Steps:
    """A clean cut between records looks like a shorter log."""
    damage_one(stage, _killed_follower(stage), LOG, SEGMENTS, cut_file)
    yield


@rebuilt("flip-state", "a bit of a killed follower's state is flipped")
def flip_state(stage: Stage) -> Steps:
    """It gets a snapshot from the leader."""
    damage_one(stage, _killed_follower(stage), STATE, TABLES, flip_bit)
    yield


@rebuilt("lose-state", "a file of a killed follower's state is gone")
def lose_state(stage: Stage) -> Steps:
    """The same, where the file is gone as a whole."""
    damage_one(stage, _killed_follower(stage), STATE, TABLES, lose_file)
    yield


@rebuilt(
    "flip-leader-log",
    "a bit of the killed leader's log is flipped; later another node is killed",
)
def flip_leader_log(stage: Stage) -> Steps:
    """Once it is whole again it counts in full: the cluster must live on with it."""
    stuff(stage)
    name = stage.leader()
    stage.cluster.kill(name)
    damage_one(stage, name, LOG, SEGMENTS, flip_bit)
    other = stage.dice.choice(stage.others(name))
    stage.cluster.kill(other)
    yield
    stage.cluster.start_node(other)


@rebuilt("wipe-follower", "a killed follower's disk is empty")
def wipe_follower(stage: Stage) -> Steps:
    """It must not vote with what it no longer knows."""
    name = _killed_follower(stage)
    shutil.rmtree(stage.cluster.data(name))
    stage.cluster.start_node(name)
    yield


@rebuilt("wipe-and-kill", "a follower's disk is empty, and all the others are killed with it", gap_s_max=None)
def wipe_and_kill(stage: Stage) -> Steps:
    """It starts first, then those that have the log: they must not be voted away by the one that forgot."""
    stuff(stage)
    name = stage.follower()
    stage.cluster.kill(*stage.names)
    shutil.rmtree(stage.cluster.data(name))
    stage.cluster.start_node(name)
    yield
    for other in stage.others(name):
        stage.cluster.start_node(other)


@rebuilt(
    "flip-majority",
    "a bit is flipped in a killed majority's logs",
    gap_s_max=None,
)
def flip_majority(stage: Stage) -> Steps:
    """Nobody knows any more what was acknowledged: the shards stop instead of guessing, until the operator
    has put back what was there."""
    stuff(stage, settle_s=0.0)
    assert stage.load is not None
    names = stage.dice.sample(stage.names, stage.majority)
    stage.cluster.kill(*names)
    for name in names:
        shutil.copytree(stage.cluster.data(name), stage.cluster.home(name) / "kept")
        flip_bit_that_counts(stage, stage.cluster.data(name))
        stage.cluster.start_node(name)
    began = time.monotonic()
    yield
    time.sleep(2.0)
    for place, times in stage.load.acknowledged.items():
        written = sum(each > began for each in times)
        stage.expect(not written, f"{written} writes were acknowledged in {place} with a majority damaged")
    for name in names:
        stage.notes.append(f"{name}: {stage.cluster.last_words(name)[:160]}")
        if stage.cluster.exit_status(name) is None:
            said = stage.cluster.not_ready(name)
            stage.expect("lost what it had acknowledged" in said, f"{name} does not say why it stops: {said}")
            stage.cluster.kill(name)
        shutil.rmtree(stage.cluster.data(name))
        (stage.cluster.home(name) / "kept").rename(stage.cluster.data(name))
        stage.cluster.start_node(name)
