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
