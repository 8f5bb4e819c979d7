"""The settings of one member of one group, checked once, frozen after that."""

from __future__ import annotations

from dataclasses import dataclass

from memraft_cluster.raft.errors import ConfigError

_KIB = 1024
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Config:
    """How one core behaves. Time is counted in ticks, whose length the driver chooses.

    Raises `ConfigError` naming the setting when a value cannot work.
    """

    id: int
    """This node, 1 or more; 0 means nobody."""

    voters: tuple[int, ...]
    """The voters that a group begins with; not looked at once the log says who belongs to it. Empty, or
    without this node, on one that joins a group later and waits to be contacted."""

    learners: tuple[int, ...] = ()
    """The learners that a group begins with: they receive the log and do not vote."""

    election_ticks: int = 10
    """A follower campaigns after 1 to 2 times this many ticks without a leader (thesis §3.4), a leader steps
    down when it has not heard from a quorum for as long, and a transfer of leadership gives up after it."""

    heartbeat_ticks: int = 1
    """A leader sends a heartbeat every so many ticks."""

    inflight_messages_max: int = 64
    """How many appends may be under way to one follower without an answer."""

    inflight_bytes_max: int = 4 * _MIB
    """How many bytes of entries may be under way to one follower; one message may pass the bound."""

    entry_batch_bytes_max: int = 256 * _KIB
    """How many bytes of entries one message carries; a larger entry travels alone."""

    entry_bytes_max: int = 16 * _MIB
    """How large one proposal may be."""

    proposals_bytes_max: int = 32 * _MIB
    """How many bytes may be proposed and not yet committed before proposals are refused as overload."""

    reads_waiting_max: int = 16384
    """How many reads may wait for their round before further ones are refused as overload."""

    committed_bytes_max: int = 4 * _MIB
    """How many bytes of committed entries one Ready hands out, so that a restart works in pages."""

    cache_bytes_max: int = 8 * _MIB
    """How many bytes of durable entries stay in memory, so that followers are not served from disk."""

    commit_notices: bool = True
    """Tell followers at once that the commit index moved when no entry follows that could carry it. Without
    this they learn it with the next append or heartbeat: fewer messages, staler followers."""

    seed: int = 0
    """Seeds the jitter of election timeouts, together with `id`."""

    start_id: int = 0
    """Tells this start of the node from all others, so that no answer to a question asked before it is taken
    for one asked now: a random number, or one counted on disk. Only one that lost its disk needs it."""

    preferred: bool = False
    """Campaign early while the group has never had a term, so that the leaders of many groups spread."""

    def __post_init__(self) -> None:
        for name in (
            "id",
            "election_ticks",
            "heartbeat_ticks",
            "inflight_messages_max",
            "inflight_bytes_max",
            "entry_batch_bytes_max",
            "entry_bytes_max",
            "proposals_bytes_max",
            "reads_waiting_max",
            "committed_bytes_max",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.cache_bytes_max < 0:
            raise ConfigError(f"cache_bytes_max = {self.cache_bytes_max}: must be at least 0")
        if self.election_ticks <= self.heartbeat_ticks:
            raise ConfigError(
                f"election_ticks = {self.election_ticks}: "
                f"must exceed heartbeat_ticks = {self.heartbeat_ticks}"
            )
        members = self.voters + self.learners
        if len(set(members)) != len(members) or min(members, default=1) < 1:
            raise ConfigError(
                f"voters = {self.voters}, learners = {self.learners}: ids must be distinct and at least 1"
            )
