"""Which calls and reads travel together, and what each of their callers is told."""

from typing import Any

import grpc
import pytest

from memraft import InvalidArgument, NotFound, OutcomeUnknown, QuotaExceeded, errors
from memraft._exchange import CALL_BYTES_MAX, Call, ExchangeFlight, group_of, lane_of
from memraft._gather import ALONE, Flight, Gatherer
from memraft._gets import Get, GetFlight, Shelf, is_key, value_of
from memraft._status import ATTEMPT_TIMEOUT
from memraft._sync.exchanges import Exchanges
from memraft._sync.io import Waiter
from memraft_proto.exchange import CALLS_MAX
from memraft_proto.methods import METHODS, Method
from memraft_proto.v1 import common_pb2, error_pb2, exchange_pb2, kv_pb2, run_pb2
from memraft_server.machine import Refused
from memraft_server.rpc.errors import status_of

SESSION = common_pb2.ReadContext(consistency=common_pb2.CONSISTENCY_SESSION)
LINEARIZABLE = common_pb2.ReadContext(consistency=common_pb2.CONSISTENCY_LINEARIZABLE)
DEADLINE_S = 1_000.0
NODE = "n1:7000"


def call(name: str, address: str = NODE, **fields: Any) -> Call:
    method = METHODS[name]
    request = method.request(namespace="acme/x", **fields)
    encoded = request.SerializeToString()
    return Call(method, encoded, address, DEADLINE_S, lane_of(method, request, len(encoded), address))


def get(key: str, namespace: str = "acme/x", context: common_pb2.ReadContext = SESSION) -> Get:
    party = Get(Shelf(namespace, context), 0, DEADLINE_S)
    party.parts.append(key)
    return party


def gathered(kind: type[Flight[Any]], *items: Any) -> Any:
    """The flight in which all of these go, while a first like them is under way."""
    lanes: Gatherer[Any, Any] = Gatherer(kind, Waiter, 10.0, lambda: 0.0)
    assert lanes.enter(items[0])
    assert not any(lanes.enter(each) for each in items[1:])
    flight = lanes.leave(items[0].lane)
    assert flight is not None and flight.items == list(items[1:])
    return flight


# -- calls of one node ---------------------------------------------------------------------------------------


def test_calls_of_any_kind_to_one_node_become_one() -> None:
    calls = [call("Put", key="a", value=b"1"), call("BeginRun", run_id="r"), call("Batch")]
    flight = gathered(ExchangeFlight, call("Put", key="first"), *calls)
    method, encoded = flight.call()
    request = exchange_pb2.ExchangeRequest.FromString(encoded)
    assert method.name == "Exchange"
    assert list(request.methods) == ["Put", "BeginRun", "Batch"]
    assert kv_pb2.PutRequest.FromString(request.requests[0]).key == "a"
    replies = [kv_pb2.PutResponse(version=5), run_pb2.BeginRunResponse(run_id="r"), None]
    encoded_replies = [b"" if each is None else each.SerializeToString() for each in replies]
    refused = Refused("NO_SUCH_RUN", "run 'r' is not there", {"run": "r"})
    status = error_pb2.ErrorStatus.FromString(status_of(refused)[2])
    failure = exchange_pb2.ExchangeResponse.Failure(call=2, status=status)
    flight.land(exchange_pb2.ExchangeResponse(replies=encoded_replies, failures=[failure]))
    assert [each.outcome for each in calls[:2]] == replies[:2]
    failed = calls[2].outcome
    assert isinstance(failed, NotFound)
    assert (str(failed), failed.reason, failed.metadata) == (
        "run 'r' is not there",
        "NO_SUCH_RUN",
        {"run": "r"},
    )


def test_one_that_waited_by_itself_goes_as_its_own_call() -> None:
    waited = call("Put", key="a")
    method, encoded = gathered(ExchangeFlight, call("Put"), waited).call()
    assert method is METHODS["Put"]
    assert method.request.FromString(encoded).key == "a"


def test_what_is_to_be_made_alone_is() -> None:
    calls = [call("Get", key="a"), call("Get", key="b")]
    flight = gathered(ExchangeFlight, call("Get"), *calls)
    answer = kv_pb2.GetResponse(found=True, value=b"1")
    flight.land(exchange_pb2.ExchangeResponse(replies=[b"", answer.SerializeToString()], alone=[0]))
    assert [each.outcome for each in calls] == [ALONE, answer]


def test_only_calls_that_take_about_as_long_share_a_lane() -> None:
    def group(name: str, **fields: Any) -> str | None:
        return group_of(METHODS[name], METHODS[name].request(**fields))

    assert group("Put") == group("Append") == group("Batch") == group("CommitTxn") == "write"
    assert group("Get", context=SESSION) == group("GetState") == group("MultiGet") == "read"
    assert group("Get", context=LINEARIZABLE) == group("GetLease", context=LINEARIZABLE) == "linearizable"
    for name in ("Recall", "List", "Query", "SearchVectors", "GetShardMap", "Exchange", "SetSchema", "Watch"):
        assert group(name) is None
    assert call("Put").key != call("Put", address="n2:7000").key


def test_a_large_request_goes_by_itself() -> None:
    assert call("Put", value=bytes(100)).key is not None
    assert call("Put", value=bytes(CALL_BYTES_MAX)).key is None
    assert ExchangeFlight.ITEMS_MAX <= CALLS_MAX


