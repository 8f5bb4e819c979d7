"""Settings shared by all tests."""

import os

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
