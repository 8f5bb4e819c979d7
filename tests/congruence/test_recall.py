"""Recall finds the same on every backend, now and in the past, over restarts and over failovers."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memraft import InvalidArgument, Memory
from memraft.types import RecallParameters
from memraft_server.cli.demo import locomo
from memraft_server.cli.demo.replay import details, said
from memraft_server.cli.devcluster import DevCluster

FILE = Path(__file__).parents[1] / "data" / "conversations.json"
[GARDEN, NIGHTS] = locomo.read(FILE)
SCORE_TOLERANCE = 1e-3
"""Scores may tell how many seconds ago something was written."""

Found = list[tuple[str, Any]]


BY_WORDS: RecallParameters = {"vector": 0}


def tell(memory: Memory, talk: locomo.Conversation = GARDEN) -> list[int]:
    """Remembers a conversation turn by turn; the log index of each."""
    return [memory.remember(said(turn), id=turn.turn_id, **details(turn)).log_index for turn in talk.turns]


def asked(memory: Memory, talk: locomo.Conversation = GARDEN, **options: Any) -> list[Found]:
    """What each question of a conversation finds: ids and scores."""
    answers = [memory.recall(question.text, **options) for question in talk.questions]
    return [[(hit.id, pytest.approx(hit.score, abs=SCORE_TOLERANCE)) for hit in hits] for hits in answers]


@contextmanager
def told(**options: Any) -> Iterator[Memory]:
    """A memory in process that was told the same: what all backends are held against."""
    with Memory(agent="support", namespace="acme/reference", **options) as reference:
        tell(reference)
        yield reference


@pytest.mark.parametrize("options", [{}, {"k": 3}, {"kind": "turn"}, {"filter": {"session": 2}}])
def test_every_backend_finds_the_same(memory: Memory, options: dict[str, Any]) -> None:
    tell(memory)
    with told() as reference:
        expected = asked(reference, **options)
    assert asked(memory, **options) == expected
    assert all(len(found) == options.get("k", min(10, len(found))) for found in expected)


def test_words_find_what_vectors_do_not_tell_apart(memory: Memory) -> None:
    tell(memory)
    assert memory.recall("spaniel", parameters=BY_WORDS)[0].id == "D3:8"
    assert memory.recall("which orchestra?", parameters=BY_WORDS)[0].id == "D1:7"
    assert {hit.id for hit in memory.recall("Dr Lund", parameters=BY_WORDS, k=2)} == {"D2:10", "D3:10"}


def test_a_turn_is_found_by_what_was_said_before_it_in_its_thread(memory: Memory) -> None:
    memory.remember("Which colour did you paint the boat?", thread="harbour", id="question")
    memory.remember("Something unrelated about a train", thread="station", id="unrelated")
    memory.remember("Green, with a white stripe", thread="harbour", id="answer")
    memory.remember("Another thing about lunch", thread="station", id="other")
    found = [hit.id for hit in memory.recall("colour of the boat", parameters=BY_WORDS, k=4)]
    assert set(found[:2]) == {"question", "answer"}


def test_who_is_named_in_the_query_is_preferred_as_the_speaker(memory: Memory) -> None:
    memory.remember("I like the sea in winter", speaker="Ann", id="ann")
    memory.remember("I like the sea in winter, too", speaker="Bob", id="bob")
    assert memory.recall("what does Bob like about the sea?", parameters=BY_WORDS)[0].id == "bob"
    assert memory.recall("what does Ann like about the sea?", parameters=BY_WORDS)[0].id == "ann"


def test_what_is_written_is_found_at_once_and_what_is_forgotten_no_more(memory: Memory) -> None:
    for turn in GARDEN.turns:
        written = memory.remember(said(turn), **details(turn))
        assert written.id in {hit.id for hit in memory.recall(said(turn), k=3)}, turn.text
    spaniel = memory.recall("spaniel")[0]
    memory.forget(spaniel.id)
    assert spaniel.id not in {hit.id for hit in memory.recall("spaniel")}


def test_filters_confine_text_and_neighbours_alike(memory: Memory) -> None:
    for place, (about, kind) in enumerate([("ann", "fact"), ("bob", "fact"), ("ann", "event")]):
        memory.remember(
            f"the lighthouse was painted {place}", about=about, kind=kind, thread="t", metadata={"n": place}
        )
    query = "who painted the lighthouse?"
    assert {hit.metadata["n"] for hit in memory.recall(query, parameters=BY_WORDS)} == {0, 1, 2}
    assert {hit.metadata["n"] for hit in memory.recall(query, parameters=BY_WORDS, about="ann")} == {0, 2}
    assert {hit.metadata["n"] for hit in memory.recall(query, parameters=BY_WORDS, kind="fact")} == {0, 1}
    assert {
        hit.metadata["n"] for hit in memory.recall(query, parameters=BY_WORDS, about="ann", kind="fact")
    } == {0}
    assert {
        hit.metadata["n"] for hit in memory.recall(query, parameters=BY_WORDS, filter={"n": {"$gte": 1}})
    } == {1, 2}
    assert len(memory.recall(query, parameters=BY_WORDS, about="nobody")) == 0


def test_only_what_is_true_at_a_moment_is_recalled(memory: Memory) -> None:
    may, june, july = (datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6, 7))
    memory.remember("Ann lives in Oslo", thread="t", id="oslo", valid_from=may, valid_until=july)
    memory.remember("Ann lives in Bergen", thread="t", id="bergen", valid_from=july)
    assert [hit.id for hit in memory.recall("where does Ann live", valid_at=june)] == ["oslo"]
    assert [hit.id for hit in memory.recall("where does Ann live", valid_at=july)] == ["bergen"]


def test_the_past_is_recalled_as_it_was(memory: Memory) -> None:
    first = memory.remember("the boat is moored at the quay", id="boat", thread="t")
    second = memory.remember("the boat lies on the slipway", id="boat", thread="t")
    memory.remember("it needs paint", id="paint", thread="t")
    memory.forget("boat")
    assert [hit.text for hit in memory.recall("quay", parameters=BY_WORDS, at=first.log_index)] == [
        "the boat is moored at the quay"
    ]
    assert [hit.text for hit in memory.recall("slipway", parameters=BY_WORDS, at=second.log_index)] == [
        "the boat lies on the slipway"
    ]
    assert [hit.id for hit in memory.recall("boat slipway quay")] == ["paint"]
    assert len(memory.recall("boat slipway quay", parameters=BY_WORDS)) == 0


def test_the_past_of_a_conversation_is_what_it_was_when_it_was_over(memory: Memory) -> None:
    moments = tell(memory)
    over, half = asked(memory), asked(memory, at=moments[17])
    tell(memory, NIGHTS)  # of the same ids: each replaces a turn
    assert asked(memory, at=moments[-1]) == over
    assert asked(memory, at=moments[17]) == half
    assert asked(memory) != over
    assert all(id.startswith(("D1", "D2")) for found in half for id, _ in found)


def test_a_fork_recalls_its_parents_memories_and_its_own(memory: Memory) -> None:
    moments = tell(memory)
    was = asked(memory, at=moments[17])
    fork = memory.fork("what-if", at=moments[17])
    assert asked(fork) == was
    fork.remember("Tom: I adopted a parrot named Captain", id="parrot", thread="session-2", speaker="Tom")
    fork.forget("D2:3")
    assert fork.recall("parrot")[0].id == "parrot"
    assert "D2:3" not in {hit.id for hit in fork.recall("ox heart tomatoes", k=20)}
    assert memory.recall("ox heart tomatoes")[0].id == "D2:3"
    assert "parrot" not in {hit.id for hit in memory.recall("parrot", k=28)}
    assert asked(memory, at=moments[17]) == was


def test_every_hit_says_why_alike_on_every_backend(memory: Memory) -> None:
    tell(memory)
    with told() as reference:
        for question in GARDEN.questions:
            expected, found = reference.recall(question.text), memory.recall(question.text)
            assert found.parameters == expected.parameters
            for hit, same in zip(found, expected, strict=True):
                assert hit.score == pytest.approx(sum(reason.share for reason in hit.reasons), abs=1e-5)
                shares = {reason.name: reason.share for reason in same.reasons}
                assert {reason.name: reason.share for reason in hit.reasons} == pytest.approx(
                    shares, abs=SCORE_TOLERANCE
                )
                assert f"agent {hit.agent}" in hit.why() and f"version {hit.version}" in hit.why()


def test_no_more_is_returned_than_fits_and_profile_facts_come_first(memory: Memory) -> None:
    tell(memory)
    memory.remember("Tom is a widower of sixty", kind="profile", id="profile")
    hits = memory.recall("ox heart tomatoes", tokens=40)
    assert [hit.id for hit in hits][:2] == ["profile", "D2:3"]
    assert sum(-(-len(hit.text) // 4) for hit in hits) <= 40
    assert len(memory.recall("ox heart tomatoes", tokens=200)) > len(hits)
    assert len(memory.recall("ox heart tomatoes", tokens=200, k=3)) == 3


def test_a_recall_about_somebody_reaches_as_far_in_the_graph_as_it_is_told(memory: Memory) -> None:
    memory.put_graph(["ann", "bob", "cid"], [("ann", "knows", "bob"), ("bob", "knows", "cid")])
    for name in ("ann", "bob", "cid"):
        memory.remember(f"{name} likes sailing", about=name)
    reached = [
        {hit.about for hit in memory.recall("sailing", about="ann", about_hops=hops)} for hops in range(3)
    ]
    assert reached == [{"ann"}, {"ann", "bob"}, {"ann", "bob", "cid"}]


def test_a_reranker_has_the_last_word(memory: Memory) -> None:
    tell(memory)
    asked: list[str] = []

    def shortest(query: str, texts: list[str]) -> list[float]:
        asked.append(query)
        return [-len(text) for text in texts]

    hits = memory.recall("tomatoes", k=3, rerank=shortest, rerank_k=8)
    pool = memory.recall("tomatoes", k=8)
    assert asked == ["tomatoes"]
    assert [hit.text for hit in hits] == sorted((hit.text for hit in pool), key=len)[:3]
    assert hits[0].reasons[0].name == "rerank"
    with pytest.raises(InvalidArgument, match="rerank returned 1 scores"):
        memory.recall("tomatoes", rerank=lambda query, texts: [1.0])


def test_weights_are_those_of_the_call_then_of_the_namespace(memory: Memory) -> None:
    memory.remember("the pump was repaired in March", salience=0.1, id="words")
    memory.remember("all is well", salience=1.0, id="salient")
    assert memory.recall("which pump was repaired?")[0].id == "words"
    only_salience: RecallParameters = {"text": 0, "vector": 0.001, "salience": 1, "substance": 0}
    assert memory.recall("which pump was repaired?", parameters=only_salience)[0].id == "salient"
    memory.set_settings(recall=only_salience)
    assert memory.recall("which pump was repaired?")[0].id == "salient"
    assert memory.recall("which pump was repaired?", parameters={"text": 100})[0].id == "words"
    memory.set_settings(recall={})
    assert memory.recall("which pump was repaired?")[0].id == "words"
    with pytest.raises(InvalidArgument, match="there is no 'txt'"):
        memory.recall("pump", parameters={"txt": 1})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="diversity"):
        memory.recall("pump", parameters={"diversity": 2})


def test_recall_is_what_it_was_after_a_restart(tmp_path: Path) -> None:
    with Memory(path=tmp_path / "m") as memory:
        moments = tell(memory)
        now, past = asked(memory), asked(memory, at=moments[9])
    for _ in range(2):
        with Memory(path=tmp_path / "m") as memory:
            assert asked(memory) == now
            assert asked(memory, at=moments[9]) == past
    with Memory(path=tmp_path / "m") as memory:
        memory.remember("Mira: I sold the cello", id="D9:1", thread="session-3", speaker="Mira")
        assert memory.recall("sold the cello")[0].id == "D9:1"


KILLED = """
import os, pathlib, signal, sys
from memraft import Memory
from memraft_server.cli.demo import locomo
from memraft_server.cli.demo.replay import details, said

