"""Traces as spans with the attributes of OpenTelemetry's GenAI conventions, and back. Pure.

Followed are the conventions of the schema `gen-ai-dev/1.42.0-dev` (status: development), the memory
operations among them. A span of a trace also has `memraft.*` attributes with what the conventions have no
words for; where these are there, a span is read back from them exactly.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from . import _json
from .types_traces import (
    Assumption,
    Citation,
    Confidence,
    Decision,
    ModelInput,
    ModelOutput,
    ToolCall,
    Trace,
    TraceContent,
)

SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"

MODEL_OPERATIONS = frozenset(("chat", "generate_content", "text_completion"))
MEMORY_OPERATIONS = frozenset(
    (
        "search_memory",
        "create_memory",
        "update_memory",
        "upsert_memory",
        "delete_memory",
        "create_memory_store",
        "delete_memory_store",
    )
)
OTHER_TOOLS = frozenset(("embeddings", "retrieval"))
"""Operations that are calls of a tool of that name."""
AGENT_OPERATIONS = frozenset(("invoke_agent", "invoke_workflow"))
"""At the top of a trace they are the run itself; below, calls of a tool that has the agent's name."""

OPERATION = "gen_ai.operation.name"
_LABEL_CHARACTERS = 60
_SEEN: dict[str, type[Any]] = {
    "tool_call": ToolCall,
    "model_input": ModelInput,
    "model_output": ModelOutput,
    "citation": Citation,
    "decision": Decision,
    "confidence": Confidence,
    "assumption": Assumption,
}
Attributes = dict[str, Any]


def text_of(value: Any) -> str:
    """Returns a value as JSON text."""
    return _json.encode(value).decode()


