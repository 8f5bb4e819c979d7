"""`memraft` on a machine that has only the client's needs says what to install."""

import subprocess
import sys

import pytest

# None in sys.modules makes an import fail as for a package that is not installed.
HIDE_AND_RUN = """
import sys
sys.modules["{package}"] = None
from memraft._entry import main
sys.argv = ["memraft", "--help"]
sys.exit(main())
"""


@pytest.mark.parametrize("package", ["memraft_server.cli"])
def test_a_broken_install_is_not_explained_away(package: str) -> None:
    """Our own module missing is a bug of ours: it must show its traceback, not advice about extras."""
    done = subprocess.run(
        [sys.executable, "-c", HIDE_AND_RUN.format(package=package)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "memraft[server]" not in done.stderr
