"""What is malformed or over its limit is refused before it reaches the log, in words that name it."""

import re
from typing import Any

import pytest

from memraft_proto.v1 import kv_pb2, run_pb2, state_pb2, stream_pb2
from memraft_proto.v1.common_pb2 import WriteContext
from memraft_server.machine import (
    Limits,
    Refused,
    check_namespace,
    check_read,
    check_write,
    validate_common,
)
from tests.unit.machine.harness import KINDS, LIMITS, NAMESPACE, READS

put, get, multi_put = kv_pb2.PutRequest, kv_pb2.GetRequest, kv_pb2.MultiPutRequest
append, append_many = stream_pb2.AppendRequest, stream_pb2.AppendManyRequest
end_run = run_pb2.EndRunRequest


def check(request: Any) -> None:
    kind = KINDS.get(type(request))
    if kind is None:
        check_read(READS[type(request)], request, LIMITS)
    else:
        check_write(kind, request, LIMITS)


@pytest.mark.parametrize(
    "namespace",
    ["acme", "acme/support", "a/b/c/d/e/f/g/h", "A-1_x.y/0", "a" * 63, "/".join(["a" * 63] * 3)],
)
def test_namespaces_that_are_fine(namespace: str) -> None:
    check_namespace(namespace, LIMITS)


def test_a_namespace_of_megabytes_is_not_remembered() -> None:
    """The check keeps what it found out; it keyed that by whatever came, and 8 MB may come."""
    kept = validate_common._namespace_fault.cache_info().currsize
    for number in range(3):
        with pytest.raises(Refused, match="namespace: 7000001 bytes, at most 255"):
            check_namespace(str(number) + "x" * 7_000_000, LIMITS)
    assert validate_common._namespace_fault.cache_info().currsize == kept


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ("", "namespace: missing; such as 'acme/support'"),
        ("/acme", "segment '' of '/acme'"),
        ("acme/", "segment '' of 'acme/'"),
        ("acme//x", "segment '' of 'acme//x'"),
        ("acme/.hidden", "segment '.hidden'"),
        ("acme/..", "segment '..'"),
        ("acme/sup port", "segment 'sup port'"),
        ("acme/é", "segment 'é' of 'acme/é': 1 to 63 letters, digits, '.', '_' or '-'"),
        ("acme/x\n", r"segment 'x\n'"),
        ("a" * 64, "1 to 63 letters"),
        ("/".join("abcdefghi"), "namespace: 9 segments, at most 8"),
        ("/".join(["a" * 63] * 4) + "/b", "namespace: 257 bytes, at most 255"),
    ],
)
def test_namespaces_that_are_not(namespace: str, message: str) -> None:
    for _ in range(2):  # The second answer comes from a cache.
        with pytest.raises(Refused, match=re.escape(message)) as refused:
            check_namespace(namespace, LIMITS)
        assert refused.value.reason == "INVALID_ARGUMENT"


FINE: list[Any] = [
    put(namespace=NAMESPACE, key="k" * 512, value=b"null"),
    put(namespace=NAMESPACE, key="é" * 256, value='{"ä": "ö"}'.encode()),
    put(namespace=NAMESPACE, key="with space, #, / and \u00a0", value=b' [1, 2.5e3, "x", true] \n'),
    put(namespace=NAMESPACE, key="k", value=b'"' + b"x" * ((1 << 20) - 2) + b'"'),
    put(namespace=NAMESPACE, key="k", value=b"1", ttl_ms=100 * 365 * 86_400_000),
    put(
        namespace=NAMESPACE, key="k", value=b"1",
        context=WriteContext(client_id=b"c" * 16, request_number=3, first_unanswered=2, run="r", tool="t"),
    ),
    multi_put(namespace=NAMESPACE, keys=["a", "b"], values=[b"1", b""], kinds=b"\0\1", ttls_ms=[1, 0]),
    kv_pb2.ListRequest(namespace=NAMESPACE, limit=10_000),
    append_many(namespace=NAMESPACE, stream="s", types=[""], payloads=[b"1", b"2"]),
    state_pb2.CompareAndSwapRequest(namespace=NAMESPACE, name="n", remove=True),
    run_pb2.BeginRunRequest(namespace=NAMESPACE),
]  # fmt: skip


