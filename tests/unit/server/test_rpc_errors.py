"""One place turns errors into statuses, in the form that gRPC users know."""

from __future__ import annotations

import logging

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from memraft_cluster.errors import (
    CommandTooLarge,
    NotLeader,
    NotYetWritten,
    OutcomeUnknown,
    Overloaded,
    Stopped,
)
from memraft_proto.v1 import error_pb2
from memraft_server.machine import Refused
from memraft_server.machine.refused import STATUS_CODES
from memraft_server.rpc.errors import status_of, to_refused
from memraft_server.rpc.lean.replies import error_block


def address(node_id: int) -> str:
    return f"10.0.0.{node_id}:7000"


def test_every_reason_of_the_contract_has_a_code_and_no_other() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name, _ in error_pb2.ErrorReason.items()}
    assert reasons - {"UNSPECIFIED"} == STATUS_CODES.keys()


@pytest.mark.parametrize(
    ("error", "reason", "code", "metadata"),
    [
        (
            NotLeader(3, 2),
            "NOT_LEADER",
            grpc.StatusCode.UNAVAILABLE,
            {"shard": "3", "leader": "10.0.0.2:7000", "leader_node": "2"},
        ),
        (NotLeader(3, 0), "NO_LEADER", grpc.StatusCode.UNAVAILABLE, {"shard": "3", "retry_after_ms": "50"}),
        (OutcomeUnknown(3, 9), "OUTCOME_UNKNOWN", grpc.StatusCode.UNAVAILABLE, {"shard": "3"}),
        (
            Overloaded(3, "queued_bytes_max", 10),
            "OVERLOADED",
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            {"shard": "3", "limit": "queued_bytes_max", "value": "10", "retry_after_ms": "50"},
        ),
        (
            CommandTooLarge(11, 10),
            "INVALID_ARGUMENT",
            grpc.StatusCode.INVALID_ARGUMENT,
            {"limit": "command_bytes_max", "value": "10"},
        ),
        (NotYetWritten(3, 99, 7), "LAGGING", grpc.StatusCode.UNAVAILABLE, {"shard": "3", "known": "7"}),
        (Stopped("x"), "SHUTTING_DOWN", grpc.StatusCode.UNAVAILABLE, {}),
    ],
)
def test_errors_of_the_cluster(
    error: Exception, reason: str, code: grpc.StatusCode, metadata: dict[str, str]
) -> None:
    refused = to_refused(error, address)
    assert (refused.reason, dict(refused.metadata)) == (reason, metadata)
    assert status_of(refused)[0] is code


def test_an_error_that_should_not_be_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        refused = to_refused(KeyError("the secret"), address)
    assert refused.reason == "INTERNAL"
    assert "secret" not in refused.message
    assert "the secret" in str(caplog.records[0].exc_info)


def test_details_are_googles_own_and_the_contracts_messages_read_them() -> None:
    metadata = {"tenant": "acme", "limit": "operations_per_s", "retry_after_ms": "1500"}
    code, message, trailer = status_of(Refused("RATE_LIMITED", "too fast", metadata))
    status = status_pb2.Status.FromString(trailer)
    assert (code, status.code, status.message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 8, message)
    info, retry, quota = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RetryInfo(),
        error_details_pb2.QuotaFailure(),
    )
    for detail, into in zip(status.details, (info, retry, quota), strict=True):
        assert detail.Unpack(into)
    assert (info.reason, info.domain, dict(info.metadata)) == ("RATE_LIMITED", "memraft.dev", metadata)
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert quota.violations[0].subject == "tenant:acme"
    own = error_pb2.ErrorStatus.FromString(trailer)
    assert error_pb2.ErrorInfo.FromString(own.details[0].value).reason == "RATE_LIMITED"
    assert error_pb2.RetryInfo.FromString(own.details[1].value).retry_delay.seconds == 1


def test_a_long_message_fits_into_a_trailer() -> None:
    _, message, trailer = status_of(Refused("INVALID_ARGUMENT", "x" * 100_000, {"field": "y" * 100_000}))
    assert len(message) == 2_000
    assert len(trailer) < 4_000


@pytest.mark.parametrize("char", ["a", "é", "記", "🧠"])
def test_a_long_message_in_any_script_fits_into_what_grpc_takes(char: str) -> None:
    refused = Refused("QUOTA_EXCEEDED", char * 5_000, {"limit": char * 5_000, "retry_after_ms": "50"})
    code, message, details = status_of(refused)
    assert len(error_block(code, message, details)) < 10_000