def value_of(value: Any) -> Any:
    """Returns what an attribute says that may be JSON text, as structured ones are on spans."""
    if not isinstance(value, str):
        return value
    try:
        return _json.decode(value.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return value


# -- out -----------------------------------------------------------------------------------------------


def span_name(trace: Trace) -> str:
    """Returns the name of a trace's span, as the conventions have it where they do."""
    content = trace.content
    if isinstance(content, ToolCall):
        if content.tool in MEMORY_OPERATIONS:
            return content.tool
        return f"execute_tool {content.tool}"
    if isinstance(content, ModelInput | ModelOutput):
        return f"chat {content.model}"
    label = trace.name[:_LABEL_CHARACTERS]
    return f"{trace.kind} {label}" if label else trace.kind


def conventional(content: TraceContent) -> Attributes:
    """Returns what the conventions say of a trace."""
    found: Attributes
    if isinstance(content, ToolCall):
        return _memory(content) if content.tool in MEMORY_OPERATIONS else _tool(content)
    if isinstance(content, ModelInput):
        found = {OPERATION: "chat", "gen_ai.request.model": content.model}
        found["gen_ai.provider.name"] = content.provider or "unknown"
        if content.messages is not None:
            found["gen_ai.input.messages"] = text_of(_messages("user", content.messages))
        for name, value in content.parameters.items():
            found[f"gen_ai.request.{name}"] = value
        return found
    if isinstance(content, ModelOutput):
        return _answer(content)
    if isinstance(content, Confidence):
        found = {"gen_ai.evaluation.name": "confidence"}
        found["gen_ai.evaluation.score.value"] = content.value
        return found | ({"gen_ai.evaluation.explanation": content.because} if content.because else {})
    return {}


def _tool(content: ToolCall) -> Attributes:
    found: Attributes = {OPERATION: "execute_tool", "gen_ai.tool.name": content.tool}
    if content.call_id:
        found["gen_ai.tool.call.id"] = content.call_id
    if content.arguments is not None:
        found["gen_ai.tool.call.arguments"] = text_of(content.arguments)
    if content.result is not None:
        found["gen_ai.tool.call.result"] = text_of(content.result)
    if content.error_type:
        found["error.type"] = content.error_type
    return found


def _memory(content: ToolCall) -> Attributes:
    found: Attributes = {OPERATION: content.tool, "gen_ai.provider.name": "memraft"}
    arguments = _named(content)
    for name, attribute in (
        ("query", "gen_ai.memory.query.text"),
        ("id", "gen_ai.memory.record.id"),
        ("store", "gen_ai.memory.store.id"),
    ):
        if isinstance(arguments.get(name), str):
            found[attribute] = arguments[name]
    records = content.result if isinstance(content.result, list) else None
    if records is not None:
        found["gen_ai.memory.record.count"] = len(records)
        found["gen_ai.memory.records"] = text_of([_record(each) for each in records])
    if content.error_type:
        found["error.type"] = content.error_type
    return found


def _named(content: ToolCall) -> Mapping[str, Any]:
    """The arguments of a memory operation by name, also where `run.tool` recorded how it was called."""
    given = content.arguments
    if not isinstance(given, Mapping):
        return {}
    if given.keys() != {"args", "kwargs"}:
        return given
    first = {"query": given["args"][0]} if content.tool == "search_memory" and given["args"] else {}
    return {**first, **given["kwargs"]}


def _record(found: Any) -> Any:
    """A memory as the conventions show one: with its content, and if it has them id, score and metadata."""
    if not isinstance(found, Mapping):
        return {"content": found}
    shown = {name: found[name] for name in ("id", "score", "metadata") if name in found}
    return {"content": found.get("content", found.get("text")), **shown}


def _answer(content: ModelOutput) -> Attributes:
    found: Attributes = {OPERATION: "chat", "gen_ai.response.model": content.model}
    if content.messages is not None:
        reason = content.finish_reasons[0] if content.finish_reasons else "stop"
        messages = _messages("assistant", content.messages)
        found["gen_ai.output.messages"] = text_of(
            [{"finish_reason": reason, **each} if isinstance(each, Mapping) else each for each in messages]
        )
    for attribute, value in (
        ("gen_ai.response.finish_reasons", list(content.finish_reasons)),
        ("gen_ai.usage.input_tokens", content.input_tokens),
        ("gen_ai.usage.output_tokens", content.output_tokens),
        ("gen_ai.response.id", content.response_id),
        ("error.type", content.error_type),
    ):
        if value:
            found[attribute] = value
    return found


def _messages(role: str, messages: Any) -> list[Any]:
    """Messages in the form of the conventions: those that have it as they are, others as the text of one."""
    if isinstance(messages, list) and messages:
        if all(isinstance(each, Mapping) and "role" in each and "parts" in each for each in messages):
            return messages
    text = messages if isinstance(messages, str) else text_of(messages)
    return [{"role": role, "parts": [{"type": "text", "content": text}]}]


# -- back ----------------------------------------------------------------------------------------------


def exact(kind: str, text: str) -> TraceContent:
    """Returns what a `memraft.*` attribute says a trace tells. Raises ValueError."""
    found: TraceContent = msgspec.json.decode(text.encode(), type=_SEEN[kind])
    return found


def contents(attributes: Attributes, name: str, failure: tuple[str, str]) -> list[TraceContent]:
    """Returns what a span tells by the conventions, each below the one before; nothing where it is not known.

    Args:
        attributes: of the span; what is used is taken out.
        name: the span's.
        failure: its error's class and message; empty where it has none.
    """
    operation = attributes.get(OPERATION)
    if operation in MODEL_OPERATIONS:
        return _model_of(attributes, failure)
    reader = _TOOLS.get(operation) if isinstance(operation, str) else None
    if reader is None:
        return []
    tool, arguments, result = reader(attributes, name)
    call_id = str(attributes.pop("gen_ai.tool.call.id", ""))
    error_type = str(attributes.pop("error.type", "") or failure[0])
    return [ToolCall(tool or name or str(operation), arguments, result, call_id, error_type, failure[1])]


def _model_of(attributes: Attributes, failure: tuple[str, str]) -> list[TraceContent]:
    requested = str(attributes.pop("gen_ai.request.model", ""))
    answering = str(attributes.pop("gen_ai.response.model", ""))
    prefix = "gen_ai.request."
    parameters = {
        name.removeprefix(prefix): attributes.pop(name)
        for name in sorted(attributes)
        if name.startswith(prefix)
    }
    reasons = attributes.pop("gen_ai.response.finish_reasons", None)
    return [
        ModelInput(
            requested or answering or "unknown",
            value_of(attributes.pop("gen_ai.input.messages", None)),
            parameters,
            str(attributes.pop("gen_ai.provider.name", attributes.pop("gen_ai.system", ""))),
        ),
        ModelOutput(
            answering or requested or "unknown",
            value_of(attributes.pop("gen_ai.output.messages", None)),
            tuple(map(str, reasons)) if isinstance(reasons, list) else (),
            _tokens(attributes.pop("gen_ai.usage.input_tokens", 0)),
            _tokens(attributes.pop("gen_ai.usage.output_tokens", 0)),
            str(attributes.pop("gen_ai.response.id", "")),
            str(attributes.pop("error.type", "") or failure[0]),
            failure[1],
        ),
    ]


def _tokens(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


Called = tuple[str, Any, Any]
"""(tool, arguments, result)."""


def _tool_of(attributes: Attributes, name: str) -> Called:
    return (
        str(attributes.pop("gen_ai.tool.name", "") or name.removeprefix("execute_tool ")),
        value_of(attributes.pop("gen_ai.tool.call.arguments", None)),
        value_of(attributes.pop("gen_ai.tool.call.result", None)),
    )


def _memory_of(attributes: Attributes, _name: str) -> Called:
    asked = {
        field: attributes.pop(attribute)
        for field, attribute in (
            ("query", "gen_ai.memory.query.text"),
            ("id", "gen_ai.memory.record.id"),
            ("store", "gen_ai.memory.store.id"),
        )
        if attribute in attributes
    }
    return str(attributes[OPERATION]), asked or None, value_of(attributes.pop("gen_ai.memory.records", None))


def _other_of(attributes: Attributes, _name: str) -> Called:
    query = attributes.pop("gen_ai.retrieval.query.text", None)
    return (
        str(attributes[OPERATION]),
        {"query": query} if query is not None else None,
        value_of(attributes.pop("gen_ai.retrieval.documents", None)),
    )


def _agent_of(attributes: Attributes, name: str) -> Called:
    messages = value_of(attributes.pop("gen_ai.input.messages", None))
    answer = value_of(attributes.pop("gen_ai.output.messages", None))
    return str(attributes.get("gen_ai.agent.name", "") or name), messages, answer


_TOOLS: dict[str, Callable[[Attributes, str], Called]] = {
    "execute_tool": _tool_of,
    **dict.fromkeys(sorted(MEMORY_OPERATIONS), _memory_of),
    **dict.fromkeys(sorted(OTHER_TOOLS), _other_of),
    **dict.fromkeys(sorted(AGENT_OPERATIONS), _agent_of),
}
