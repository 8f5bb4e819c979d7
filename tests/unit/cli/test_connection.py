"""Options that commands share."""

import argparse
import socket
from datetime import UTC, datetime, timedelta

import pytest

from memraft_server.cli import connection, main
from memraft_server.cli.connection import (
    add_value,
    await_listener,
    parse_at,
    parse_json_object,
    parse_value,
    value_of,
)
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.ports import free_ports


def test_at_is_a_log_index_or_a_moment() -> None:
    assert parse_at("1458") == 1458
    assert parse_at("2026-03-01T12:00:00") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert parse_at("2026-03-01T12:00:00Z") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    zoned = parse_at("2026-03-01T12:00:00+02:00")
    assert zoned == datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "age"),
    [("500ms", timedelta(seconds=0.5)), ("90s", timedelta(seconds=90)), ("1.5h", timedelta(minutes=90))],
)
def test_at_may_be_an_age(text: str, age: timedelta) -> None:
    before = datetime.now(UTC)
    moment = parse_at(text)
    assert isinstance(moment, datetime)
    assert before - age <= moment <= datetime.now(UTC) - age


@pytest.mark.parametrize("text", ["yesterday", "5 minutes", "-3", "", "²"])
def test_at_that_is_neither_is_refused_with_examples(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"a log index \(1458\), a time"):
        parse_at(text)


def test_what_a_person_types_is_json_where_it_is_json_and_text_otherwise() -> None:
    assert parse_value('{"a": 1}') == {"a": 1}
    assert parse_value("17") == 17
    assert parse_value("hello world") == "hello world"
    assert parse_value("it's {braced}") == "it's {braced}"


@pytest.mark.parametrize("text", ["{", " [1, 2", '"quoted', "{'a': 1}", "{" + "x" * 500])
def test_what_begins_as_json_and_is_not_is_refused_and_stored_only_with_string(text: str) -> None:
    with pytest.raises(UsageError, match="begins as JSON and is not") as refused:
        parse_value(text)
    assert len(str(refused.value)) < 250
    parser = argparse.ArgumentParser()
    add_value(parser, "value")
    assert value_of(parser.parse_args([text, "--string"]), "value") == text
    assert value_of(parser.parse_args(["[1]", "--string"]), "value") == "[1]"
    assert value_of(parser.parse_args(["[1]"]), "value") == [1]


def test_a_filter_must_be_an_object() -> None:
    assert parse_json_object('{"lang": "en"}', "--filter") == {"lang": "en"}
    with pytest.raises(UsageError, match="--filter must be a JSON object"):
        parse_json_object("[1]", "--filter")


def test_where_every_address_refuses_connections_the_command_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REFUSED_FOR_S", 0.2)
    first, second = (f"127.0.0.1:{port}" for port in free_ports(2))
    where = ("--endpoints", f"{first},{second}", "--insecure", "--namespace", "acme/a")
    assert main(["kv", "get", "k", *where]) == 1
    assert f"{first} and {second}: connection refused for 0.2 s" in capsys.readouterr().err
    # Who says how long it may take has it so.
    assert main(["kv", "get", "k", *where, "--timeout-s", "0.3"]) == 1
    assert "no node of the cluster can be reached" in capsys.readouterr().err


def test_one_address_that_takes_connections_is_enough() -> None:
    [refuses] = free_ports(1)
    with pytest.raises(CliError, match="connection refused for 0 s"):
        await_listener([f"127.0.0.1:{refuses}"], 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await_listener([f"127.0.0.1:{refuses}", f"127.0.0.1:{listener.getsockname()[1]}"], 0.0)
