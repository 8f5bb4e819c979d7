"""Settings shared by all tests, and how several processes share them out."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time: what a change breaks is seen with that change, and a run is never red by luck.
# No deadline: a shared machine may pause any example, and no test here asserts on time.
settings.register_profile(
    "default", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# Other examples each time, and many: HYPOTHESIS_PROFILE=hunt .venv/bin/python -m pytest tests/properties
settings.register_profile(
    "hunt", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=5_000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SLOW_FIRST = ("simulation", "congruence", "acceptance", "interop", "properties", "linearizability")
"""Folders whose files take long: at the end, when one process may wait for the other, short ones are left."""
TOGETHER = "tests/congruence/"
"""Its files share clusters, which each process that runs one of them would have to start."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Brings tests into the order in which processes take them; one process alone keeps the usual one."""
    if hasattr(config, "workerinput"):
        places = {f"tests/{name}": place for place, name in enumerate(SLOW_FIRST)}
        items.sort(key=lambda item: places.get(item.nodeid.rpartition("/")[0], len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files stay whole, and those that share clusters together."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)

    config.option.loadscopereorder = False
    return Scheduling(config, log)
