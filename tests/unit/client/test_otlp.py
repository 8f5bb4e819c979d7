"""Traces as OTLP/JSON: what is written, what is read of files from elsewhere, and what is refused."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from memraft import AsyncMemory, InvalidArgument, Memory, NotFound, TxnFailed
from memraft.types import Citation, Confidence, ModelInput, ModelOutput, ToolCall

TRACE_ID = "5b8efff798038103d269b633813fc60c"


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(agent="ann", namespace="acme/a") as opened:
        yield opened


def span(id: int, parent: int, operation: str, **attributes: Any) -> dict[str, Any]:
    """A span as other programs write it; `__` in the name of an attribute stands for a dot."""
    values = {"gen_ai.operation.name": operation} if operation else {}
    values |= {name.replace("__", "."): value for name, value in attributes.items()}
    return {
        "traceId": TRACE_ID.upper() if id == 1 else TRACE_ID,  # hexadecimal, whatever its case
        "spanId": f"{id:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": f"{operation or 'GET'} x",
        "kind": 3,
        "startTimeUnixNano": str(1_700_000_000_000_000_000 + id * 1_000_000),
        "endTimeUnixNano": 1_700_000_001_000_000_000,
        "attributes": [{"key": name, "value": any_value(value)} for name, value in values.items()],
        "somethingNew": {"a": 1},
    }


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(each) for each in value]}}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": value}


def file_of(*spans: dict[str, Any]) -> str:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})


def told(memory: Memory, run: str) -> list[Any]:
    """(depth, kind, name, id, parent, content, attributes, start) of all traces of a run."""
    return [
        (depth, each.kind, each.name, each.id, each.parent, each.content, each.attributes, each.started_at_us)
        for depth, each in memory.trace_tree(run)
    ]


def recorded(memory: Memory) -> None:
    with memory.run("r1", inputs={"q": 1}) as run:
        chosen = run.trace.decision("refund", because="late", alternatives=["keep"], confidence=0.8)
        with run.trace.under(chosen):
            run.tool("length", len)("abc")
            run.model("gpt", lambda prompt: {"text": prompt})("hi")
        with pytest.raises(ZeroDivisionError):
            run.tool("bad", lambda: 1 // 0)()
        run.tool("search_memory", lambda query: [{"id": "m1", "text": query, "score": 0.5}])("tea")
        run.trace.citation("m1", kind="memory", version=7, quote="tea", attributes={"n": [1, {"a": None}]})
        asked = run.trace.model_input("gpt-5", [{"role": "user", "parts": []}], provider="openai")
        answered = run.trace.model_output("gpt-5-1", "yes", finish_reasons=["stop"], parent=asked.id)
        run.trace.confidence(0.25, because="no source", parent=answered.id)
        run.trace.assumption("it rains", holds=False)
        run.outputs = "done"


def test_an_exported_run_imports_into_another_namespace_as_the_same_trees(memory: Memory) -> None:
    recorded(memory)
    data = memory.export_traces("r1")
    other = memory.scoped("acme/b")
    done = other.import_traces(data)
    assert (done.runs, done.count, done.left_out) == (("r1",), 12, 0)
    assert told(other, "r1") == told(memory, "r1")
    run = other.run_info("r1")
    assert run is not None and (run.status, run.inputs, run.outputs) == ("succeeded", {"q": 1}, "done")
    events = other.events(run="r1")
    assert [(each.type, each.payload["service"]) for each in events] == [("otlp_import", "memraft")]
    assert {each.sequence for each in other.traces(run="r1")} == {1}
    with pytest.raises(TxnFailed, match="there is a trace "):
        other.import_traces(data)
    assert len(other.events(run="r1")) == 1, "an import that was refused has left something"
    assert told(memory.scoped("acme/c"), "r9") == []
    memory.scoped("acme/c").import_traces(data, run="r9")
    assert [each[1:] for each in told(memory.scoped("acme/c"), "r9")] == [
        each[1:] for each in told(memory, "r1")
    ]


def test_what_is_exported_follows_the_conventions(memory: Memory) -> None:
    recorded(memory)
    (resource,) = json.loads(memory.export_traces("r1"))["resourceSpans"]
    assert resource["schemaUrl"] == "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
    spans = {each["name"]: each for each in resource["scopeSpans"][0]["spans"]}
    assert len({each["spanId"] for each in spans.values()}) == len(spans) == 10
    attributes = {
        name: {each["key"]: next(iter(each["value"].values()), None) for each in found["attributes"]}
        for name, found in spans.items()
    }
    top = spans["invoke_agent ann"]
    assert len(top["traceId"]) == 32 and len(top["spanId"]) == 16 and "parentSpanId" not in top
    assert attributes["invoke_agent ann"]["gen_ai.agent.name"] == "ann"
    assert attributes["invoke_agent ann"]["gen_ai.conversation.id"] == "r1"
    assert spans["decision refund"]["parentSpanId"] == top["spanId"]
    tool = attributes["execute_tool length"]
    assert spans["execute_tool length"]["parentSpanId"] == spans["decision refund"]["spanId"]
    assert tool["gen_ai.operation.name"] == "execute_tool" and tool["gen_ai.tool.name"] == "length"
    assert tool["gen_ai.tool.call.result"] == "3"
    assert spans["execute_tool bad"]["status"] == {
        "message": spans["execute_tool bad"]["status"]["message"],
        "code": 2,
    }
    assert attributes["execute_tool bad"]["error.type"] == "ZeroDivisionError"
    found = attributes["search_memory"]
    assert found["gen_ai.operation.name"] == "search_memory" and found["gen_ai.memory.query.text"] == "tea"
    assert found["gen_ai.memory.record.count"] == "1"
    assert json.loads(found["gen_ai.memory.records"]) == [{"content": "tea", "id": "m1", "score": 0.5}]
    chat = attributes["chat gpt-5"]
    assert spans["chat gpt-5"]["kind"] == 3 and chat["gen_ai.provider.name"] == "openai"
    assert chat["gen_ai.request.model"] == "gpt-5" and chat["gen_ai.response.model"] == "gpt-5-1"
    assert json.loads(chat["gen_ai.input.messages"]) == [{"role": "user", "parts": []}]
    (answer,) = json.loads(chat["gen_ai.output.messages"])
    assert answer == {
        "finish_reason": "stop",
        "role": "assistant",
        "parts": [{"type": "text", "content": "yes"}],
    }
    assert memory.export_traces("r1") == memory.export_traces("r1")


def test_spans_of_others_become_traces_with_their_parents(memory: Memory) -> None:
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}])
    data = file_of(
        span(6, 5, "", user__id="u1"),  # children may stand before their parents
        span(7, 6, "search_memory", gen_ai__memory__query__text="tea", gen_ai__memory__store__id="s"),
        span(1, 0, "invoke_agent", gen_ai__agent__name="planner"),
        span(
            2,
            1,
            "chat",
            gen_ai__request__model="gpt-5",
            gen_ai__request__max_tokens=100,
            gen_ai__provider__name="openai",
            gen_ai__input__messages=messages,
            gen_ai__usage__input_tokens=12,
            gen_ai__usage__output_tokens=3,
            gen_ai__response__finish_reasons=["stop"],
            gen_ai__conversation__id="c1",
        ),
        span(
            5,
            2,
            "execute_tool",
            gen_ai__tool__name="search",
            gen_ai__tool__call__id="call_1",
            gen_ai__tool__call__arguments='{"q": "tea"}',
            gen_ai__tool__call__result="not JSON",
        ),
        span(8, 1, "invoke_agent", gen_ai__agent__name="helper"),
    )
    done = memory.import_traces(data + "\n")
    assert (done.runs, done.count, done.left_out) == ((TRACE_ID,), 5, 1)
    found = list(memory.trace_tree(TRACE_ID))
    assert [(depth, each.kind, each.name) for depth, each in found] == [
        (0, "model_input", "gpt-5"),
        (1, "model_output", "gpt-5"),
        (1, "tool_call", "search"),
        (2, "tool_call", "search_memory"),
        (0, "tool_call", "helper"),
    ]
    asked, answered, tool, memories, _ = (each for _, each in found)
    assert asked.content == ModelInput("gpt-5", json.loads(messages), {"max_tokens": 100}, "openai")
    assert answered.content == ModelOutput("gpt-5", None, ("stop",), 12, 3)
    assert tool.content == ToolCall("search", {"q": "tea"}, "not JSON", "call_1")
    assert memories.content == ToolCall("search_memory", {"query": "tea", "store": "s"})
    assert asked.id == f"{TRACE_ID}-{2:016x}" and asked.started_at_us == 1_700_000_000_002_000
    assert [each.id for each in memory.traces(filter={"gen_ai.conversation.id": "c1"})] == [asked.id]
    again = json.loads(memory.export_traces(TRACE_ID))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert {each["traceId"] for each in again} == {TRACE_ID}
    assert {each["spanId"] for each in again[1:]} == {f"{id:016x}" for id in (2, 5, 7, 8)}


def test_a_file_of_lines_has_many_runs(memory: Memory) -> None:
    other = json.loads(file_of(span(2, 0, "chat", gen_ai__request__model="m")))
    other["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] = "ab" * 16
    data = file_of(span(2, 0, "chat")) + "\n" + json.dumps(other) + "\n"
    done = memory.import_traces(data.encode())
    assert done.runs == (TRACE_ID, "ab" * 16) and done.count == 4
    assert [each.status for each in memory.runs()] == ["running", "running"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "there are no spans in it"),
        ("{}", "there are no spans in it"),
        ("[1]", "it is not OTLP/JSON"),
        ("{", "it is not OTLP/JSON"),
        (b"\xff", "it is not OTLP/JSON"),
        ('{"resourceSpans": 7}', "it is not OTLP/JSON"),
        ('{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"n","traceId":"xy"}]}]}]}', "'n': traceId 'xy'"),
        ('{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"ab"}]}]}]}', "traceId has 32 hexadecimal"),
        ("[" * 100_000, "it is not OTLP/JSON"),
        (file_of(span(2, 3, "chat"), span(3, 2, "chat")), "is its own ancestor"),
        (file_of(span(2, 2, "chat")), "span 0000000000000002 ('chat x') of trace"),
        (file_of(span(2, 0, "chat"), span(2, 0, "chat")), f"stands in trace {TRACE_ID} twice"),
        (file_of(span(2, 0, "", memraft__trace='{"id":"a"}')), "attribute memraft.trace or memraft.output"),
        (file_of(span(2, 0, "invoke_agent", memraft__run="[]")), "attribute memraft.run"),
        (file_of(span(2, 0, "execute_tool", gen_ai__tool__name="t" * 256)), "tool: 256 bytes, at most 255"),
        (" " * ((16 << 20) + 1), "16777217 bytes, at most 16777216"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_and_changes_nothing(memory: Memory, data: Any, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        memory.import_traces(data)
    assert said in str(caught.value)
    assert not memory.runs() and not memory.traces() and not memory.streams()


def test_too_many_spans_and_runs_that_are_not_there_are_refused(memory: Memory) -> None:
    many = file_of(*(span(id, 0, "") for id in range(2, 10_003)))
    with pytest.raises(InvalidArgument, match="over 10000 spans"):
        memory.import_traces(many)
    with pytest.raises(NotFound, match="no run 'r7'"):
        memory.export_traces("r7")
    with pytest.raises(InvalidArgument, match="name one"):
        memory.trace_tree("")


def test_contents_that_are_none_are_refused(memory: Memory) -> None:
    memory.begin_run("r1")
    wrong: Any = {"tool": "x"}
    for content, said in {
        "mapping": (wrong, "content must be one of ToolCall, ModelInput"),
        "value": (Confidence("much"), "value must be a number"),  # type: ignore[arg-type]
        "json": (ToolCall("x", {1, object()}), "arguments cannot be written as JSON"),
        "source": (Citation(7), "source must be a str"),  # type: ignore[arg-type]
    }.values():
        with pytest.raises(InvalidArgument, match=said):
            memory.record_trace(content, run="r1")


def test_the_asynchronous_facade_does_the_same() -> None:
    async def journey() -> list[tuple[int, str]]:
        async with AsyncMemory(agent="ann", namespace="acme/a") as m:
            async with m.run("r1") as run:
                chosen = await run.trace.decision("refund", confidence=0.5)
                with run.trace.under(chosen):
                    assert await run.tool("length", len)("abc") == 3
            other = m.scoped("acme/b")
            await other.import_traces(await m.export_traces("r1"))
            return [(depth, each.kind) for depth, each in await other.trace_tree("r1")]

    assert asyncio.run(journey()) == [(0, "decision"), (1, "confidence"), (1, "tool_call")]


WITHOUT_THE_PACKAGE = """
import sys
sys.modules["opentelemetry"] = None
from memraft import ConfigurationError, Memory
memory = Memory()
memory.begin_run("r1")
try:
    memory.export_traces("r1")
except ConfigurationError as error:
    print(error)
"""


def test_where_the_package_is_missing_it_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PACKAGE], capture_output=True, text=True, check=True
    )
    assert done.stdout == "OpenTelemetry's messages are not installed: pip install 'memraft[otel]'\n"


def test_a_trace_of_which_nothing_is_left_begins_no_run(memory: Memory) -> None:
    done = memory.import_traces(file_of(span(1, 0, ""), span(2, 1, "")))
    assert (done.runs, done.count, done.left_out) == ((), 0, 2)
    assert not memory.runs() and not memory.streams()


@pytest.mark.parametrize("name", ["traceId", "spanId"])
def test_an_id_of_zeros_is_none(memory: Memory, name: str) -> None:
    bad = span(1, 0, "chat")
    bad[name] = "0" * len(bad[name])
    with pytest.raises(InvalidArgument, match=r"span 'chat x': traceId or spanId is all zeros"):
        memory.import_traces(file_of(bad))
    assert not memory.runs()
