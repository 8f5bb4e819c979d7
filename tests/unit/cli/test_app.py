"""The command line as a whole: help, usage errors, failures without tracebacks."""

import argparse
import re
from pathlib import Path

import pytest

import memraft_server.cli
from memraft_server.cli import main
from memraft_server.cli.app import GROUPS, build_parser

VARIABLES = ("MEMRAFT_ENDPOINTS", "MEMRAFT_CERTS", "MEMRAFT_NAMESPACE", "MEMRAFT_AGENT")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for group in GROUPS:
        assert group.__name__.rpartition(".")[2] in text


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def test_every_command_and_its_actions_are_in_the_documentation() -> None:
    """An action stands behind its command, or in a line about the command."""
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    for name, parser in _commands(build_parser()).items():
        assert f"`{name}`" in str(memraft_server.cli.__doc__)
        about = [line for line in text.splitlines() if f"memraft {name}" in line]
        assert about, name
        for action in _commands(parser):
            named = any(re.search(rf"\b{action}\b", line) for line in about)
            assert named or f"`{name} {action} " in text, f"{name} {action}"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["kv"],
        ["kv", "get"],
        ["kv", "get", "k", "--at", "yesterday"],
        ["bench", "kv", "--rounds", "x"],
        ["certs", "issue", "--dir", "d", "--out", "o"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("memraft: ")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--nowhere"], ["extra"]])
def test_an_argument_too_many_points_to_the_help_of_its_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["kv", "get", "k", *arguments])
    said = f"memraft: unrecognized arguments: {arguments[0]} (see memraft kv get --help)\n"
    assert ended.value.code == 2 and capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["kv", "get", "k"], "--namespace TENANT/NAME or MEMRAFT_NAMESPACE"),
        (["kv", "get", "k", "--namespace", "acme/a"], "--endpoints HOST:PORT,... or MEMRAFT_ENDPOINTS"),
        (["status"], "--endpoints HOST:PORT,... or MEMRAFT_ENDPOINTS"),
        (["status", "--endpoints", "h:1"], "--certs DIR or MEMRAFT_CERTS"),
        (["status", "--endpoints", "h:1", "--certs", "/nowhere"], "has no file ca.pem"),
        (["demo", "--nodes", "2"], "needs --nodes 3"),
        (["certs", "issue", "--dir", "d", "--out", "o", "--node", "n1"], "--node needs --host"),
        (["certs", "issue", "--dir", "d", "--out", "o", "--agent", "x"], "TENANT/AGENT"),
    ],
)
def test_arguments_that_do_not_suffice_say_what_is_missing(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert complaint in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", "/nowhere/node.toml"]) == 1
    complaint = capsys.readouterr().err
    assert "/nowhere/node.toml" in complaint
    assert complaint.count("\n") == 1
    assert main(["demo", "--input", "/nowhere/talk.json"]) == 1
    assert "/nowhere/talk.json" in capsys.readouterr().err
