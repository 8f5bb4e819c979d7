"""What the client knows of a cluster: the shard map, who leads, who answers, and its sessions. No IO.

Both facades share it; a lock makes it safe for threads. A write carries the session's client id, its
number in the session, and the lowest number without an answer, so that a shard applies it once however
often it is sent (Ongaro's thesis, section 6.3).
"""

import os
import random
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable

from memraft_proto.sharding import slot_of
from memraft_proto.v1 import cluster_pb2

SUSPECT_S = 1.0
"""How long a node that did not answer is asked after all others."""
MAP_AGE_MIN_S = 0.05
"""Having asked for the map, nobody asks again for so long."""
WINDOW = 4_000
"""Numbers of a session in use from its lowest unanswered on; a shard keeps 4,096 replies a session."""
MAP_AGE_MAX_S = 10.0
"""A map this old is asked for anew in passing: nodes may have come and gone without a call that noticed."""
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.02, 0.2
ROUTES_MAX = 65_536
"""Namespaces whose shard is remembered."""


class Session:
    """A run of numbers under one client id, for one tenant on one shard."""

    __slots__ = ("_answered", "client_id", "floor", "next")

    def __init__(self) -> None:
        self.client_id = os.urandom(16)
        self.next = 1
        self.floor = 1
        """The lowest number without an answer."""
        self._answered: set[int] = set()

    def begin(self) -> int:
        """Returns the next number."""
        number = self.next
        self.next += 1
        return number

    def end(self, number: int) -> None:
        """The call with this number has its answer, or nobody waits for one any more."""
        if number != self.floor:
            self._answered.add(number)
            return
        self.floor += 1
        while self.floor in self._answered:
            self._answered.remove(self.floor)
            self.floor += 1


