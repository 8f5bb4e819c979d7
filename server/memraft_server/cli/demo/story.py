"""The demo from beginning to end: agents at work, the leader killed under load and back again, the audit."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import msgspec

from memraft import AsyncMemory, MemraftError
from memraft_server.cli.clusterview import ClusterView, Observer
from memraft_server.cli.demo.agents import Diary, Known, intake, knowledge, resolution, stream_of
from memraft_server.cli.demo.audit import Audit, audit
from memraft_server.cli.demo.desk import Desk
from memraft_server.cli.demo.failover import POLL_INTERVAL_S, leader_after, rejoined, replicas_agree, shard_of
from memraft_server.cli.demo.ledger import Ledger
from memraft_server.cli.demo.tickets import CUSTOMERS, STORY_CUSTOMER, Ticket, tickets
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.errors import CliError
from memraft_server.cli.figures import Latencies

TENANT = "acme"
NAMESPACE = "acme/support"
LOAD_NAMESPACES = (NAMESPACE, NAMESPACE, "acme/web", "acme/shop")
"""A load writer for each; the agents' own namespace stays the busiest."""

CLIENT_TIMEOUT_S = 30.0
"""What a call may take in all, retries included: longer than any election."""

QUESTION = "status of the refund"

Say = Callable[[str], None]


class Pace(msgspec.Struct, frozen=True):
    """How much happens and how fast. `down_s`: how long the killed node stays away."""

    customers: int
    rounds: int
    ticket_s: float
    load_s: float
    down_s: float


FULL = Pace(customers=len(CUSTOMERS), rounds=4, ticket_s=0.8, load_s=0.02, down_s=4.0)
QUICK = Pace(customers=2, rounds=4, ticket_s=0.1, load_s=0.02, down_s=0.5)


class Kill(msgspec.Struct, frozen=True):
    """The kill. Times in seconds since the books were opened, but `log_index` and `at`: the moment before."""

    node: str
    shard: int
    shard_writes: int
    killed_at_s: float
    new_leader: str
    leaderless_s: float
    restarted_at_s: float
    rejoined_after_s: float
    pause_s: float
    log_index: int
    at: datetime


class RecallShown(msgspec.Struct, frozen=True):
    """The same question, asked of now and of the moment before the kill."""

    question: str
    about: str
    before: str
    now: str


class Chains(msgspec.Struct, frozen=True):
    """What recomputing the hash chains of all ticket streams found."""

    streams: int
    events: int
    broken: list[str]


class Outcome(msgspec.Struct, frozen=True):
    """All that the demo found out."""

    nodes: int
    shards: int
    seconds: float
    tickets: int
    resolved: int
    without_order_number: int
    asked_again: int
    known: list[Known]
    kill: Kill
    recall: RecallShown
    chains: Chains
    replicas_agree: bool
    audit: Audit
    failures: dict[str, int]
    latencies: dict[str, Latencies]

    @property
    def good(self) -> bool:
        """Whether every promise held."""
        return self.audit.complete and not self.chains.broken and self.replicas_agree


