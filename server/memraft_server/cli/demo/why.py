"""`memraft demo why`: an answer, and everything behind it, asked for when the state has long moved on.

A planner answers a customer out of what a front desk heard in her calls. Then the leader is killed, the
customer calls again, and something is forgotten. Only then: which memories did that answer rest on, why on
these, from which state, who wrote them and when; what the same query finds as of that turn, and what today.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime

import msgspec

from memraft import AsyncMemory
from memraft.types import Happening, Hit, LineageMemory, MemoryItem, Reason, Recalled, Receipt
from memraft_server.cli.clusterview import Observer
from memraft_server.cli.demo.failover import Kill, Say, fail_over, rejoined, replicas_agree
from memraft_server.cli.demo.why_talk import (
    AFTER,
    ANSWER,
    ANSWER_RUN,
    BEFORE,
    CUSTOMER,
    FORGOTTEN,
    QUESTION,
    TURN,
    Call,
)
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import moment

TENANT = "acme"
NAMESPACE = "acme/trips"
HITS = 4
USED = 2
"""How many of the hits the answer is made from."""
CLIENT_TIMEOUT_S = 30.0
SCORE_TOLERANCE = 1e-5


class Found(msgspec.Struct, frozen=True):
    """One memory that a recall found."""

    id: str
    version: int
    text: str
    score: float
    reasons: tuple[Reason, ...]


class Recall(msgspec.Struct, frozen=True):
    """What the query found, best first, and as of which log index."""

    log_index: int
    at: datetime
    hits: list[Found]


class Behind(msgspec.Struct, frozen=True):
    """A memory that the answer was made from, and where it comes from."""

    id: str
    version: int
    text: str
    speaker: str
    agent: str
    run: str
    log_index: int
    at: datetime
    is_current: bool
    """Whether it still says what it said."""
    around: list[str]
    """What happened in that run just before."""


class Outcome(msgspec.Struct, frozen=True):
    """All that the demo found out."""

    question: str
    answer: str
    answered: Recall
    kill: Kill
    receipt: Receipt
    behind: list[Behind]
    then: Recall
    """The same query as of the receipt's log index, with what it counted with."""
    today: Recall
    is_forgotten: bool
    """Whether what was forgotten meanwhile is found as of then, and not today."""
    replicas_agree: bool

    @property
    def good(self) -> bool:
        """Whether the answer is explained: by its receipt, by its state, by those who wrote that."""
        found = [(hit.id, hit.version) for hit in self.answered.hits]
        used = [(each.id, each.version) for each in self.behind]
        return (
            [(hit.id, hit.version) for hit in self.receipt.hits] == found
            and _alike(self.answered.hits, self.then.hits)
            and [(hit.id, hit.version) for hit in self.today.hits] != found
            and sorted(used) == sorted(found[:USED])
            and all(each.run and each.around for each in self.behind)
            and not self.behind[0].is_current
            and self.is_forgotten
            and self.replicas_agree
        )


def _alike(one: Sequence[Found], other: Sequence[Found]) -> bool:
    return len(one) == len(other) and all(
        (left.id, left.version) == (right.id, right.version)
        and abs(left.score - right.score) < SCORE_TOLERANCE
        for left, right in zip(one, other, strict=True)
    )


def planner(question: str, memories: Sequence[Hit]) -> str:
    """Stands where a language model would: answers with what the best memories say."""
    known = " ".join(memory.text for memory in memories)
    mira = "a vegetarian meal" if "vegetarian" in known else "any meal"
    lea = "one without nuts" if "nuts" in known else "any meal"
    return f"For {CUSTOMER} {mira}, for Lea {lea}."