class Router:
    """See the module's docstring.

    Args:
        addresses: where to ask for the map at first.
        clock_s: monotonic seconds.
        fraction: random numbers from 0 to 1.
    """

    def __init__(
        self,
        addresses: Iterable[str],
        clock_s: Callable[[], float] = time.monotonic,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self._given = tuple(addresses)
        self._clock_s = clock_s
        self._fraction = fraction
        self._lock = threading.Lock()
        self._starts: list[int] = []
        self._shards: list[int] = []
        self._replicas: dict[int, tuple[str, ...]] = {}
        self._leaders: dict[int, str] = {}
        self._nodes: tuple[str, ...] = ()
        self._suspects: dict[str, float] = {}
        self._gone: dict[str, float] = {}
        self._routes: dict[str, int] = {}
        self._seen: dict[int, int] = {}
        self._sessions: dict[tuple[int, str], Session] = {}
        self._turn = 0
        self._epoch = -1
        self._due_s = float("inf")

    @property
    def has_map(self) -> bool:
        """Whether a map was ever learnt."""
        return self._epoch >= 0

    # -- the map ---------------------------------------------------------------------------------------

    def shard_of(self, namespace: str) -> int | None:
        """Returns the shard of a namespace; None as long as there is no map."""
        found = self._routes.get(namespace)
        if found is not None:
            return found
        with self._lock:
            if not self._starts:
                return None
            shard = self._shards[bisect_right(self._starts, slot_of(namespace)) - 1]
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            self._routes[namespace] = shard
            return shard

    def learn(self, found: cluster_pb2.GetShardMapResponse) -> None:
        """Takes over a node's map. What an older map says of the shards' places is not taken over."""
        names = {node.node_id: node.address for node in found.nodes}
        routes = sorted(found.shards, key=lambda route: route.slot_first)
        with self._lock:
            self._due_s = self._clock_s() + MAP_AGE_MAX_S
            if found.epoch >= self._epoch and routes:
                if found.epoch > self._epoch:
                    self._routes.clear()
                self._epoch = found.epoch
                self._nodes = tuple(names.values())
                self._starts = [route.slot_first for route in routes]
                self._shards = [route.shard for route in routes]
                self._replicas = {
                    route.shard: tuple(names[i] for i in route.replica_node_ids if i in names)
                    for route in routes
                }
            for route in routes:
                leader = names.get(route.leader_node_id)
                if leader is not None and not self._is_gone(leader):
                    self._leaders[route.shard] = leader

    def is_map_due(self) -> bool:
        """Whether it is time to ask for the map in passing. True for one caller: nobody else is told so for a
        while."""
        if self._clock_s() < self._due_s:
            return False
        with self._lock:
            now_s = self._clock_s()
            is_due = now_s >= self._due_s
            if is_due:
                self._due_s = now_s + MAP_AGE_MAX_S
            return is_due

    def known_addresses(self) -> list[str]:
        """Every node that may be asked for the map, those that answered last first."""
        with self._lock:
            self._turn += 1
            return self._in_turn(dict.fromkeys((*self._nodes, *self._given)))

    def replicas(self, shard: int) -> list[str]:
        """The nodes that hold a shard, those that answered last first."""
        with self._lock:
            self._turn += 1
            return self._in_turn(self._replicas.get(shard) or self._nodes)

    def _in_turn(self, addresses: Iterable[str]) -> list[str]:
        found = list(addresses)
        if found:
            turn = self._turn % len(found)
            found = found[turn:] + found[:turn]
        return sorted(found, key=self._is_suspect)

    # -- leaders and suspects --------------------------------------------------------------------------

    def leader(self, shard: int) -> str | None:
        """Returns the address of the shard's leader, as far as known."""
        return self._leaders.get(shard)

    def note_leader(self, shard: int, address: str) -> bool:
        """A node says that `address` leads. False where that one could not be reached lately."""
        with self._lock:
            if self._is_gone(address):
                return False
            self._leaders[shard] = address
            if self._nodes and address not in self._nodes:
                self._due_s = self._clock_s()  # a node that has come since
            return True

    def forget_leader(self, shard: int, address: str) -> None:
        """`address` does not lead the shard."""
        with self._lock:
            if self._leaders.get(shard) == address:
                del self._leaders[shard]

    def suspect(self, address: str, is_gone: bool) -> None:
        """A node did not answer: for a while it is asked last, and leads nothing until somebody says so.

        Args:
            address: the node.
            is_gone: it could not be reached at all: for a while nobody is believed who says that it leads.
        """
        with self._lock:
            until_s = self._clock_s() + SUSPECT_S
            self._suspects[address] = until_s
            if is_gone:
                self._gone[address] = until_s
            self._leaders = {shard: each for shard, each in self._leaders.items() if each != address}

    def clear(self, address: str) -> None:
        """A node answered."""
        if address in self._suspects:
            self._suspects.pop(address, None)
            self._gone.pop(address, None)

    def _is_suspect(self, address: str) -> bool:
        return self._suspects.get(address, 0.0) > self._clock_s()

    def _is_gone(self, address: str) -> bool:
        return self._gone.get(address, 0.0) > self._clock_s()

    def backoff_s(self, tries: int) -> float:
        """Seconds to wait before try number `tries` (from 0): doubling up to a bound, half of it random."""
        most = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(tries, 16))
        return most * (0.5 + 0.5 * self._fraction())

    # -- sessions --------------------------------------------------------------------------------------

    def begin(self, shard: int, tenant: str) -> tuple[Session, int]:
        """Returns the session for a write and the write's number in it. Call `end` whatever becomes of it."""
        with self._lock:
            session = self._sessions.get((shard, tenant))
            # One call that waits long keeps the replies of all that follow it; a new session does not wait.
            if session is None or session.next - session.floor >= WINDOW:
                session = self._sessions[shard, tenant] = Session()
            return session, session.begin()

    def renew(self, shard: int, tenant: str, expired: Session) -> None:
        """The shard no longer keeps a session."""
        with self._lock:
            if self._sessions.get((shard, tenant)) is expired:
                del self._sessions[shard, tenant]

    def end(self, session: Session, number: int) -> None:
        """A write has its answer, or nobody waits for one any more."""
        with self._lock:
            session.end(number)

    def seen(self, shard: int) -> int:
        """Returns the highest log index of a shard that this client has seen."""
        return self._seen.get(shard, 0)

    def note_seen(self, shard: int, index: int) -> None:
        """This client has seen a log index of a shard: its later session reads will not go behind it."""
        if index > self._seen.get(shard, 0):
            with self._lock:
                if index > self._seen.get(shard, 0):
                    self._seen[shard] = index