memory = Memory(path=sys.argv[1])
for turn in locomo.read(pathlib.Path(sys.argv[2]))[0].turns:
    memory.remember(said(turn), id=turn.turn_id, **details(turn))
    memory.recall(turn.text)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_recall_finds_what_was_remembered_before_the_process_was_killed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "m", FILE], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    with told() as reference, Memory(path=tmp_path / "m") as memory:
        assert asked(memory) == asked(reference)


MANY = 3_000
MANY_KILLED = """
import os, signal, sys
from memraft import Memory

memory = Memory(path=sys.argv[1], namespace="acme/many")
count = int(sys.argv[2])
for start in range(0, count, 500):
    memory.remember_many(
        {"text": f"number{n} of the w{n % 89} and w{n % 97}", "id": str(n), "thread": f"t{n % 11}"}
        for n in range(start, start + 500)
    )
memory.forget("1234")
memory.remember("number77 is another one", id="77", thread="t0")
fork = memory.fork("f")
fork.forget("2345")
for view in (memory, fork):
    for query in sys.argv[3:]:
        print([(hit.id, round(hit.score, 4)) for hit in view.recall(query, receipt="none")])
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_first_recall_after_a_kill_finds_all_texts_of_many(tmp_path: Path) -> None:
    queries = ["number3", "number1234", "number77 w31", "number2345 of the w5"]
    command = [sys.executable, "-c", MANY_KILLED, str(tmp_path / "m"), str(MANY), *queries]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    expected = done.stdout.splitlines()
    assert len(expected) == 2 * len(queries)
    for first, line in enumerate(expected):
        if first in (0, 3, 5):  # each by a memory that was just opened
            namespace = "acme/many" if first < len(queries) else "acme/many@f"
            with Memory(path=tmp_path / "m", namespace=namespace) as memory:
                hits = memory.recall(queries[first % len(queries)], receipt="none")
                assert str([(hit.id, round(hit.score, 4)) for hit in hits]) == line


def test_recall_is_what_it_was_after_a_failover(nodes: DevCluster) -> None:
    certs = nodes.agent_certs("acme", "support")
    with Memory(nodes.endpoints, certs=certs, namespace="acme/recall-failover", timeout_s=30) as memory:
        moments = tell(memory)
        now, past = asked(memory), asked(memory, at=moments[9])
        for node in ("n1", "n2", "n3"):  # one of them led
            nodes.kill_node(node)
            assert asked(memory, at=moments[-1]) == now
            assert asked(memory, at=moments[9]) == past
            late = memory.remember(f"Tom: {node} was away", thread="session-3", speaker="Tom")
            assert late.id in {hit.id for hit in memory.recall(f"was {node} away?", k=3)}
            nodes.start_node(node)
            nodes.wait_ready([node])


def test_the_first_recall_of_nodes_that_were_all_killed_finds_all_texts_of_many(nodes: DevCluster) -> None:
    certs = nodes.agent_certs("acme", "support")
    queries = ["number3", "number777 w31", "number1002 of the w5"]
    with Memory(nodes.endpoints, certs=certs, namespace="acme/recall-many", timeout_s=60) as memory:
        memory.remember_many(
            {"text": f"number{n} of the w{n % 89} and w{n % 97}", "id": str(n), "thread": f"t{n % 11}"}
            for n in range(1_500)
        )
        memory.forget("777")
        before = [[(hit.id, hit.score) for hit in memory.recall(query)] for query in queries]
        names = [node.name for node in nodes.plan.nodes]
        for name in names:
            nodes.kill_node(name)
        for name in names:
            nodes.start_node(name)
        nodes.wait_ready(names)
        for query, found in zip(queries, before, strict=True):
            hits = [(hit.id, hit.score) for hit in memory.recall(query)]
            assert [id for id, _ in hits] == [id for id, _ in found]
            scores = [score for _, score in found]
            assert [score for _, score in hits] == pytest.approx(scores, abs=SCORE_TOLERANCE)
