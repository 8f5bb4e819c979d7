"""Recall through the machine: by text, by vector and both, with the graph, times, budgets and settings."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pytest

from memraft_proto.methods import KIND_RECORD_RECALLS, METHODS
from memraft_proto.v1 import log_pb2, memory_pb2
from memraft_server.machine import Command, Limits, Machine, Refused
from memraft_server.machine.validate import check_read, check_write
from memraft_server.recall.receipts import make_receipt

NAMESPACE = "acme/support"
LIMITS = Limits()
MODEL = "model:2"
DAY_US = 86_400_000_000
START_US = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000


def floats(*components: float) -> bytes:
    return np.array(components, "<f4").tobytes()


class Shard:
    """A machine whose calls are checked first, as the server does. Its clock stands unless it is set."""

    def __init__(self) -> None:
        self.machine = Machine(0, LIMITS)
        self.now_us = START_US

    def write(self, name: str, namespace: str = NAMESPACE, **fields: Any) -> Any:
        method = METHODS[name]
        request: Any = method.request(namespace=namespace, **fields)
        check_write(method.kind, request, LIMITS)
        index = self.machine.applied_index + 1
        [reply] = self.machine.apply(index, self.now_us, 7, [Command(method.kind, "alice", request)])
        if isinstance(reply, Refused):
            raise reply
        return reply

    def read(self, name: str, at_index: int | None = None, namespace: str = NAMESPACE, **fields: Any) -> Any:
        request: Any = METHODS[name].request(namespace=namespace, **fields)
        if at_index is not None:
            request.context.at_index = at_index
        check_read(name, request, LIMITS)
        return self.machine.query(name, request)

    def remember(self, text: str, *embedding: float, **fields: Any) -> Any:
        if embedding:
            fields = {"embedding": floats(*embedding), "fingerprint": MODEL} | fields
        return self.write("Remember", text=text, **fields)

    def recall(self, query: str = "", *embedding: float, **fields: Any) -> Any:
        if embedding:
            fields = {"embedding": floats(*embedding), "fingerprint": MODEL} | fields
        return self.read("Recall", query=query, **fields)

    def texts(self, query: str = "", *embedding: float, **fields: Any) -> list[str]:
        return [hit.memory.text for hit in self.recall(query, *embedding, **fields).hits]

    def link(self, source: str, target: str) -> None:
        for id in (source, target):
            self.write("UpsertNode", id=id)
        self.write("UpsertEdge", source=source, type="knows", target=target)


def parameters(**given: Any) -> memory_pb2.RecallParameters:
    return memory_pb2.RecallParameters(**given)


class Signal(NamedTuple):
    name: str
    rank: int
    value: float
    share: float


def signals(response: Any) -> list[list[Signal]]:
    """The signals of each hit."""
    found = response.signals
    every = iter(zip(found.places, found.ranks, found.values, found.shares, strict=True))
    return [
        [Signal(found.names[place], *rest) for place, *rest in islice(every, count)] for count in found.counts
    ]


def signal(response: Any, hit: int, name: str) -> Signal:
    [found] = [each for each in signals(response)[hit] if each.name == name]
    return found


def names(response: Any, hit: int = 0) -> set[str]:
    return {each.name for each in signals(response)[hit]}


def test_by_text_alone_what_has_no_embedding_is_found() -> None:
    shard = Shard()
    shard.remember("the boat is green")
    shard.remember("the train was late", 1, 0)
    assert shard.texts("which colour is the boat") == ["the boat is green"]
    assert shard.texts("nothing of the kind") == []
    assert "vector" not in names(shard.recall("boat"))


def test_text_and_vector_find_what_either_of_them_finds() -> None:
    shard = Shard()
    shard.remember("the boat is green", 0, 1)
    shard.remember("vessel of another colour", 1, 0.1)
    shard.remember("lunch", -1, 0)
    response = shard.recall("boat", 1, 0)
    found = [hit.memory.text for hit in response.hits[:2]]
    assert set(found) == {"the boat is green", "vessel of another colour"}
    by_text, by_vector = (found.index(text) for text in sorted(found))
    assert signal(response, by_text, "text").rank == signal(response, by_vector, "vector").rank == 1
    assert signal(response, by_vector, "vector").value == pytest.approx(1 / 1.01**0.5, rel=1e-5)


def test_a_score_is_what_its_signals_added_and_comes_with_what_was_counted() -> None:
    shard = Shard()
    for place in range(30):
        shard.remember(f"the boat number {place} is green", 1, place / 10)
    response = shard.recall("boat number 7", 1, 0.7, parameters=parameters(recency=0.1, salience=0.1))
    assert len(response.hits) == 10 and response.hits[0].memory.text == "the boat number 7 is green"
    for hit, why in zip(response.hits, signals(response), strict=True):
        assert sum(each.share for each in why) == pytest.approx(hit.score, abs=1e-5)
    assert response.parameters.recency == pytest.approx(0.1)
    assert response.parameters.text == pytest.approx(1.0)
    assert response.pipeline > 0


def test_an_embedding_alone_gives_the_order_of_cosines_unless_parameters_ask_for_more() -> None:
    shard = Shard()
    shard.remember("a question?", 1, 0, salience=0.0)
    shard.remember("an answer of many different words", 1, 0.1, salience=1.0)
    response = shard.recall("", 1, 0)
    assert [hit.memory.text[0:3] for hit in response.hits] == ["a q", "an "]
    assert [hit.score for hit in response.hits] == pytest.approx([1, 1 / 1.01**0.5])
    assert [(each.name, each.rank) for each in signals(response)[1]] == [("vector", 2)]
    assert not response.HasField("parameters")
    assert shard.texts("", 1, 0, parameters=parameters(salience=9))[0].startswith("an answer")


def test_filters_hold_for_every_way_to_be_found() -> None:
    shard = Shard()
    for about, kind, lang in (("ann", "fact", "en"), ("ann", "plan", "de"), ("bob", "fact", "en")):
        shard.remember(f"tea for {about}, a {kind} in {lang}", 1, 0, about=about, kind=kind,
                       metadata=b'{"lang": "%s"}' % lang.encode())  # fmt: skip
    assert len(shard.texts("tea", 1, 0)) == 3
    assert shard.texts("tea for ann", 1, 0, about="bob") == ["tea for bob, a fact in en"]
    assert shard.texts("tea", kind="plan") == ["tea for ann, a plan in de"]
    assert shard.texts("tea", 1, 0, about="ann", filter=b'{"lang": "en"}') == ["tea for ann, a fact in en"]
    assert shard.texts("tea", about="nobody") == []


def test_what_is_about_whom_the_query_names_or_is_near_that_is_found() -> None:
    shard = Shard()
    shard.link("ann", "acme")
    shard.link("acme", "oslo")
    shard.remember("founded long ago", about="acme")
    shard.remember("cold in winter", about="oslo")
    shard.remember("paints with oil", about="ann")
    shard.remember("unrelated", about="bob")
    found = shard.recall("what of Ann?")
    assert [hit.memory.about for hit in found.hits] == ["ann", "acme"]
    assert [signal(found, place, "graph").value for place in (0, 1)] == [1.0, 0.5]
    far = shard.recall("what of Ann?", parameters=parameters(graph_depth=2)).hits
    assert {hit.memory.about for hit in far} == {"ann", "acme", "oslo"}
    assert [hit.memory.about for hit in shard.recall("Ann?", parameters=parameters(graph_depth=0)).hits] == [
        "ann"
    ]
    assert len(shard.recall("what of Ann?", parameters=parameters(graph=0)).hits) == 0


def test_about_reaches_as_many_edges_as_it_is_told() -> None:
    shard = Shard()
    shard.link("ann", "acme")
    shard.link("acme", "oslo")
    for about in ("ann", "acme", "oslo", "bob"):
        shard.remember(f"tea of {about}", 1, 0, about=about)
    assert shard.texts("tea", about="ann") == ["tea of ann"]
    assert set(shard.texts("tea", about="ann", about_hops=1)) == {"tea of ann", "tea of acme"}
    assert shard.texts("", 1, 0, about="ann", about_hops=1) == ["tea of ann", "tea of acme"]
    assert len(shard.texts("", 1, 0, about="ann", about_hops=2)) == 3
    assert shard.texts("tea", about="ann", about_hops=1, kind="fact") == []
    with pytest.raises(Refused, match="about_hops: 4, at most 3"):
        shard.recall("tea", about="ann", about_hops=4)


def test_what_is_of_the_time_that_a_query_names_is_found() -> None:
    shard = Shard()
    shard.remember("met with the auditors")
    shard.now_us += 20 * DAY_US
    shard.remember("met with the builders")
    then_us = START_US - 300 * DAY_US
    shard.remember("the lease began", valid_from_us=then_us)
    shard.now_us += DAY_US
    shard.remember("lunch")
    assert shard.texts("what happened yesterday?") == ["met with the builders", "the lease began"]
    dated = shard.recall("whom did we meet 3 weeks ago")
    assert (dated.hits[0].memory.text, signal(dated, 0, "dated").value) == ("met with the auditors", 1.0)
    began = datetime.fromtimestamp(then_us / 1e6, UTC).strftime("%Y-%m-%d")
    assert shard.texts(f"what of {began}") == ["the lease began"]
    # As of the first day, its week is this one.
    assert shard.texts("this week", at_index=1) == ["met with the auditors"]
    assert shard.texts("what happened yesterday?", parameters=parameters(dated=0)) == []


def test_what_was_true_in_the_time_that_a_query_names_goes_before_what_came_later() -> None:
    shard = Shard()
    shard.now_us += 900 * DAY_US
    year = [int(datetime(2024 + each, 1, 1, tzinfo=UTC).timestamp() * 1e6) for each in range(3)]
    shard.remember("Ann lives in Oslo", valid_from_us=year[1])
    shard.remember("Ann lives in Bergen", valid_from_us=year[0] - DAY_US, valid_until_us=year[1])
    assert shard.texts("where did Ann live in March 2024")[0] == "Ann lives in Bergen"
    assert shard.texts("where did Ann live in January 2025")[0] == "Ann lives in Oslo"
    assert "dated" not in names(shard.recall("where did Ann live in March 2026"))


def test_salience_decays_and_recency_halves_as_of_the_moment_that_is_read() -> None:
    shard = Shard()
    shard.remember("tea in the morning", salience=0.8)
    index = shard.machine.applied_index
    shard.now_us += 30 * DAY_US
    shard.remember("coffee", salience=0.1)
    ways = parameters(salience=1, recency=1, decay_per_day=0.05, half_life_days=15)
    now = shard.recall("tea", parameters=ways)
    assert signal(now, 0, "salience").value == pytest.approx(0.8 * np.exp(-1.5), rel=1e-4)
    assert signal(now, 0, "recency").value == pytest.approx(0.25, rel=1e-4)
    then = shard.recall("tea", parameters=ways, at_index=index)
    assert (signal(then, 0, "salience").value, signal(then, 0, "recency").value) == pytest.approx((0.8, 1.0))


def test_profile_facts_come_first_and_no_more_than_fits_is_returned() -> None:
    shard = Shard()
    for place in range(20):
        shard.remember(f"the boat number {place:02} is green")  # 7 tokens each
    shard.remember("allergic to nuts", kind="profile", salience=0.4, about="ann")
    shard.remember("left-handed", kind="profile", salience=0.9, about="ann")
    response = shard.recall("boat number 07", tokens=24)
    hits = response.hits
    assert [hit.memory.text for hit in hits[:3]] == [
        "left-handed", "allergic to nuts", "the boat number 07 is green",
    ]  # fmt: skip
    assert len(hits) == 4 and signals(response)[0][0].name == signals(response)[1][0].name == "profile"
    assert "profile" not in names(response, 2)
    assert sum(-(-len(hit.memory.text) // 4) for hit in hits) <= 24
    assert "profile" not in names(shard.recall("left-handed"))
    assert [hit.memory.kind for hit in shard.recall("boat", tokens=100, k=3).hits] == [
        "profile",
        "profile",
        "",
    ]
    assert shard.texts("boat", tokens=24, kind="profile") == ["left-handed", "allergic to nuts"]
    assert shard.texts("nothing", tokens=100, about="bob") == []


def test_a_namespace_has_its_own_parameters_with_a_past() -> None:
    shard = Shard()
    shard.remember("tea, tea and more tea", salience=0.0)
    shard.remember("some tea at the house of a friend", salience=1.0)
    assert shard.texts("tea") != shard.texts("tea", parameters=parameters(salience=9))
    before = shard.machine.applied_index
    shard.write(
        "SetNamespaceSettings", recall=parameters(salience=9, fusion=memory_pb2.FUSION_RECIPROCAL_RANKS)
    )
    assert shard.texts("tea")[0].startswith("some tea")
    assert shard.texts("tea", at_index=before)[0].startswith("tea, tea")
    assert shard.texts("tea", parameters=parameters(salience=0))[0].startswith("tea, tea")
    settings = shard.read("GetNamespaceSettings")
    assert settings.recall == parameters(salience=9, fusion=memory_pb2.FUSION_RECIPROCAL_RANKS)
    assert settings.recall_provenance.agent == "alice"
    shard.write("Fork", fork="fork")
    assert shard.texts("tea", namespace=f"{NAMESPACE}@fork")[0].startswith("some tea")
    shard.write("SetNamespaceSettings", recall=parameters())
    assert shard.texts("tea")[0].startswith("tea, tea")
    assert not shard.read("GetNamespaceSettings").HasField("recall")


def test_in_a_fork_old_and_new_compete_and_what_ended_there_is_gone() -> None:
    shard = Shard()
    for place in range(8):
        shard.remember(f"boat number {place}", 1, place / 10, id=str(place), about="harbour")
    shard.write("Fork", fork="fork")
    fork = {"namespace": f"{NAMESPACE}@fork"}
    shard.write("Forget", id="3", **fork)
    shard.write("Remember", text="boat number 5, repainted", id="5", about="harbour", **fork)
    shard.write("Remember", text="boat number 9", id="9", about="harbour", **fork)
    found = shard.texts("boat number", 1, 0, **fork)
    assert set(found) == {
        *(f"boat number {place}" for place in (0, 1, 2, 4, 6, 7, 9)),
        "boat number 5, repainted",
    }
    assert shard.texts("boat number 9", **fork)[0] == "boat number 9"
    assert "boat number 3" in shard.texts("boat number", 1, 0)
    assert "boat number 9" in shard.texts("harbour", **fork)  # about the entity that is named


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "embedding: 0 bytes"),
        ({"query": "x" * 65537}, "query: 65537 bytes, at most 65536"),
        ({"query": "x", "embedding": b"abc"}, "embedding: 3 bytes"),
        ({"query": "x", "k": 1001}, "k: 1001, at most 1000"),
        ({"query": "x", "turn": "x" * 256}, "turn: 256 bytes, at most 255"),
        ({"query": "x", "receipt": 9}, "receipt: 9, from 0 to 3"),
        ({"query": "x", "parameters": parameters(diversity=2)}, "parameters.diversity: 2, from 0 to 1"),
        ({"query": "x", "parameters": parameters(text=float("inf"))}, "parameters.text: inf"),
        ({"query": "x", "parameters": parameters(graph_depth=4)}, "parameters.graph_depth: 4, from 0 to 3"),
        ({"query": "x", "parameters": parameters(fusion=7)}, "parameters.fusion: 7, from 0 to 2"),
    ],
)
def test_what_is_malformed_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        Shard().read("Recall", **fields)


def test_settings_are_checked_alike() -> None:
    with pytest.raises(Refused, match=r"recall\.half_life_days: 0, from"):
        Shard().write("SetNamespaceSettings", recall=parameters(half_life_days=0))


def test_another_model_is_refused_and_none_is_compared_with_nothing() -> None:
    shard = Shard()
    shard.remember("the boat is green")
    assert shard.texts("boat", 1, 0) == ["the boat is green"]
    shard.remember("the boat is red", 1, 0)
    with pytest.raises(Refused, match="another"):
        shard.recall("boat", embedding=floats(1, 0), fingerprint="another")


def test_a_receipt_refreshes_what_it_names_from_its_commit_on() -> None:
    shard = Shard()
    shard.remember("tea in the morning", salience=0.8)
    shard.remember("tea in the evening", salience=0.8)
    shard.now_us += 30 * DAY_US
    ways = parameters(salience=1, recency=1, decay_per_day=0.05, half_life_days=30)

    def measured(**fields: Any) -> dict[str, tuple[float, float]]:
        response = shard.recall("tea", parameters=ways, **fields)
        return {
            hit.memory.text[11:]: (
                signal(response, at, "salience").value,
                signal(response, at, "recency").value,
            )
            for at, hit in enumerate(response.hits)
        }

    request = memory_pb2.RecallRequest(namespace=NAMESPACE, query="morning")
    answer = shard.recall("morning", k=1)
    receipt = make_receipt("alice", request, answer, shard.now_us)
    recorded = log_pb2.RecordRecallsCommand(namespace=NAMESPACE, ids=["r1"], receipts=[receipt])
    before = shard.machine.applied_index
    shard.machine.apply(before + 1, shard.now_us, 7, [Command(KIND_RECORD_RECALLS, "", recorded)])
    old, new = 0.8 * np.exp(-0.05 * 30), 0.8
    now = measured()
    assert now["morning"] == pytest.approx((new, 1.0), rel=1e-4)
    assert now["evening"] == pytest.approx((old, 0.5), rel=1e-4)
    # As of the entry before, nothing was recalled yet, and it is the day on which both were written.
    assert measured(at_index=before)["morning"] == pytest.approx((0.8, 1.0))
    shard.now_us += 30 * DAY_US
    shard.remember("lunch")
    assert measured()["morning"] == pytest.approx((old, 0.5), rel=1e-4)
