"""The page on recall says what there is: its example runs, its table has every parameter and its default."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memraft import Memory
from memraft_server.recall.parameters import DEFAULT

PAGE = (Path(__file__).parents[3] / "docs/recall.md").read_text(encoding="utf-8")


def test_the_table_has_every_parameter_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| `?([^ `]+)`? \|", PAGE, re.MULTILINE))
    there = asdict(DEFAULT)
    there |= there.pop("weights")
    assert not there.pop("by_ranks") and told.pop("fusion") == "min-max"
    assert {name: float(value) for name, value in told.items()} == there


def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with Memory(namespace="acme/support", agent="support") as m:
        names: dict[str, Any] = {"m": m}
        exec(example, names)
        hits = names["hits"]
        assert hits[0].text == "Ann moved to Oslo"
        assert m.recall("what should I cook?", tokens=1500)[0].kind == "profile"
        assert m.settings().recall == {"recency": 0.1}
