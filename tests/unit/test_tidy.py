"""Watches what reviews grow tired of watching: short files, functions that fit a screen, no notes to self."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

FILE_LINES_GOAL = 500
FILE_LINES_MAX = 600  # a file on its way from the goal to here is due to be split
FUNCTION_LINES_MAX = 60  # without the docstring: arguments may be explained at length

GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$|^client/memraft/_sync/")
NOTES_TO_SELF = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
UNFINISHED = re.compile(r"\braise " + "NotImplemented" + "Error")
TEXT_SUFFIXES = {".py", ".pyi", ".proto", ".toml", ".yaml", ".yml", ".sh", ".md", ".txt", ""}


def project_files() -> list[str]:
    """Files of the project relative to its root: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not a git checkout: a source distribution was checked before it was made")
    names = (name for name in listed.stdout.split("\0") if name)
    return sorted(name for name in names if (ROOT / name).is_file() and not GENERATED.search(name))


def python_files() -> list[str]:
    return [name for name in project_files() if name.endswith(".py")]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last statement, docstring not counted."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        total -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return total


def test_files_stay_short() -> None:
    long_files = []
    for name in project_files():
        if name.endswith((".py", ".proto", ".sh")):
            lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
            if lines > FILE_LINES_MAX:
                long_files.append(
                    f"{name}: {lines} lines, at most {FILE_LINES_MAX}, aim for {FILE_LINES_GOAL}"
                )
    assert not long_files, "\n".join(long_files)


def test_functions_fit_a_screen() -> None:
    long_functions = []
    for name in python_files():
        for function in functions(ast.parse((ROOT / name).read_text(encoding="utf-8"), name)):
            lines = lines_of_code(function)
            if lines > FUNCTION_LINES_MAX:
                place = f"{name}:{function.lineno}"
                long_functions.append(
                    f"{place}: {function.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"
                )
    assert not long_functions, "\n".join(long_functions)


def test_nothing_is_left_unfinished() -> None:
    found = []
    for name in project_files():
        if Path(name).suffix in TEXT_SUFFIXES and name != "LICENSE":
            for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
                if NOTES_TO_SELF.search(line) or UNFINISHED.search(line):
                    found.append(f"{name}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def test_source_roots_are_not_packages() -> None:
    """`server/`, `client/`, `cluster/` and `proto/` each hold one import package and are none themselves."""
    for folder, package in {
        "client": "memraft",
        "server": "memraft_server",
        "cluster": "memraft_cluster",
        "proto": "memraft_proto",
    }.items():
        assert not (ROOT / folder / "__init__.py").exists(), f"{folder}/ must not be a package"
        assert (ROOT / folder / package / "__init__.py").exists()
        assert (ROOT / folder / package / "py.typed").exists(), f"{package} ships types"
