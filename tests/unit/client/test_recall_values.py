"""What a recall is asked with and answers, seen from Python: parameters, reasons, rerankers, budgets."""

import asyncio
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from memraft import AsyncMemory, InvalidArgument, Memory
from memraft.types import RecallParameters
from memraft_proto.v1 import memory_pb2
from memraft_server.recall.fusion import Weights
from memraft_server.recall.parameters import Parameters


@pytest.fixture
def m() -> Iterator[Memory]:
    with Memory(agent="support", namespace="acme/recall-values") as memory:
        yield memory


def by_length(_query: str, texts: list[str]) -> list[float]:
    return [len(text) for text in texts]


def test_contract_client_and_pipeline_have_the_same_parameters() -> None:
    contract = {field.name for field in memory_pb2.RecallParameters.DESCRIPTOR.fields}
    pipeline = {each.name for each in fields(Weights)} | {each.name for each in fields(Parameters)} - {
        "weights"
    }
    assert contract == set(RecallParameters.__annotations__)
    assert contract == pipeline - {"by_ranks"} | {"fusion"}


def test_a_hit_says_why_it_was_found_and_where_it_came_from(m: Memory) -> None:
    written = m.scoped(run="run-7").remember("the boat is green", about="harbour")
    [hit] = m.recall("what colour is the boat")
    assert sum(reason.share for reason in hit.reasons) == pytest.approx(hit.score, abs=1e-6)
    assert hit.reasons[0].name == "text" and str(hit.reasons[0]).startswith("text +")
    assert hit.why().startswith(f"{hit.score:.3f} = text +")
    assert hit.why().endswith(f"agent support run run-7 version {written.version}")


def test_a_reranker_has_the_last_word(m: Memory) -> None:
    for text in ("tea", "tea and cake", "tea and cake in the garden", "nothing of it"):
        m.remember(text)
    found = m.recall("tea", rerank=by_length, k=2)
    assert [hit.text for hit in found] == ["tea and cake in the garden", "nothing of it"]
    assert [hit.score for hit in found] == [26.0, 13.0]
    assert (found[0].reasons[0].name, found[0].reasons[0].rank) == ("rerank", 1)
    assert {reason.name for reason in found[0].reasons} > {"rerank", "text"}
    few = m.recall("tea", rerank=by_length, rerank_k=2, k=1)
    assert few[0].text != "tea and cake in the garden" or len(m.recall("tea", k=2)) == 2
    assert m.recall("tea", about="nobody", rerank=by_length).items == ()


def test_a_reranker_is_given_the_query_and_may_be_a_coroutine_function() -> None:
    asked: list[tuple[str, int]] = []

    async def judge(query: str, texts: list[str]) -> list[float]:
        await asyncio.sleep(0)
        asked.append((query, len(texts)))
        return [text.count("e") for text in texts]

    async def use() -> list[str]:
        async with AsyncMemory() as memory:
            for text in ("tea", "teepee tea", "coffee with tea"):
                await memory.remember(text)
            return [hit.text for hit in await memory.recall("tea", rerank=judge)]

    assert asyncio.run(use()) == ["teepee tea", "coffee with tea", "tea"]
    assert asked == [("tea", 3)]


def test_with_a_budget_a_reranker_chooses_what_fits_after_the_profile(m: Memory) -> None:
    m.remember("left-handed", kind="profile")
    for text in ("tea", "tea and cake", "tea and cake in the garden"):
        m.remember(text)
    found = m.recall("tea", rerank=by_length, tokens=7)
    assert [hit.text for hit in found] == ["left-handed", "tea and cake", "tea"]
    assert [hit.text for hit in m.recall("tea", tokens=3)] == ["left-handed"]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([1.0], "rerank returned 1 scores for 2 texts"),
        ([1.0, float("nan")], "finite"),
        ([1.0, "high"], "numbers, not 'high'"),
        (5, "what rerank returns"),
    ],
)
def test_what_is_no_judgement_is_refused(m: Memory, returned: Any, message: str) -> None:
    m.remember("tea"), m.remember("more tea")
    with pytest.raises(InvalidArgument, match=message):
        m.recall("tea", rerank=lambda _query, _texts: returned)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"txt": 1}, "there is no 'txt'; there are text, vector"),
        ({"text": "much"}, "text"),
        ({"text": None}, "text must be a number, not None"),
        ({"fusion": "mean"}, "fusion must be 'min-max' or 'reciprocal-ranks', not 'mean'"),
        ({"diversity": 1.5}, r"parameters\.diversity: 1\.5, from 0 to 1"),
        (["text"], "parameters must be a mapping"),
    ],
)
def test_parameters_that_there_are_not_are_refused(m: Memory, given: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        m.recall("tea", parameters=given)


def test_what_was_counted_with_comes_back_as_it_was_given(m: Memory) -> None:
    m.remember("tea")
    found = m.recall("tea", parameters={"recency": 0.3, "fusion": "reciprocal-ranks", "graph_depth": 2})
    assert found.parameters["recency"] == 0.3
    assert (found.parameters["fusion"], found.parameters["graph_depth"]) == ("reciprocal-ranks", 2)
    m.set_settings(recall={"recency": 0.7, "diversity": 0.2})
    assert m.settings().recall == {"recency": 0.7, "diversity": 0.2}
    assert m.recall("tea").parameters["recency"] == 0.7
    m.set_settings(recall={})
    assert m.settings().recall == {}


def test_without_a_weight_of_vectors_nothing_is_embedded() -> None:
    made: list[str] = []

    def embed(text: str) -> list[float]:
        made.append(text)
        return [1.0, float(len(text))]

    with Memory(embedder=embed) as memory:
        memory.remember("tea")
        assert memory.recall("tea?", parameters={"vector": 0})[0].text == "tea"
    assert made == ["tea"]


def test_a_reranker_needs_a_text_to_judge_by(m: Memory) -> None:
    with pytest.raises(InvalidArgument, match="needs a query"):
        m.recall(embedding=[1.0, 2.0], rerank=by_length)
    with pytest.raises(InvalidArgument, match="receipt must be 'soon' or 'now' or 'none', not 'later'"):
        m.recall("tea", receipt="later")  # type: ignore[arg-type]
