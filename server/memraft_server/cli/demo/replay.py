"""`memraft demo --input FILE`: real conversations are written through a cluster turn by turn, and their
questions are answered by recall, beside a plain BM25 over the same turns."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from memraft import AsyncMemory
from memraft_server.cli.demo.bm25 import BM25
from memraft_server.cli.demo.evidence import KS, Answered, Evaluation, Row, evaluate
from memraft_server.cli.demo.locomo import Conversation, Question, Turn
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.figures import Latencies, latencies
from memraft_server.cli.output import count, duration, table

TENANT = "acme"
AGENT = "scribe"
RECALL = "memraft recall"
BASELINE = "plain BM25"
METHODS = (RECALL, BASELINE)

QUESTIONS_AT_ONCE_MAX = 4

Report = Callable[[str], None]
T = TypeVar("T")

_NOT_IN_A_NAMESPACE = re.compile(r"[^A-Za-z0-9_-]+")


class Replay(msgspec.Struct, frozen=True):
    """What came of it."""

    file: str
    conversations: int
    turns: int
    questions: int
    seconds_writing: float
    seconds_answering: float
    writes: Latencies
    recalls: Latencies
    evaluation: Evaluation


def said(turn: Turn) -> str:
    """A turn as it is remembered and indexed, by recall and by the baseline alike."""
    return f"{turn.speaker}: {turn.text}"


def details(turn: Turn) -> dict[str, Any]:
    """What is remembered of a turn beside its text: a session is a thread, and true from when it was said."""
    return {
        "kind": "turn",
        "thread": f"session-{turn.session}",
        "speaker": turn.speaker,
        "valid_from": turn.said_at,
        "metadata": {"turn": turn.turn_id, "session": turn.session, "date": turn.date},
    }


def namespace_of(number: int, conversation: Conversation) -> str:
    """A namespace for each conversation, the `number`th of its file."""
    name = _NOT_IN_A_NAMESPACE.sub("-", conversation.sample_id) or "sample"
    return f"{TENANT}/conversations/{number}-{name}"


class _Replay:
    def __init__(self, cluster: DevCluster, certs: Path, report: Report) -> None:
        self._cluster = cluster
        self._certs = certs
        self._report = report
        self._writes_s: list[float] = []
        self._recalls_s: list[float] = []
        self._total = 0

    def memory(self, number: int, conversation: Conversation) -> AsyncMemory:
        namespace = namespace_of(number, conversation)
        return AsyncMemory(self._cluster.endpoints, certs=str(self._certs), namespace=namespace)

    async def write(self, memory: AsyncMemory, conversation: Conversation) -> None:
        """Remembers the turns one after the other, in the order they were said."""
        for turn in conversation.turns:
            began = time.perf_counter()
            await memory.remember(said(turn), **details(turn))
            self._writes_s.append(time.perf_counter() - began)
            self._report(f"writing turns: {len(self._writes_s):,} of {self._total:,}")

    async def answer(self, memory: AsyncMemory, conversation: Conversation) -> list[Answered]:
        """Asks every question, by recall and by the baseline."""
        baseline = BM25([said(turn) for turn in conversation.turns])
        slots = asyncio.Semaphore(QUESTIONS_AT_ONCE_MAX)

        async def ask(question: Question) -> Answered:
            async with slots:
                began = time.perf_counter()
                hits = await memory.recall(question.text, k=max(KS))
                self._recalls_s.append(time.perf_counter() - began)
            self._report(f"answering questions: {len(self._recalls_s):,} of {self._total:,}")
            places = baseline.search(question.text, max(KS))
            return Answered(
                question=question,
                found={
                    RECALL: [str(hit.metadata["turn"]) for hit in hits],
                    BASELINE: [conversation.turns[place].turn_id for place in places],
                },
            )

        return list(await asyncio.gather(*map(ask, conversation.questions)))

    async def run(self, file: Path, conversations: Sequence[Conversation]) -> Replay:
        memories = [self.memory(number, each) for number, each in enumerate(conversations, 1)]
        pairs = list(zip(memories, conversations, strict=True))
        try:
            began = time.monotonic()
            self._total = sum(len(each.turns) for each in conversations)
            await asyncio.gather(*(self.write(memory, each) for memory, each in pairs))
            written = time.monotonic()
            self._total = sum(len(each.questions) for each in conversations)
            answered = [item for memory, each in pairs for item in await self.answer(memory, each)]
            ended = time.monotonic()
        finally:
            for memory in memories:
                await memory.close()
        return Replay(
            file=file.name,
            conversations=len(conversations),
            turns=sum(len(each.turns) for each in conversations),
            questions=len(answered),
            seconds_writing=round(written - began, 2),
            seconds_answering=round(ended - written, 2),
            writes=latencies(self._writes_s),
            recalls=latencies(self._recalls_s),
            evaluation=evaluate(answered, METHODS),
        )


async def replay(
    cluster: DevCluster, file: Path, conversations: Sequence[Conversation], report: Report
) -> Replay:
    """Writes the conversations through a cluster whose nodes are ready, and answers their questions.

    report: told, several times a second, how far it is.
    """
    certs = await asyncio.to_thread(cluster.agent_certs, TENANT, AGENT)
    return await _Replay(cluster, certs, report).run(file, conversations)


def render(outcome: Replay) -> str:
    """The outcome as a person reads it."""
    found = outcome.evaluation
    rows = [_row(each) for each in found.rows]
    headers = ["CATEGORY", "QUESTIONS", *(f"{_SHORT[method]} @{k}" for method in METHODS for k in KS)]
    right = "l" + "r" * (len(headers) - 1)
    apart = [_row(found.overall), _row(found.adversarial)]
    body = table(headers, [*rows, *apart], right=right, indent=2)
    return f"""{outcome.file}: {outcome.conversations} conversations, {count(outcome.turns)} turns, \
{count(outcome.questions)} questions

  written in {outcome.seconds_writing:.1f} s, a turn p50 {_us(outcome.writes.p50_us)}, \
p99 {_us(outcome.writes.p99_us)}
  answered in {outcome.seconds_answering:.1f} s, a recall p50 {_us(outcome.recalls.p50_us)}, \
p99 {_us(outcome.recalls.p99_us)}

Evidence recall: the share of the turns holding the answer among the first k found, in percent,
by {RECALL} with the built-in embedder and by {BASELINE} over the same turns.

{body}

  The adversarial questions ask for what was never said; they are not part of the line above them.
  Left out: {found.questions_without_evidence} questions whose evidence names no turn; parts of evidence \
that name none: {found.evidence_malformed}."""


_SHORT = {RECALL: "recall", BASELINE: "BM25"}


def percent(share: float | None) -> str:
    """A share of 1 in percent; `-` where there is none."""
    return "-" if share is None else f"{100 * share:.1f}"


def _row(row: Row) -> list[str]:
    figures = [percent(share) for method in METHODS for share in row.recall[method]]
    return [row.category, count(row.questions), *figures]


def _us(microseconds: float) -> str:
    return duration(microseconds * 1e-6)
