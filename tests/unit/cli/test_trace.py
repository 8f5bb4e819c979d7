"""`memraft trace` on the directory of an embedded memory."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from memraft import Memory
from memraft.types import TraceKind
from memraft_server.cli import trace
from tests.unit.cli.test_run_and_fork import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    with Memory(path=tmp_path / "memory", namespace="acme/a", agent="ann") as memory:
        with memory.run("r1") as run:
            run.tool("double", lambda n: 2 * n)(1)
            run.trace.decision("refund", because="it was\nlate", confidence=0.8)
    return Shell(tmp_path / "memory", capsys)


def test_traces_are_listed_as_trees_and_by_what_they_are(shell: Shell) -> None:
    assert shell("trace", "tree", "r1").splitlines() == [
        "tool_call double",
        "decision refund: it was late",
        "  confidence: 0.8",
    ]
    assert shell("trace", "tree", "r1", "--limit", "1").splitlines() == [
        "tool_call double",
        "there are more: --limit",
    ]
    assert [each["depth"] for each in json.loads(shell("trace", "tree", "r1", "--json"))] == [0, 0, 1]
    listed = shell("trace", "list", "--run", "r1", "--kind", "decision", "--by", "ann").splitlines()
    assert listed[1].split()[1:5] == ["r1", "decision", "refund", "ann"] and len(listed) == 2
    items = json.loads(shell("trace", "list", "--filter", '{"content.value": 0.8}', "--json"))["items"]
    assert [each["kind"] for each in items] == ["confidence"]
    assert "more: --cursor" in shell("trace", "list", "--limit", "1", "--newest-first")
    assert len(shell("trace", "list", "--parent", "").splitlines()) == 3


def test_a_run_goes_to_a_file_and_comes_back_elsewhere(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "r1.json"
    assert shell("trace", "export", "r1", str(file)).startswith(f"wrote {file}, ")
    assert shell("trace", "export", "r1") == file.read_text()
    assert shell("trace", "import", str(file), namespace="acme/b") == "3 traces into r1\n"
    assert shell("trace", "tree", "r1", namespace="acme/b") == shell("trace", "tree", "r1")
    done = json.loads(shell("trace", "import", str(file), "--into", "r2", "--json", namespace="acme/c"))
    assert done == {"runs": ["r2"], "count": 3, "left_out": 0}
    assert "already" in shell("trace", "import", str(file), namespace="acme/b", status=1)
    assert "there is no file" in shell("trace", "import", str(tmp_path / "none"), status=1)
    file.write_text("{")
    assert "not OTLP/JSON" in shell("trace", "import", str(file), status=1)
    assert "no run 'r7'" in shell("trace", "export", "r7", status=1)
    assert "no run 'r7' in acme/a" in shell("trace", "tree", "r7", status=1)


def test_the_kinds_that_can_be_asked_for_are_those_that_there_are() -> None:
    assert get_args(TraceKind) == trace.KINDS


def test_a_trace_is_recorded(shell: Shell) -> None:
    shell("run", "begin", "r9")
    because = '{"choice": "wait", "alternatives": ["go"], "because": "rain"}'
    root = shell(
        "trace", "record", "decision", because, "--run", "r9", "--attributes", '{"city": "Oslo"}'
    ).strip()
    child = shell(
        "trace", "record", "confidence", '{"value": 0.5}', "--run", "r9", "--parent", root, "--id", "c"
    )
    assert child == "c\n"
    first, second = json.loads(shell("trace", "list", "--run", "r9", "--json"))["items"]
    assert (first["id"], first["attributes"]) == (root, {"city": "Oslo"})
    assert first["content"] == {"choice": "wait", "alternatives": ["go"], "because": "rain"}
    assert (second["parent"], second["content"]["value"]) == (root, 0.5)
    wrong = shell("trace", "record", "decision", '{"chosen": "go"}', "--run", "r9", status=2)
    assert "decision has no field 'chosen': it has choice, alternatives, because" in wrong
    assert "missing required field" in shell("trace", "record", "decision", "{}", "--run", "r9", status=2)
    assert "'r8'" in shell("trace", "record", "decision", because, "--run", "r8", status=1)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("tool_call", {"tool": "x", "arguments": [1]}),
        ("model_input", {"model": "x", "parameters": {"temperature": 0}}),
        ("model_output", {"model": "x", "finish_reasons": ["stop"]}),
        ("citation", {"source": "x", "source_version": 1}),
        ("assumption", {"statement": "x", "holds": False}),
    ],
)
def test_each_kind_of_trace_is_recorded(kind: str, content: dict[str, Any], shell: Shell) -> None:
    shell("run", "begin", "r9")
    id = shell("trace", "record", kind, json.dumps(content), "--run", "r9").strip()
    recorded = json.loads(shell("trace", "list", "--kind", kind, "--newest-first", "--json"))["items"][0]
    assert (recorded["id"], recorded["kind"]) == (id, kind)
    assert {name: recorded["content"][name] for name in content} == content
