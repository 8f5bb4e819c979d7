"""`memraft demo time-machine`: an agent that answers wrongly, and what is found out and mended afterwards.

A clerk decides on refunds by what the shared memory says of the policy. Somebody stored a wrong policy; the
clerk's run is recorded, and the leader is killed in the middle of it. Then: which memory was it, as of when;
a fork of just before it was stored; the same agent there; how the two runs differ; both replayed.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import msgspec

from memraft import AsyncMemory
from memraft.types import RecordDifference, Replay, StepDifference
from memraft_server.cli.clusterview import Observer
from memraft_server.cli.demo.failover import Kill, Say, fail_over, rejoined, replicas_agree
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.errors import CliError

TENANT = "acme"
NAMESPACE = "acme/refunds"
QUESTION = "Within how many days of delivery do we refund?"
ORDER = "1458"
RIGHT_POLICY = "We refund within 30 days of delivery."
WRONG_POLICY = "We refund within 14 days of delivery."
WRONG_RUN, RIGHT_RUN, FORK = "answer-1458", "answer-1458-again", "before-the-mistake"
INPUTS = {"question": QUESTION, "order": ORDER}
CLIENT_TIMEOUT_S = 30.0

Model = Callable[[str, list[dict[str, Any]], dict[str, Any]], Any]


class Policy(msgspec.Struct, frozen=True):
    """What a memory said from a moment on, and who had it say so."""

    text: str
    agent: str
    log_index: int
    at: datetime


class Verdicts(msgspec.Struct, frozen=True):
    """What replays of one run came to: of its commands, and of the agent's code."""

    run: str
    answer: str
    commands: Replay
    agent: Replay


class Outcome(msgspec.Struct, frozen=True):
    """All that the demo found out."""

    kill: Kill
    memory: str
    """The id of the memory that the wrong answer rests on."""
    seen: Policy
    before: Policy
    recalled_as_of: str
    """What the agent's recall gives, asked again as of the moment at which it decided."""
    fork: str
    first_difference: StepDifference | None
    left_behind: list[RecordDifference]
    changed: list[RecordDifference]
    wrong: Verdicts
    right: Verdicts
    conflicts: list[str]
    merged: int
    answer_now: str
    replicas_agree: bool

    @property
    def good(self) -> bool:
        """Whether the time machine kept what it promises."""
        replays = (self.wrong.commands, self.wrong.agent, self.right.commands, self.right.agent)
        return (
            all(replay.verdict == "same" for replay in replays)
            and self.recalled_as_of == self.seen.text != self.before.text
            and (self.wrong.answer, self.right.answer, self.answer_now) == ("refused", "refunded", "refunded")
            and self.first_difference is not None
            and self.replicas_agree
        )


def clerk(question: str, memories: list[dict[str, Any]], order: dict[str, Any]) -> dict[str, Any]:
    """Stands where a language model would: decides by the policy that it is given."""
    found = re.search(r"(\d+) days", memories[0]["text"])
    days = int(found[1]) if found else 0
    answer = "refunded" if order["days_since_delivery"] <= days else "refused"
    return {"answer": answer, "because": memories[0]["text"], "memory": memories[0]["id"]}


async def agent(run: Any, model: Model = clerk) -> str:
    """The agent: recalls, looks the order up, has the model decide, and writes down what comes of it."""

    async def recall(question: str) -> list[dict[str, Any]]:
        hits = await run.memory.recall(question, k=1)
        return [{"id": hit.id, "text": hit.text, "version": hit.version} for hit in hits]

    async def look_up(number: str) -> dict[str, Any]:
        order: dict[str, Any] = await run.memory.get(f"order:{number}")
        return order

    question, number = run.inputs["question"], run.inputs["order"]
    memories = await run.tool("recall", recall)(question)
    order = await run.tool("look_up_order", look_up)(number)
    decision = await run.model("clerk", model)(question, memories, order)
    await run.memory.put(f"order:{number}", {**order, "status": decision["answer"]})
    await run.memory.append("decisions", {"order": number, **decision}, type="decision")
    answer: str = decision["answer"]
    return answer


