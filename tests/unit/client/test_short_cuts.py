"""In process, a plain `get` and a plain `search` take a short cut past the messages; answers are the same."""

import numpy as np
import pytest

from memraft import Memory, errors

ROWS = np.random.default_rng(7).normal(size=(50, 8)).astype(np.float32)


@pytest.fixture
def memory():
    with Memory(namespace="acme/short") as memory:
        memory.create_collection("notes", 8)
        metadatas = [{"row": row} if row % 2 else None for row in range(50)]
        memory.upsert_many("notes", [f"n{row}" for row in range(50)], ROWS, metadatas=metadatas)
        yield memory


def test_a_search_gives_the_same_with_and_without_messages(memory):
    # A consistency that is named goes the long way.
    short = memory.search("notes", ROWS[3], k=7)
    assert short == memory.search("notes", ROWS[3], k=7, consistency="linearizable")
    assert short[0].id == "n3" and short[0].metadata == {"row": 3}


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("nowhere", ROWS[0]), errors.NotFound, "nowhere"),
        (("notes", ROWS[0][:5]), errors.EmbeddingMismatch, "8"),
        (("notes", [float("nan")] * 8), errors.InvalidArgument, "component 0"),
        (("notes", [1e39] * 8), errors.InvalidArgument, "component 0"),
        (("notes", np.full(8, 1e39)), errors.InvalidArgument, "component 0"),
        (("notes", [10**400] * 8), errors.InvalidArgument, "not a sequence of numbers"),
        ((["notes"], ROWS[0]), errors.InvalidArgument, "collection"),
        (("notes", "words"), errors.InvalidArgument, "not a sequence of numbers"),
        (("notes", ROWS), errors.InvalidArgument, "one row of numbers"),
    ],
)
def test_a_search_that_is_off_gets_the_long_way_s_error(memory, arguments, error, says):
    with pytest.raises(error, match=says):
        memory.search(*arguments)


@pytest.mark.parametrize("k", [-1, 1_001])
def test_k_is_bounded_on_both_ways(memory, k):
    with pytest.raises(errors.InvalidArgument, match="k"):
        memory.search("notes", ROWS[0], k=k)


@pytest.mark.parametrize("k", ["x", 2.5, [1]])
def test_what_is_no_number_of_matches_is_refused_on_both_ways(memory, k):
    for consistency in (None, "linearizable"):
        with pytest.raises(errors.InvalidArgument, match="k"):
            memory.search("notes", ROWS[0], k=k, consistency=consistency)


def test_a_get_gives_the_same_with_and_without_messages(memory):
    memory.put("doc", {"a": [1, 2]})
    assert memory.get("doc") == memory.get("doc", consistency="linearizable") == {"a": [1, 2]}
    assert memory.get("none", "default") == "default"


def test_a_recall_gives_the_same_with_and_without_messages(memory):
    for row in range(30):
        metadata = {"row": row} if row % 2 else None
        about, kind = ("", "profile") if row == 4 else ("Ann", "")
        memory.remember(
            f"Ann has cup {row} since May", embedding=ROWS[row], metadata=metadata, about=about, kind=kind
        )
    for asked in (
        {"query": "cup 3 of Ann", "embedding": ROWS[3]},
        {"query": "cup", "embedding": ROWS[3], "tokens": 40},
        {"query": "cup", "embedding": ROWS[5], "k": 3, "parameters": {"text": 2, "recency": 0.5}},
        {"embedding": ROWS[3], "k": 2},
        {"query": "nothing at all", "embedding": ROWS[3], "kind": "profile", "receipt": "none"},
    ):
        short = memory.recall(**asked)
        long = memory.recall(**asked, consistency="linearizable")
        assert short.items == long.items and short.parameters == long.parameters and len(short) > 0
        assert (short.log_index, short.time_us) == (long.log_index, long.time_us)
        assert (short.receipt is None) == (long.receipt is None) == (asked.get("receipt") == "none")
        if short.receipt is not None:
            one, other = memory.receipt(short.receipt), memory.receipt(long.receipt)
            same = {name: getattr(one, name) for name in one.__struct_fields__}
            same |= {
                name: getattr(other, name) for name in ("id", "recalled_at_us", "version", "committed_at_us")
            }
            same |= {"log_index": other.log_index, "time_us": other.time_us}
            assert type(one)(**same) == other


@pytest.mark.parametrize(
    "asked", [{"query": "cup", "k": 1_001}, {"query": "cup", "about_hops": 9}, {"query": "x" * 70_000}]
)
def test_a_recall_that_is_off_gets_the_same_error_on_both_ways(memory, asked):
    for consistency in (None, "linearizable"):
        with pytest.raises(errors.InvalidArgument):
            memory.recall(**asked, embedding=ROWS[0], consistency=consistency)