class Why:
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
            desk, planner_memory = [await self._memory(clients, name) for name in ("front-desk", "planner")]
            observer = clients.enter_context(
                Observer(self._cluster.endpoints.split(","), self._cluster.operator_certs)
            )
            return await self._play(observer, desk, planner_memory)

    async def _memory(self, clients: AsyncExitStack, name: str) -> AsyncMemory:
        """A client of its own, with a certificate of its own, for each agent."""
        certs = await asyncio.to_thread(self._cluster.agent_certs, TENANT, name)
        memory = AsyncMemory(
            self._cluster.endpoints, certs=str(certs), namespace=NAMESPACE, timeout_s=CLIENT_TIMEOUT_S
        )
        return await clients.enter_async_context(memory)

    async def _play(self, observer: Observer, desk: AsyncMemory, memory: AsyncMemory) -> Outcome:
        for call in BEFORE:
            await _take(desk, call)
            self._say(f"  front-desk takes the {call.run}: {len(call.lines)} turns are remembered")
        answer, answered = await self._answer(memory)
        kill = await fail_over(self._cluster, observer, NAMESPACE, "after the answer", self._say)
        for call in AFTER:
            await _take(desk, call)
            self._say(f"  front-desk takes the {call.run}: what was said before is no longer so")
        forgotten = await _remembered(desk, FORGOTTEN)
        await desk.forget(forgotten.id)
        self._say(f"  on {CUSTOMER}'s wish something is forgotten: {forgotten.text!r}")
        return await self._explain(observer, memory, answer, answered, kill, forgotten.id)

    async def _answer(self, memory: AsyncMemory) -> tuple[str, Recalled]:
        """The planner recalls, answers, and ties the answer to the memories that it was made from."""
        async with memory.run(ANSWER_RUN, inputs={"question": QUESTION, "turn": TURN}) as run:
            hits = await run.memory.recall(QUESTION, k=HITS, turn=TURN)
            run.outputs = answer = planner(QUESTION, hits[:USED])
            await run.memory.append("answers", {"id": ANSWER, "text": answer}, type="answer")
            await run.memory.influence(hits.receipt, ANSWER, used=[hit.id for hit in hits[:USED]])
        self._say(f"  the planner is asked {QUESTION!r}\n  and answers: {answer}")
        return answer, hits

    async def _explain(
        self,
        observer: Observer,
        memory: AsyncMemory,
        answer: str,
        answered: Recalled,
        kill: Kill,
        forgotten: str,
    ) -> Outcome:
        """All that can be found out of the answer's name alone."""
        lineage = await memory.lineage(ANSWER)
        [source] = lineage.receipts
        receipt = await memory.receipt(source.id)
        then = await memory.recall(
            receipt.query, k=receipt.k, at=receipt.log_index, parameters=receipt.parameters, receipt="none"
        )
        today = await memory.recall(receipt.query, k=receipt.k, consistency="linearizable", receipt="none")
        was_there = await memory.memory(forgotten, at=receipt.log_index)
        is_there = await memory.memory(forgotten)
        await rejoined(observer, kill.node)
        return Outcome(
            question=QUESTION,
            answer=answer,
            answered=_recall(answered),
            kill=kill,
            receipt=receipt,
            behind=[_behind(each) for each in source.memories],
            then=_recall(then),
            today=_recall(today),
            is_forgotten=was_there is not None and is_there is None,
            replicas_agree=await replicas_agree(observer),
        )


async def _take(desk: AsyncMemory, call: Call) -> None:
    """The front desk takes a call in a run of its own: an event and a memory for each thing said."""
    async with desk.run(call.run, inputs={"customer": CUSTOMER}) as run:
        for line in call.lines:
            said = {"speaker": line.speaker, "text": line.text}
            await run.memory.append(f"run/{call.run}", said, type="said")
            await run.memory.remember(
                line.text,
                thread=call.run,
                speaker=line.speaker,
                about=line.about,
                kind="turn",
                id=(await _remembered(desk, line.replaces)).id if line.replaces else "",
            )


async def _remembered(desk: AsyncMemory, beginning: str) -> MemoryItem:
    return next(each for each in await desk.memories() if each.text.startswith(beginning))


def _recall(found: Recalled) -> Recall:
    hits = [Found(hit.id, hit.version, hit.text, hit.score, hit.reasons) for hit in found]
    return Recall(found.log_index, found.at, hits)


def _behind(found: LineageMemory) -> Behind:
    memory = found.memory
    if memory is None:
        raise CliError(f"memory {found.id} is not there as it was recalled")
    return Behind(
        id=found.id,
        version=found.version,
        text=memory.text,
        speaker=memory.speaker,
        agent=memory.agent,
        run=memory.run,
        log_index=memory.log_index,
        at=memory.at,
        is_current=found.is_current,
        around=[_happened(each) for each in found.around],
    )


def _happened(happening: Happening) -> str:
    value = happening.value
    said = (
        f"{value['speaker']}: {value['text']}" if isinstance(value, dict) and "text" in value else str(value)
    )
    return f"{happening.kind} {happening.name}, {moment(happening.at)}: {said}"
