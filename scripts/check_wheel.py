"""Builds the wheel and tries it where no source tree is in sight: first with the client's needs alone, then
with the extra `server`. Run by `make test`; packages come from pip's cache after the first time.
"""

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("memraft", "memraft_server", "memraft_cluster", "memraft_proto")

TIMEOUT_S = 600  # an install on a slow machine and line stays well below

CLIENT_SCRIPT = """
import importlib.util
import sys
from memraft import AsyncMemory, Memory
for name in ("rocksdict", "numkong", "cryptography", "prometheus_client", "opentelemetry"):
    assert importlib.util.find_spec(name) is None, f"{name} is not a need of the client"
servers = ("memraft_server", "memraft_cluster")
loaded = sorted(name for name in sys.modules if name.partition(".")[0] in servers)
assert not loaded, f"importing the client loaded {loaded}"
from memraft.embedders import StaticEmbedder
assert StaticEmbedder().embed(["the table comes with the package"]).any()
"""

SERVER_SCRIPT = """
from memraft import Memory
memory = Memory(agent="support", namespace="acme/support")
memory.remember("Refund for order #1458 initiated on 10/20", about="user:4321", salience=0.9)
hits = memory.recall("refund status", about="user:4321")
assert hits and hits[0].text.startswith("Refund for order"), hits
memory.close()
"""


def run(command: list[str], directory: Path, expected_status: int = 0) -> str:
    """Run to the end outside the source tree and return what was printed, both streams together."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
    )
    if done.returncode != expected_status:
        raise SystemExit(f"{command} ended with {done.returncode}, not {expected_status}:\n{done.stdout}")
    return done.stdout


def build(directory: Path) -> Path:
    """Build sdist, and from it the wheel, with the backend of the running environment; the wheel's path."""
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT)], directory)
    (wheel,) = directory.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Every package is in the wheel and marked as typed; tests and benchmarks are not."""
    names = zipfile.ZipFile(wheel).namelist()
    for package in PACKAGES:
        if f"{package}/py.typed" not in names:
            raise SystemExit(f"{wheel.name} lacks {package}/py.typed")
    strangers = {name.partition("/")[0] for name in names} - set(PACKAGES)
    strangers = {name for name in strangers if not name.endswith(".dist-info")}
    if strangers:
        raise SystemExit(f"{wheel.name} installs top-level names that are not ours: {sorted(strangers)}")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="memraft-wheel-") as name:
        directory = Path(name)
        wheel = build(directory)
        check_contents(wheel)
        print(f"built {wheel.name}, {wheel.stat().st_size / 1024:.0f} KiB")

        venv.create(directory / "env", with_pip=True)
        binaries = directory / "env" / "bin"
        pip = [str(binaries / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        python = [str(binaries / "python"), "-W", "error", "-c"]

        run([*pip, str(wheel)], directory)
        run([*python, CLIENT_SCRIPT], directory)
        run([str(binaries / "memraft"), "--help"], directory)
        told = run([str(binaries / "memraft"), "demo"], directory, expected_status=1)
        if "memraft[server]" not in told:
            raise SystemExit(f"without the extra `memraft demo` should say what to install, it said:\n{told}")
        print("client alone: imports, loads no server code, and the command line says what to install")

        run([*pip, f"{wheel}[server]"], directory)
        run([*python, SERVER_SCRIPT], directory)
        run([str(binaries / "memraft"), "certs", "--help"], directory)
        print("with the extra server: remembers, recalls, and the command line starts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
