"""`memraft kv schema` and `memraft namespace` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.test_coordination import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "memory", capsys)


def test_a_schema_is_set_listed_and_removed(shell: Shell) -> None:
    assert "set the schema of 'users/'" in shell("kv", "schema", "set", "users/", '{"required": ["name"]}')
    refused = shell("kv", "put", "users/1", '{"nam": "ann"}', status=1)
    assert refused == (
        "memraft: value: $: 'name' is a required property (schema of prefix 'users/', #/required)\n"
    )
    shell("kv", "put", "users/1", '{"name": "ann"}')
    assert shell("kv", "schema", "list").splitlines()[1].endswith('ann    {"required":["name"]}')
    (item,) = json.loads(shell("kv", "schema", "list", "users", "--json"))["items"]
    assert (item["prefix"], item["schema"], item["log_index"]) == ("users/", {"required": ["name"]}, 1)
    assert 'at $.type: "text" is no type' in shell("kv", "schema", "set", "x", '{"type": "text"}', status=1)
    assert "removed the schema" in shell("kv", "schema", "remove", "users/")
    assert "no schema for prefix 'users/'" in shell("kv", "schema", "remove", "users/", status=1)
    assert len(shell("kv", "schema", "list", "--at", "1").splitlines()) == 2
    shell("kv", "put", "users/1", "1")


def test_settings_of_a_namespace_are_set_and_shown(shell: Shell) -> None:
    shell("namespace", "set", "--entries-max", "1", "--default-ttl-ms", "86400000")
    for key in ("a", "b"):
        shell("kv", "put", key, "1")
    shown = shell("namespace", "show")
    assert "86,400,000 ms" in shown and "1 of at most 1" in shown and "any number" in shown
    assert json.loads(shell("namespace", "show", "--json"))["entries_max"] == 1
    assert json.loads(shell("namespace", "show", "--json", "--at", "0"))["entries_max"] == 0
    assert "(evicted)" in shell("kv", "history", "a").splitlines()[1]
    assert json.loads(shell("kv", "history", "a", "--json"))["items"][0]["reason"] == "evicted"
    assert "nothing to change" in shell("namespace", "set", status=2)
    assert "default_ttl_ms must be an integer from 0" in shell(
        "namespace", "set", "--default-ttl-ms", "-1", status=1
    )
