"""The projection of docs/projections.md behaves alike on every backend."""

from collections.abc import Callable

import pytest

from memraft import InvalidArgument, Memory, NotFound


def test_the_example_of_the_documentation(open_memory: Callable[..., Memory], words: str) -> None:
    memory = open_memory(projections=[words])
    assert memory.project("words", {"all": ["car"]}) == []
    first = memory.put("car:1", {"text": "a red car"})
    memory.put("car:2", {"text": "A blue car"})
    with memory.txn() as t:
        t.put("bike", {"text": "a red bike"})
        t.put("other", ["no", "text"])
    assert memory.project("words", {"all": ["red", "car"]}) == ["car:1"]
    assert memory.project("words", {"all": ["a"]}, consistency="linearizable") == ["bike", "car:1", "car:2"]
    memory.put("car:1", {"text": "a green car"})
    memory.delete("bike")
    assert memory.project("words", {"all": ["red"]}) == []

    fork = memory.fork("what-if")
    fork.put("car:2", {"text": "a red car"})
    assert fork.project("words", {"all": ["red"]}) == ["car:2"]
    assert memory.project("words", {"all": ["blue"]}) == ["car:2"]

    [words_info] = memory.projections()
    assert (words_info.name, words_info.state, words_info.fault) == ("words", "following", "")
    assert words_info.projected_index >= first.log_index and len(words_info.state_hash) == 32
    with pytest.raises(InvalidArgument, match="such as"):
        memory.project("words", "red")
    with pytest.raises(InvalidArgument, match="answers as of now only"):
        memory.project("words", {"all": ["red"]}, at=first.log_index)
    with pytest.raises(NotFound, match="no 'letters' is registered here; there is 'words'"):
        memory.project("letters")
