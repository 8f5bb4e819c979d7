"""Who leads the groups of a node, as far as that is not the core's business.

Leadership goes back to preferred leaders once they are fit again, to somebody else when this node's disk is
full, and to the best follower when this node stops; to voters only. The best is one that has applied the log,
since no other can serve at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from . import raft
from .balance import Balance
from .driver_config import Counters, DriverConfig
from .errors import DiskFull, NotLeader, TransferRefused
from .group import Group
from .group_state import Shared
from .membership import LAG_MAX

logger = logging.getLogger("memraft.driver")

FULL_HAND_OVER_TICKS = 100
"""How often a node whose disk is full tries to have others lead its groups."""


class Space(Protocol):
    """What the driver needs to know of the disk."""

    def check(self) -> DiskFull | None:
        """Measure; what to say while there is less room than is held in reserve, else None. Microseconds."""


class Host(Protocol):
    """What this needs of the driver."""

    config: DriverConfig
    counters: Counters

    @property
    def groups(self) -> Mapping[int, Group]: ...
    def connected(self) -> frozenset[int]: ...
    def mark(self, group: Group) -> None: ...


class Leadership:
    """See the module.

    Args:
        host: the driver.
        shared: where it is noted that the disk is full.
        space: of the disk; None: it is never full.
    """

    def __init__(self, host: Host, shared: Shared, space: Space | None) -> None:
        self._host = host
        self._shared = shared
        self._space = space
        self._balance = Balance(host.config.rebalance_after_ms, host.config.tick_ms)
        self._ticks = 0

    def tick(self, is_stopping: bool) -> None:
        """Call once a tick."""
        self._ticks += 1
        self.check_space()
        if self._host.config.rebalance and not is_stopping and self._balance.is_look_due():
            self._rebalance()

    def forget(self, group: int) -> None:
        """The group is gone, or prefers another leader."""
        self._balance.forget(group)

    def _rebalance(self) -> None:
        connected = self._host.connected()
        for group in self._host.groups.values():
            preferred = group.preferred_leader
            if group.role is not raft.Role.LEADER or preferred in (0, self._host.config.node_id):
                self._balance.forget(group.id)
                continue
            is_fit = False
            if preferred in connected and preferred in group.membership.voters:
                status = group.core.status()
                peer = status.peers.get(preferred)
                is_fit = (
                    peer is not None
                    and peer.active
                    and not peer.is_recovering
                    and peer.match >= status.commit
                    and status.commit - peer.applied <= LAG_MAX
                )
            if self._balance.look(group.id, is_fit):
                self._host.counters.transfers_total += 1
                fields = {"group": group.id, "to": preferred}
                logger.info("leadership goes back to the preferred leader", extra={"fields": fields})
                self.try_transfer(group, preferred)

    def heir(self, group: Group) -> int:
        """The connected voter with most of the log, the preferred leader among equals; 0 for none. One
        that has yet to apply much of it comes after all others."""
        status, connected = group.core.status(), self._host.connected()
        peers = status.peers
        fit = [
            peer
            for peer, each in peers.items()
            if peer in connected
            and peer in group.membership.voters
            and each.active
            and not each.is_recovering
            and each.state != "snapshot"
        ]

        def rank(peer: int) -> tuple[bool, int, bool]:
            found = peers[peer]
            is_close = status.commit - found.applied <= LAG_MAX
            return is_close, found.match, peer == group.preferred_leader

        return max(fit, key=rank, default=0)

    def is_heir_behind(self, group: Group) -> bool:
        """Whether there is somebody to lead the group next, who could not serve at once."""
        status, heir = group.core.status(), self.heir(group)
        return heir != 0 and status.commit - status.peers[heir].applied > LAG_MAX

    def try_transfer(self, group: Group, to: int) -> None:
        try:
            group.transfer(to)
        except (NotLeader, TransferRefused) as error:
            logger.info("leadership stays", extra={"fields": {"group": group.id, "error": str(error)}})
        else:
            self._host.mark(group)

    def check_space(self) -> None:
        """Note whether the disk is full; have others lead meanwhile."""
        if self._space is None:
            return
        shared = self._shared
        was_full, shared.disk_full = shared.disk_full, self._space.check()
        if shared.disk_full is None:
            return
        if was_full is None or self._ticks % FULL_HAND_OVER_TICKS == 0:
            for group in self._host.groups.values():
                if group.role is raft.Role.LEADER and (heir := self.heir(group)):
                    self.try_transfer(group, heir)