class TimeMachine:
    """The demo on a cluster whose nodes are ready.

    say: told a line about each event of note; report: told how far it is.
    """

    def __init__(self, cluster: DevCluster, say: Say, report: Say) -> None:
        self._cluster = cluster
        self._say = say
        self._report = report

    async def run(self) -> Outcome:
        """Plays it and returns what came of it."""
        async with AsyncExitStack() as clients:
            memories = [await self._memory(clients, name) for name in ("knowledge", "web-import", "clerk")]
            observer = clients.enter_context(
                Observer(self._cluster.endpoints.split(","), self._cluster.operator_certs)
            )
            return await self._play(observer, *memories)

    async def _memory(self, clients: AsyncExitStack, name: str) -> AsyncMemory:
        """A client of its own, with a certificate of its own, for each agent."""
        certs = await asyncio.to_thread(self._cluster.agent_certs, TENANT, name)
        memory = AsyncMemory(
            self._cluster.endpoints, certs=str(certs), namespace=NAMESPACE, timeout_s=CLIENT_TIMEOUT_S
        )
        return await clients.enter_async_context(memory)

    async def _play(
        self, observer: Observer, knowledge: AsyncMemory, importer: AsyncMemory, memory: AsyncMemory
    ) -> Outcome:
        await memory.put(f"order:{ORDER}", {"days_since_delivery": 21, "status": "open"})
        policy = await knowledge.remember(RIGHT_POLICY, kind="policy")
        mistake = await importer.remember(WRONG_POLICY, id=policy.id, kind="policy")
        self._say(f"  web-import stores a policy over the one that was there: {WRONG_POLICY!r}")
        kill, wrong = await self._decide_wrongly(observer, memory)
        seen, recalled_as_of = await self._why(memory)
        before = await _policy(memory, policy.id, policy.log_index)

        fork = await memory.fork(FORK, before=mistake)
        async with fork.run(RIGHT_RUN, inputs=INPUTS) as run:
            run.outputs = right = await agent(run)
        self._say(f"  the run {RIGHT_RUN} in {fork.namespace} has ended: order {ORDER} is {right}")
        runs = await memory.diff_runs(WRONG_RUN, RIGHT_RUN, other_namespace=fork.namespace)
        changed = await fork.diff(from_namespace=NAMESPACE, kinds=["document", "memory"])
        replayed = await self._replays(memory, WRONG_RUN, wrong), await self._replays(fork, RIGHT_RUN, right)

        await fork.remember(before.text, id=policy.id, kind="policy")  # so that the merge brings it back
        merged = await memory.merge(FORK, on_conflict="theirs")
        stands: dict[str, Any] = await memory.get(f"order:{ORDER}", consistency="linearizable")
        await rejoined(observer, kill.node)
        return Outcome(
            kill=kill,
            memory=policy.id,
            seen=seen,
            before=before,
            recalled_as_of=recalled_as_of,
            fork=fork.namespace,
            first_difference=runs.first_difference,
            left_behind=list(runs.records),
            changed=list(changed),
            wrong=replayed[0],
            right=replayed[1],
            conflicts=[f"{each.kind} {each.name}" for each in merged.conflicts],
            merged=merged.merged,
            answer_now=stands["status"],
            replicas_agree=await replicas_agree(observer),
        )

    async def _decide_wrongly(self, observer: Observer, memory: AsyncMemory) -> tuple[Kill, str]:
        """The recorded run, in whose middle the leader is killed; returns what it answered, too."""
        kills: list[Kill] = []

        async def thinks(*asked: Any) -> dict[str, Any]:
            self._report("waiting for the next leader …")
            during = f"in the middle of the run {WRONG_RUN}"
            kills.append(await fail_over(self._cluster, observer, NAMESPACE, during, self._say))
            return clerk(*asked)

        async with memory.run(WRONG_RUN, inputs=INPUTS) as run:
            run.outputs = answer = await agent(run, thinks)
        self._say(f"  the run {WRONG_RUN} has ended: order {ORDER} is {answer}")
        return kills[0], answer

    async def _why(self, memory: AsyncMemory) -> tuple[Policy, str]:
        """Finds what the wrong answer rests on: from the recorded calls to the memory, as of the decision."""
        calls = await memory.events(f"run/{WRONG_RUN}")
        recalled = next(call for call in calls if call.payload.get("name") == "recall")
        decided = next(call for call in calls if call.payload.get("name") == "clerk")
        id = recalled.payload["output"][0]["id"]
        again = await memory.recall(QUESTION, k=1, at=decided.log_index)
        return await _policy(memory, id, decided.log_index), again[0].text

    async def _replays(self, memory: AsyncMemory, run: str, answer: str) -> Verdicts:
        self._report(f"replaying {run} …")
        return Verdicts(run, answer, await memory.replay(run), await memory.replay(run, agent=agent))


async def _policy(memory: AsyncMemory, id: str, log_index: int) -> Policy:
    """What a memory was as of a log index."""
    found = await memory.memory(id, at=log_index)
    if found is None:
        raise CliError(f"memory {id} is not there as of log index {log_index}")
    return Policy(found.text, found.agent, found.log_index, found.at)
