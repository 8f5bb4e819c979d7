"""The mutants are kept in step with the code; that the simulation finds them is what `make mutants` shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.mutants import judge

ROOT = Path(__file__).resolve().parent.parent.parent
PATCHES = sorted((ROOT / "tests" / "mutants").glob("*.patch"))


def test_there_are_mutants() -> None:
    assert len(PATCHES) >= 12


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_mutant_says_what_it_breaks_and_applies(patch: Path) -> None:
    header = patch.read_text(encoding="utf-8").partition("\n")[0]
    assert header.endswith(".") and not header.startswith(("-", "diff")), "its first line says what it breaks"
    command = ["git", "apply", "--check", str(patch)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"make the patch anew: {done.stderr}"


def test_the_simulator_runs_in_the_copy_that_a_mutant_is_planted_in() -> None:
    verdict = judge(PATCHES[0], seeds=1, seconds=300)
    assert verdict.is_found or verdict.text == "SURVIVED 1 seeds", verdict.text