@pytest.mark.parametrize(
    ("error", "is_alone"),
    [
        (InvalidArgument("n1:7000 has no Exchange"), True),
        (errors.ConnectionFailed("gone", reason="CONNECTION_LOST"), False),
        (errors.Unauthenticated("who?"), False),
        (errors.Overloaded("full"), False),
    ],
)
def test_what_becomes_of_the_calls_of_an_exchange_that_fails(
    error: errors.MemraftError, is_alone: bool
) -> None:
    calls = [call("Put", key="a"), call("Put", key="b")]
    flight = gathered(ExchangeFlight, call("Put"), *calls)
    flight.fail(error)
    for each in calls:
        assert each.outcome is ALONE if is_alone else vars(each.outcome) == vars(error)
    assert is_alone or calls[0].outcome is not calls[1].outcome


def test_calls_of_an_interrupted_exchange_may_have_been_made() -> None:
    calls = [call("Put", key="a"), call("Put", key="b")]
    gathered(ExchangeFlight, call("Put"), *calls).lose()
    assert [each.outcome.reason for each in calls] == [ATTEMPT_TIMEOUT] * 2


def test_an_answer_that_is_none_is_as_good_as_lost() -> None:
    calls = [call("Put", key="a"), call("Put", key="b")]
    flight = gathered(ExchangeFlight, call("Put"), *calls)
    flight.land(exchange_pb2.ExchangeResponse(replies=[b"\xff", b""]))
    assert calls[0].outcome.reason == ATTEMPT_TIMEOUT
    assert calls[1].outcome == kv_pb2.PutResponse()


class OldNode:
    """Answers Put; knows no Exchange."""

    is_closed = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.meanwhile: Any = None

    def callable(self, address: str, method: Method) -> Any:
        def make(request: bytes, timeout: float) -> Any:
            self.asked.append(method.name)
            if method.name == "Exchange":
                raise Unimplemented
            if self.meanwhile is not None:
                (meanwhile, self.meanwhile) = self.meanwhile, None
                meanwhile()
            return method.response()

        return make


class Unimplemented(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNIMPLEMENTED


def test_a_node_without_exchanges_is_asked_once() -> None:
    node = OldNode()
    exchanges = Exchanges(node)

    def exchange() -> Any:
        request = exchange_pb2.ExchangeRequest().SerializeToString()
        return exchanges._send(METHODS["Exchange"], request, NODE, DEADLINE_S)

    with pytest.raises(InvalidArgument, match="has no Exchange"):
        exchange()

    def another() -> None:
        exchanges.call(NODE, METHODS["Put"], kv_pb2.PutRequest(key="b"), 10.0)

    node.meanwhile = another  # while a call is under way: it would wait for it, were there exchanges
    exchanges.call(NODE, METHODS["Put"], kv_pb2.PutRequest(key="a"), 10.0)
    assert node.asked == ["Exchange", "Put", "Put"]


# -- reads of one namespace ----------------------------------------------------------------------------------


def test_reads_of_one_namespace_become_one_and_each_gets_its_value() -> None:
    gets = [get("a"), get("none"), get("b")]
    flight = gathered(GetFlight, get("first"), *gets)
    method, request = flight.call()
    assert method.name == "MultiGet"
    assert (request.namespace, request.context, list(request.keys)) == ("acme/x", SESSION, ["a", "none", "b"])
    flight.land(kv_pb2.MultiGetResponse(kinds=b"\1\0\1", values=[b"1", b"", b"2"], versions=[1, 0, 2]))
    assert [value_of(each.outcome) for each in gets] == [b"1", b"", b"2"]


def test_a_read_by_itself_is_a_get() -> None:
    method, request = gathered(GetFlight, get("first"), get("a")).call()
    assert method.name == "Get"
    assert request == kv_pb2.GetRequest(namespace="acme/x", context=SESSION, key="a")
    assert value_of(kv_pb2.GetResponse(found=True, value=b"1")) == b"1"
    assert value_of(kv_pb2.GetResponse()) == b""


def test_another_namespace_or_consistency_is_another_lane() -> None:
    assert len({get("k").key, get("k", namespace="acme/y").key, get("k", context=LINEARIZABLE).key}) == 3


@pytest.mark.parametrize("error", [InvalidArgument("key: too long"), QuotaExceeded("operations_per_s")])
def test_what_may_be_the_fault_of_one_read_has_each_asked_alone(error: errors.MemraftError) -> None:
    gets = [get("a"), get("b")]
    gathered(GetFlight, get("first"), *gets).fail(error)
    assert [each.outcome for each in gets] == [ALONE, ALONE]


def test_a_read_is_never_of_unknown_outcome() -> None:
    gets = [get("a"), get("b")]
    gathered(GetFlight, get("first"), *gets).lose()
    for each in gets:
        assert isinstance(each.outcome, errors.Unavailable) and not isinstance(each.outcome, OutcomeUnknown)


@pytest.mark.parametrize(
    ("key", "is_one"),
    [("k", True), ("é", True), ("", True), ("\ud800", False), (7, False), ("x" * 2_000, False)],
)
def test_what_cannot_be_a_key_spoils_no_others(key: object, is_one: bool) -> None:
    assert is_key(key) is is_one
