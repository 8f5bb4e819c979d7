"""Configuration: one tree, checked once, and every setting documented."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from memraft_server.admission.quotas import Quota
from memraft_server.config import Config, ConfigError, Member, load, parse, split_address

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"

SMALLEST: dict[str, Any] = {
    "node": {"id": 1, "name": "n1", "data_dir": "data"},
    "cluster": {
        "name": "c",
        "nodes": [{"id": 1, "name": "n1", "peer": "127.0.0.1:7100", "client": "127.0.0.1:7000"}],
    },
    "tls": {"ca": "ca.pem", "cert": "cert.pem", "key": "/etc/key.pem"},
}


def settings(kind: Any, path: str) -> list[str]:
    """Every setting below ``kind``, as the document writes it."""
    if kind is Quota:
        return [path, *settings_of(Quota, "quotas.*")]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return settings_of(kind, path)
    if Member in typing.get_args(kind):
        return [path, *settings_of(Member, path)]
    if Quota in typing.get_args(kind):
        return [path, *settings_of(Quota, "quotas.*")]
    return [path]


def settings_of(kind: type[msgspec.Struct], path: str) -> list[str]:
    found: list[str] = []
    for field in msgspec.structs.fields(kind):
        found += settings(field.type, f"{path}.{field.name}" if path else field.name)
    return found


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    documented = re.findall(r"^\| `([a-z_.*]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == set(settings(Config, ""))


def test_the_documented_defaults_are_the_real_ones() -> None:
    rows = re.findall(
        r"^\| `([a-z_]+)\.([a-z_]+)` \| (\S+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    config = parse(SMALLEST, "node.toml", Path("/"))
    checked = 0
    for section, name, default in rows:
        text = default.strip('`"')
        value = getattr(getattr(config, section), name)
        if text != "required" and isinstance(value, bool | int | float):
            assert text == str(value).lower(), f"{section}.{name}"
            checked += 1
    assert checked > 20


def test_the_example_of_the_document_is_a_configuration(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    file = tmp_path / "node.toml"
    file.write_text(example[1], encoding="utf-8")
    config = load(file)
    assert config.node.data_dir == str(tmp_path / "data")
    assert config.tls.key == str(tmp_path / "certs/key.pem")
    assert (config.client_listen, config.peer_listen) == ("10.0.0.1:7000", "10.0.0.1:7100")


def changed(**sections: Any) -> dict[str, Any]:
    """The smallest configuration with other sections."""
    return {**SMALLEST, **sections}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown section": (changed(raf={}), "unknown field raf: did you mean raft?"),
    "an unknown field": (changed(raft={"tick": 1}), "unknown field raft.tick: did you mean tick_ms?"),
    "an unknown field far from any": (
        changed(log={"zzzz": 1}),
        "unknown field log.zzzz: there are level, format",
    ),
    "an unknown field of a node": (
        changed(cluster={"name": "c", "nodes": [{"id": 1, "nam": "n1"}]}),
        "unknown field cluster.nodes[0].nam: did you mean name?",
    ),
    "an unknown field of a quota": (
        changed(quotas={"tenant": {"acme": {"byte_max": 1}}}),
        "unknown field quotas.tenant.acme.byte_max: did you mean bytes_max?",
    ),
    "a missing field": (
        changed(node={"id": 1, "name": "n1"}),
        "node: Object missing required field `data_dir`",
    ),
    "a number as text": (changed(raft={"tick_ms": "50"}), "raft.tick_ms: Expected `int`, got `str`"),
    "a number out of range": (changed(raft={"tick_ms": 1}), "raft.tick_ms: 1 is not between 5 and 10000"),
    "an unknown mode": (
        changed(durability={"mode": "never"}),
        "durability.mode: Invalid enum value 'never': there are commit, relaxed",
    ),
    "an unknown engine": (
        changed(client={"engine": "typo"}),
        "client.engine: Invalid enum value 'typo': there are lean, grpcio",
    ),
    "an unknown event loop": (
        changed(node={"id": 1, "name": "n1", "data_dir": "d", "event_loop": "typo"}),
        "node.event_loop: Invalid enum value 'typo': there are auto, asyncio",
    ),
    "an unknown word where there may be true or false": (
        changed(raft={"sync_in_thread": "typo"}),
        "raft.sync_in_thread: Invalid enum value 'typo': there are auto, true, false",
    ),
    "an unknown level": (
        changed(log={"level": "typo"}),
        "log.level: Invalid enum value 'typo': there are debug, info, warning, error",
    ),
    "an unknown format": (
        changed(log={"format": "typo"}),
        "log.format: Invalid enum value 'typo': there are json, text",
    ),
    "an id that is not in the cluster": (
        changed(node={"id": 2, "name": "n2", "data_dir": "d"}),
        "node.id: 2 is not among cluster.nodes, which has [1]",
    ),
    "a name that the cluster does not know": (
        changed(node={"id": 1, "name": "n7", "data_dir": "d"}),
        "node.name: 'n7', but cluster.nodes calls node 1 'n1'",
    ),
    "an address without a port": (
        changed(client={"listen": "localhost"}),
        "client.listen: 'localhost' is not host:port",
    ),
    "no certificate": (changed(tls={"ca": "a", "key": "k"}), "tls.cert: is missing"),
    "certificates and plain text": (
        changed(tls={"enabled": False, "ca": "a"}),
        "tls.ca: is given, but tls.enabled = false",
    ),
    "a negative quota": (
        changed(quotas={"default": {"bytes_max": -1}}),
        "quotas.default: bytes_max = -1 is negative",
    ),
}


@pytest.mark.parametrize("problem", WRONG)
def test_what_is_wrong_is_named_with_its_file(problem: str) -> None:
    tree, message = WRONG[problem]
    with pytest.raises(ConfigError) as caught:
        parse(tree, "node.toml", Path("/"))
    assert str(caught.value).startswith(f"node.toml: {message}")


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read: No such file"):
        load(tmp_path / "gone.toml")
    (tmp_path / "bad.toml").write_text("[node\n")
    with pytest.raises(ConfigError, match=r"bad\.toml: not TOML: .*line 1"):
        load(tmp_path / "bad.toml")


def test_addresses_may_be_of_ipv6() -> None:
    assert split_address("[::1]:7000") == ("::1", 7000)
    assert split_address("localhost:0") == ("localhost", 0)
    for bad in ("localhost", "a:b", "h:70000", ":1", "::1:7000"):
        with pytest.raises(ValueError, match="is not host:port"):
            split_address(bad)
