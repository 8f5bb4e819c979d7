"""`memraft kv query` and `memraft kv index` on the directory of an embedded memory."""

from __future__ import annotations

import json

from tests.unit.cli.test_graph import Shell, shell

__all__ = ["shell"]


def test_documents_are_found_sorted_and_paged(shell: Shell) -> None:
    for key, value in (("t1", '{"n": 1, "by": {"city": "Bern"}}'), ("t2", '{"n": 3}'), ("t3", '{"n": 2}')):
        shell("kv", "put", key, value)
    assert shell("kv", "index", "declare", "n") == "declared: n\n"
    assert shell("kv", "index", "declare", "n") == "was declared already: n\n"
    first = json.loads(shell("kv", "query", '{"n": {"$gte": 1}}', "--sort=-n", "--limit", "2", "--json"))
    assert [each["key"] for each in first["items"]] == ["t2", "t3"]
    rest = ("--sort=-n", "--limit", "2", "--cursor", first["next_cursor"])
    assert "t1" in shell("kv", "query", '{"n": {"$gte": 1}}', *rest)
    assert "the next_cursor of a page of this call" in shell("kv", "query", *rest, status=1)
    told = shell("kv", "query", "--field", "by.city", "--prefix", "t", "--end", "t2", "--explain")
    assert told.splitlines()[1].split()[-1] == '{"by":{"city":"Bern"}}'
    assert told.splitlines()[2].startswith("no index, looked at 1 documents, as of log index")
    assert shell("kv", "index", "list").splitlines()[1].split()[0] == "n"
    assert shell("kv", "index", "drop", "n") == "dropped: n\n"
    assert "no index on 'n' in acme/a" in shell("kv", "index", "drop", "n", status=1)
    assert "no such operator" in shell("kv", "query", '{"n": {"$near": 1}}', status=1)
