"""Settings shared by all tests."""

import os

from hypothesis import HealthCheck, settings

# No deadline: a shared machine may pause any example, and no test here asserts on time.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A long hunt: HYPOTHESIS_PROFILE=hunt .venv/bin/python -m pytest tests/properties
settings.register_profile("hunt", parent=settings.get_profile("default"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