class Story:
    """One run of the demo on a cluster whose nodes are ready.

    say: told a line about each event of note; report: told, several times a second, how far it is.
    """

    def __init__(self, cluster: DevCluster, pace: Pace, say: Say, report: Say) -> None:
        self._cluster = cluster
        self._pace = pace
        self._say = say
        self._report = report
        self._ledger = Ledger()
        self._diary = Diary()
        self._over = asyncio.Event()
        self._half = asyncio.Event()
        self._clients = AsyncExitStack()
        self._memories: dict[str, AsyncMemory] = {}

    async def run(self) -> Outcome:
        """Plays it and returns what came of it."""
        began = time.monotonic()
        arriving = tickets(self._pace.customers, self._pace.rounds)
        async with self._clients:
            with Observer(self._cluster.endpoints.split(","), self._cluster.operator_certs) as observer:
                desks = {name: await self._desk(name) for name in ("intake", "knowledge", "resolution")}
                for number, namespace in enumerate(LOAD_NAMESPACES):
                    desks[f"load-{number}"] = await self._desk(f"load-{number}", namespace)
                async with asyncio.TaskGroup() as work:
                    load = [
                        work.create_task(self._load(desks[f"load-{number}"], number))
                        for number in range(len(LOAD_NAMESPACES))
                    ]
                    agents = self._agents(work, desks, arriving)
                    watching = work.create_task(self._watch())
                    kill = await self._kill_and_restart(observer, desks["resolution"])
                    await asyncio.wait(agents)
                    self._over.set()
                    await asyncio.wait([*load, watching])
                return await self._sum_up(observer, desks["resolution"], arriving, kill, began)

    async def _desk(self, agent: str, namespace: str = NAMESPACE) -> Desk:
        """A client of its own, with a certificate of its own, for each agent."""
        certs = await asyncio.to_thread(self._cluster.agent_certs, TENANT, agent)
        memory = await self._clients.enter_async_context(
            AsyncMemory(
                self._cluster.endpoints, certs=str(certs), namespace=namespace, timeout_s=CLIENT_TIMEOUT_S
            )
        )
        self._memories[namespace] = memory
        return Desk(memory, namespace, self._ledger)

    def _agents(
        self, work: asyncio.TaskGroup, desks: dict[str, Desk], arriving: list[Ticket]
    ) -> list[asyncio.Task[None]]:
        half = len(arriving) // 2

        def taken(number: int) -> None:
            if number == half:
                self._half.set()

        count = len(arriving)
        self._say(f"  {count} tickets of {self._pace.customers} returning customers arrive at the desk")
        return [
            work.create_task(intake(desks["intake"], self._diary, arriving, self._pace.ticket_s, taken)),
            work.create_task(knowledge(desks["knowledge"], self._diary, count)),
            work.create_task(resolution(desks["resolution"], self._diary, count)),
        ]

    async def _load(self, desk: Desk, writer: int) -> None:
        """What else goes on: documents, each under a key of its own, until the agents are done."""
        number = 0
        while not self._over.is_set():
            number += 1
            try:
                await desk.put(
                    f"visit/{writer}/{number:06d}", {"visit": number, "page": f"/item/{number % 97}"}
                )
            except MemraftError:
                pass  # booked as a failure: it was not acknowledged, so it need not be found
            await asyncio.sleep(self._pace.load_s)

    async def _watch(self) -> None:
        """Tells how far it is, for whoever waits."""
        while not self._over.is_set():
            done, writes = self._diary.resolved, len(self._ledger.writes)
            self._report(
                f"  {self._ledger.now_s():5.1f} s  {done} tickets settled, {writes:,} writes acknowledged"
            )
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _kill_and_restart(self, observer: Observer, desk: Desk) -> Kill:
        await self._half.wait()
        # The agents finish what is under way, so that the state before the kill is a complete one.
        await self._diary.settled(self._pace.customers * self._pace.rounds // 2)
        view = await asyncio.to_thread(observer.look)
        shard, writes = self._busiest(view)
        node = view.shards[shard].leader
        if not node:
            raise CliError(f"shard {shard} has no leader to kill")
        before = await desk.recall(QUESTION, about=STORY_CUSTOMER, kind="status", consistency="linearizable")
        killed_at = self._ledger.now_s()
        pid = self._cluster.pid(node)
        await asyncio.to_thread(self._cluster.kill_node, node)
        self._say(
            f"  {killed_at:5.1f} s  SIGKILL for {node} (pid {pid}): it leads shard {shard}, the busiest"
        )
        new_leader = await leader_after(observer, shard, node)
        leaderless_s = self._ledger.now_s() - killed_at
        self._say(
            f"  {self._ledger.now_s():5.1f} s  {new_leader} leads shard {shard} now; the agents work on"
        )
        await asyncio.sleep(self._pace.down_s)
        restarted_at = self._ledger.now_s()
        self._cluster.start_node(node)
        self._say(f"  {restarted_at:5.1f} s  {node} is started again")
        await rejoined(observer, node)
        rejoined_s = self._ledger.now_s() - restarted_at
        self._say(f"  {self._ledger.now_s():5.1f} s  {node} has caught up with everything it missed")
        namespaces = {name for name in LOAD_NAMESPACES if shard_of(view, name) == shard}
        return Kill(
            node=node,
            shard=shard,
            shard_writes=writes,
            killed_at_s=killed_at,
            new_leader=new_leader,
            leaderless_s=leaderless_s,
            restarted_at_s=restarted_at,
            rejoined_after_s=rejoined_s,
            pause_s=self._ledger.longest_pause_s(namespaces, killed_at, self._ledger.now_s()),
            log_index=before.log_index,
            at=before.at,
        )

    def _busiest(self, view: ClusterView) -> tuple[int, int]:
        """The shard with the most acknowledged writes, and how many these are."""
        writes = dict.fromkeys((shard.shard for shard in view.shards), 0)
        for namespace, number in self._ledger.writes_by_namespace().items():
            writes[shard_of(view, namespace)] += number
        busiest = max(writes, key=lambda shard: writes[shard])
        return busiest, writes[busiest]

    async def _sum_up(
        self, observer: Observer, desk: Desk, arriving: list[Ticket], kill: Kill, began: float
    ) -> Outcome:
        self._say(f"  {self._ledger.now_s():5.1f} s  all tickets are settled; reading everything back")
        failures = dict(self._ledger.failures)
        writes = list(self._ledger.writes)
        found = await audit(writes, self._memories, self._report, count_twice=not failures)
        return Outcome(
            nodes=len(self._cluster.plan.nodes),
            shards=self._cluster.plan.shards,
            seconds=time.monotonic() - began,
            tickets=len(arriving),
            resolved=self._diary.resolved,
            without_order_number=self._diary.without_order_number,
            asked_again=self._diary.asked_again,
            known=sorted(self._diary.known, key=lambda each: each.at_s),
            kill=kill,
            recall=await _recall_shown(desk, kill),
            chains=await _chains(desk, arriving),
            replicas_agree=await replicas_agree(observer),
            audit=found,
            failures=failures,
            latencies=self._ledger.latencies(),
        )


async def _recall_shown(desk: Desk, kill: Kill) -> RecallShown:
    """Asks the same question of now and of the log index right before the kill."""
    options: dict[str, Any] = {"about": STORY_CUSTOMER, "kind": "status", "k": 1}
    before = await desk.memory.recall(QUESTION, at=kill.log_index, **options)
    now = await desk.memory.recall(QUESTION, **options)
    return RecallShown(
        question=QUESTION,
        about=STORY_CUSTOMER,
        before=before[0].text if len(before) else "(nothing)",
        now=now[0].text if len(now) else "(nothing)",
    )


async def _chains(desk: Desk, arriving: list[Ticket]) -> Chains:
    """Has the hash chain of every ticket's stream recomputed."""
    names = [stream_of(ticket.id) for ticket in arriving]
    verdicts = [await desk.memory.verify(name, consistency="linearizable") for name in names]
    return Chains(
        streams=len(names),
        events=sum(verdict.count for verdict in verdicts),
        broken=[name for name, verdict in zip(names, verdicts, strict=True) if not verdict.intact],
    )
