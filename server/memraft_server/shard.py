"""What writes and reads need of a shard: on a node one that replicates, in an embedded memory a local one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from google.protobuf.message import Message

from memraft_server.machine import Command, Machine

Outcome = Message | Awaitable[Message]
"""A reply, or the promise of one, which fails with what a call raises. A local shard answers at once."""


class Shard(Protocol):
    """One shard, on this node."""

    @property
    def number(self) -> int:
        """Its number, from 0."""

    @property
    def machine(self) -> Machine:
        """What its log has been applied to so far."""

    @property
    def leads(self) -> bool:
        """Whether what is proposed here may be applied; only :meth:`read_barrier` proves it."""

    def propose(self, command: Command, request: bytes | None) -> Outcome:
        """Have a command applied, durably where the shard is durable.

        Args:
            command: admitted and checked.
            request: the encoded ``command.request`` where the caller sent bytes, else None: a shard without a
                log never needs them.

        Raises:
            Refused: the machine refused the command.
            memraft_cluster.errors.ClusterError: it was not proposed, or its outcome is unknown.
        """

    def read_barrier(self) -> Awaitable[int] | None:
        """After this, a read of the machine is linearizable. None: it is so already. Raises ClusterError."""

    def wait_applied(self, index: int) -> Awaitable[int] | None:
        """Until the machine has applied log index ``index``. None: it has already. Raises ClusterError."""

    def settle(self, time_us: int) -> Awaitable[int] | None:
        """Makes what stood at ``time_us`` final, for a read at a time after the last commit.

        From now on this shard stamps nothing at or below ``time_us``, and what it stamped before has been
        applied when this is done. None: it is done already.

        Raises:
            memraft_cluster.errors.ClusterError: at once or later; only a leader can promise it.
        """

    def age_us(self) -> int:
        """Microseconds since the machine was last known to be up to date: on the leader, since it last heard
        a quorum; 0 where there is no other node."""
