"""gRPC statuses become the exceptions of this package; details are read as Google's messages write them."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from memraft import errors
from memraft._status import ATTEMPT_TIMEOUT, CONNECT_FAILED, CONNECTION_LOST, NOT_TAKEN, explain
from memraft_proto.v1 import error_pb2
from memraft_server.machine.refused import STATUS_CODES


class Failure:
    """What a grpc.RpcError tells."""

    def __init__(self, code: grpc.StatusCode, message: str, *details: object) -> None:
        self._code, self._message = code, message
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            packed = AnyMessage()
            packed.Pack(detail)  # type: ignore[arg-type]
            status.details.append(packed)
        trailer = (("grpc-status-details-bin", status.SerializeToString()),) if details else ()
        self._trailer = (("date", "today"), *trailer)

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> tuple[tuple[str, object], ...]:
        return self._trailer


def test_genuine_details_are_read_without_their_package() -> None:
    info = error_details_pb2.ErrorInfo(
        reason="RATE_LIMITED", domain="memraft.dev", metadata={"limit": "operations_per_s"}
    )
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1_250)
    quota = error_details_pb2.QuotaFailure(
        violations=[error_details_pb2.QuotaFailure.Violation(subject="tenant:acme")]
    )
    failure = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "100 a second", retry, quota, info)
    error = explain(failure, "n1:1")
    assert isinstance(error, errors.QuotaExceeded)
    assert (error.message, error.reason, error.limit) == ("100 a second", "RATE_LIMITED", "operations_per_s")
    assert error.retry_after_s == 1.25
    assert error.retryable


@pytest.mark.parametrize("reason", sorted(STATUS_CODES))
def test_every_reason_of_the_contract_has_an_exception(reason: str) -> None:
    assert f"ERROR_REASON_{reason}" in error_pb2.ErrorReason.keys()  # noqa: SIM118
    error = errors.from_reason(reason, "message", {"shard": "3"})
    assert error.reason == reason
    assert error.metadata == {"shard": "3"}
    assert str(error) == "message"
    if reason != "INTERNAL":
        assert type(error) is not errors.ServerError
    code = STATUS_CODES[reason]
    if code == code_pb2.UNAVAILABLE:
        assert isinstance(error, errors.Unavailable | errors.OutcomeUnknown)
    if code == code_pb2.INVALID_ARGUMENT:
        assert isinstance(error, errors.InvalidArgument)


@pytest.mark.parametrize(
    ("code", "message", "kind", "reason"),
    [
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses; last error: refused",
            errors.ConnectionFailed,
            CONNECT_FAILED,
        ),
        (grpc.StatusCode.UNAVAILABLE, f"{NOT_TAKEN}: gone", errors.ConnectionFailed, CONNECT_FAILED),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", errors.ConnectionFailed, CONNECTION_LOST),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", errors.Unavailable, ATTEMPT_TIMEOUT),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit", errors.Overloaded, "OVERLOADED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Sent message larger than max", errors.InvalidArgument, ""),
        (grpc.StatusCode.UNAUTHENTICATED, "who?", errors.Unauthenticated, ""),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", errors.ServerError, ""),
    ],
)
def test_a_status_without_details_is_told_by_its_code(
    code: grpc.StatusCode, message: str, kind: type[errors.MemraftError], reason: str
) -> None:
    error = explain(Failure(code, message), "n1:1")
    assert type(error) is kind
    assert error.reason == reason
    assert "n1:1" in str(error)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("CLIENT: Sent message larger than max (68157482 vs. 67108864)", "request has 68157482 bytes"),
        ("SERVER: Received message larger than max (20971562 vs. 16777216)", "request has 20971562 bytes"),
        ("CLIENT: Received message larger than max (68157482 vs. 67108864)", "answer would have 68157482"),
    ],
)
def test_a_message_too_large_is_told_with_its_limit(message: str, says: str) -> None:
    error = explain(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, message), "n1:1")
    assert isinstance(error, errors.InvalidArgument)
    assert says in str(error)
    assert f"at most {message.split()[-1][:-1]}" in str(error)


def test_damaged_details_are_passed_over() -> None:
    failure = Failure(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    failure._trailer = (("grpc-status-details-bin", b"\xff\xff"),)  # type: ignore[assignment]
    assert isinstance(explain(failure, "n1:1"), errors.ConnectionFailed)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    documented = [
        line.split("── ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line
    ]
    defined = [
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.MemraftError) and name != "MemraftError"
    ]
    assert sorted(documented) == sorted(defined)
