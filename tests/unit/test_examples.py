"""The examples on the time machine and on recall, in the README and in docs, do what they say."""

import re
from pathlib import Path
from typing import Any

import pytest

from memraft import Memory

ROOT = Path(__file__).parents[2]


def examples(path: str, heading: str) -> list[str]:
    """The blocks of Python in one section of a page."""
    text = (ROOT / path).read_text(encoding="utf-8")
    text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def names() -> Any:
    """What the examples take as given."""
    with Memory(namespace="acme/support", agent="support") as m:
        yield {
            "m": m,
            "ask": lambda *what: f"answer: {what}",
            "search": lambda text: [text],
            "question": "within how many days?",
        }


def test_the_readme_tells_how_to_find_out_why(names: dict[str, Any]) -> None:
    (example,) = examples("README.md", "Why did it answer that?")
    exec(example, names)
    m: Memory = names["m"]
    assert m.get("answer") == "answer: ('refunds: within 30 days',)"
    known = m.memory("policy", at=m.run_info("wrong").log_index)  # type: ignore[union-attr]
    assert known is not None and known.text == "refunds: within 14 days"
    assert m.replay("wrong", agent=names["agent"]).verdict == "same"
    assert len(m.events("run/wrong")) == 2


def test_the_readme_tells_how_a_recall_is_explained(names: dict[str, Any]) -> None:
    (example,) = examples("README.md", "Recall")
    exec(example, names)
    m, hits, receipt = names["m"], names["hits"], names["receipt"]
    assert hits[0].why().startswith(f"{hits[0].score:.3f} = ") and "agent support" in hits[0].why()
    assert [(hit.id, hit.version) for hit in receipt.hits] == [(hit.id, hit.version) for hit in hits]
    m.forget(hits[0].id)
    assert len(m.recall(receipt.query)) == 0
    assert [hit.id for hit in m.recall(receipt.query, at=receipt.log_index)] == [hits[0].id]
    [behind] = m.lineage("answer-13").memories
    assert behind.memory.text == hits[0].text and not behind.is_current


def test_the_page_on_the_time_machine_runs(names: dict[str, Any]) -> None:
    for heading in ("Forks", "Runs"):
        (example,) = examples("docs/time-machine.md", heading)
        exec(example, names)
    m: Memory = names["m"]
    assert m.get("order:1458") == {"status": "refunded"} and len(m.list_forks()) == 0
    verdicts = m.replay("r1").verdict, m.replay("r1", agent=names["agent"]).verdict
    assert verdicts == ("same", "same")