@pytest.mark.parametrize("request_", FINE, ids=lambda r: type(r).__name__)
def test_arguments_that_are_fine(request_: Any) -> None:
    check(request_)


def context(**fields: Any) -> Any:
    return put(namespace=NAMESPACE, key="k", value=b"1", context=WriteContext(**fields))


MALFORMED: list[tuple[Any, str]] = [
    (put(namespace="a b", key="k", value=b"1"), "namespace: segment 'a b'"),
    (put(namespace=NAMESPACE, key="", value=b"1"), "key: missing; 1 to 512 bytes"),
    (put(namespace=NAMESPACE, key="k" * 513, value=b"1"), "key: 513 bytes, at most 512"),
    (put(namespace=NAMESPACE, key="é" * 257, value=b"1"), "key: 514 bytes, at most 512"),
    (put(namespace=NAMESPACE, key="a\nb", value=b"1"), r"key: 'a\nb' has a control character"),
    (put(namespace=NAMESPACE, key="a\x85", value=b"1"), r"key: 'a\x85' has a control character"),
    (put(namespace=NAMESPACE, key="k"), "value: not JSON in UTF-8"),
    (put(namespace=NAMESPACE, key="k", value=b"{1}"), "value: not JSON in UTF-8: "),
    (put(namespace=NAMESPACE, key="k", value=b'"\xff"'), "value: not JSON in UTF-8: "),
    (put(namespace=NAMESPACE, key="k", value=b"NaN"), "value: not JSON in UTF-8: "),
    (put(namespace=NAMESPACE, key="k", value=b"[" * 9_999), "value: JSON nested too deeply"),
    (
        put(namespace=NAMESPACE, key="k", value=b" " * ((1 << 20) + 1)),
        "value: 1048577 bytes, at most 1048576",
    ),
    (put(namespace=NAMESPACE, key="k", value=b"1", ttl_ms=2**63), "ttl_ms: 9223372036854775808 ms, at most"),
    (context(client_id=b"short"), "context.client_id: 5 bytes, exactly 16 or none"),
    (context(client_id=b"c" * 16), "context.first_unanswered: 0, from 1 to request_number 0"),
    (context(client_id=b"c" * 16, request_number=1, first_unanswered=2), "2, from 1 to request_number 1"),
    (context(run="r" * 256), "context.run: 256 bytes, at most 255"),
    (context(tool="a\0"), "context.tool: "),
    (context(agent="a\tb"), "context.agent: "),
    (context(agent="a//b"), "context.agent: 'a//b': segments of 1 to 128 letters"),
    (context(agent="support/"), "context.agent: 'support/': segments"),
    (context(agent="support/\u202eecila"), "context.agent: "),
    (context(agent="a" * 129), "context.agent: "),
    (context(agent="/".join(["a" * 128] * 2)), "context.agent: 257 bytes, at most 255"),
    (kv_pb2.DeleteRequest(namespace=NAMESPACE), "key: missing"),
    (multi_put(namespace=NAMESPACE), "keys: 0, from 1 to 10000"),
    (multi_put(namespace=NAMESPACE, keys=["k"] * 10_001), "keys: 10001, from 1 to 10000"),
    (multi_put(namespace=NAMESPACE, keys=["k"]), "values: 0 elements, but keys has 1"),
    (
        multi_put(namespace=NAMESPACE, keys=["k"], values=[b"1"], kinds=b"\0\0"),
        "kinds: 2 elements",
    ),
    (
        multi_put(namespace=NAMESPACE, keys=["k"], values=[b"1"], kinds=b"\2"),
        "kinds: 2, 0 (put) or",
    ),
    (
        multi_put(namespace=NAMESPACE, keys=["k"], values=[b"1"], kinds=b"\1"),
        "values[0]: 1 bytes",
    ),
    (
        multi_put(namespace=NAMESPACE, keys=["k"], values=[b"1"], ttls_ms=[1, 2]),
        "ttls_ms: 2 elem",
    ),
    (
        multi_put(namespace=NAMESPACE, keys=["k"], values=[b"1"], ttls_ms=[2**60]),
        "ttls_ms: 11529",
    ),
    (multi_put(namespace=NAMESPACE, keys=["a", ""], values=[b"1", b"1"]), "keys[1]: missing"),
    (
        multi_put(namespace=NAMESPACE, keys=["a", "b"], values=[b"1", b"?"]),
        "values[1]: not JSON",
    ),
    (get(namespace=NAMESPACE), "key: missing"),
    (kv_pb2.ListRequest(namespace=NAMESPACE, limit=10_001), "limit: 10001, at most 10000"),
    (kv_pb2.ListRequest(namespace=NAMESPACE, prefix="\0"), "prefix: "),
    (kv_pb2.HistoryRequest(namespace=NAMESPACE, key="k", limit=10_001), "limit: 10001, at most 10000"),
    (kv_pb2.MultiGetRequest(namespace=NAMESPACE, keys=["k"] * 10_001), "keys: 10001, at most 10000"),
    (kv_pb2.MultiGetRequest(namespace=NAMESPACE, keys=["k", ""]), "keys[1]: missing"),
    (append(namespace=NAMESPACE, payload=b"1"), "stream: missing"),
    (
        append(namespace=NAMESPACE, stream="s", type="t" * 129, payload=b"1"),
        "type: 129 bytes",
    ),
    (append(namespace=NAMESPACE, stream="s"), "payload: not JSON"),
    (append_many(namespace=NAMESPACE, stream="s", types=["t"]), "payloads: 0, from 1 to"),
    (append_many(namespace=NAMESPACE, stream="s", payloads=[b"1"]), "types: 0"),
    *(
        (append_many(namespace=NAMESPACE, stream="s", types=["t"], payloads=[b"1"] * 600 + [bad]), message)
        for bad, message in (
            (b"?", "payloads[600]: not JSON"),
            (b'"\xff"', "payloads[600]: not JSON in UTF-8: "),
            (b'"%s"' % (b"x" * (1 << 20)), "payloads[600]: 1048578 bytes, at most 1048576"),
        )
    ),
    (stream_pb2.ReadStreamRequest(namespace=NAMESPACE), "stream: missing"),
    (stream_pb2.VerifyStreamRequest(namespace=NAMESPACE), "stream: missing"),
    (stream_pb2.ListStreamsRequest(namespace=NAMESPACE, limit=10_001), "limit: 10001"),
    (state_pb2.CompareAndSwapRequest(namespace=NAMESPACE, value=b"1"), "name: missing"),
    (state_pb2.CompareAndSwapRequest(namespace=NAMESPACE, name="n"), "value: not JSON"),
    (state_pb2.GetStateRequest(namespace=NAMESPACE), "name: missing"),
    (run_pb2.BeginRunRequest(namespace=NAMESPACE, run_id="r" * 256), "run_id: 256 bytes, at most 255"),
    (run_pb2.BeginRunRequest(namespace=NAMESPACE, inputs=b"{"), "inputs: not JSON"),
    (end_run(namespace=NAMESPACE, run_id="r"), "status: 0, RUN_STATUS_SUCCEEDED (2) or"),
    (end_run(namespace=NAMESPACE, run_id="r", status=2, outputs=b"{"), "outputs: not JSON"),
    (run_pb2.GetRunRequest(namespace=NAMESPACE), "run_id: missing"),
    (run_pb2.ListRunsRequest(namespace=NAMESPACE, limit=10_001), "limit: 10001"),
]


@pytest.mark.parametrize(
    ("request_", "message"), MALFORMED, ids=lambda v: v[:40] if isinstance(v, str) else ""
)
def test_arguments_that_are_malformed(request_: Any, message: str) -> None:
    with pytest.raises(Refused) as refused:
        check(request_)
    assert refused.value.reason == "INVALID_ARGUMENT"
    assert message in refused.value.message
    assert len(refused.value.message) < 300


def test_limits_are_those_of_the_configuration() -> None:
    request = put(namespace=NAMESPACE, key="k", value=b'"long"')
    with pytest.raises(Refused, match="value: 6 bytes, at most 5"):
        check_write(1, request, Limits(value_bytes_max=5))
