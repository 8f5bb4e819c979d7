"""Generates the synchronous client from the asynchronous one; with --check, compares instead.

Every module of `client/memraft/_async` becomes one of `_sync` by replacing tokens (`async def` -> `def`,
`await x` -> `x`, `AsyncMemory` -> `Memory`), in the manner of unasync, and is then formatted. What cannot
be replaced token by token, because threads and event loops differ, is in `io.py`, which both folders have
written by hand.
"""

import argparse
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "client/memraft/_async"
TARGET = ROOT / "client/memraft/_sync"
BY_HAND = frozenset({"__init__.py", "io.py"})

NAMES = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
    "_async": "_sync",
}
TEXTS = (("async with", "with"), ("async for", "for"), ("await ", ""), ("Async", ""))
"""Replaced within docstrings, comments and strings."""

Token = tuple[int, str]


def replaced(text: str) -> str:
    """The synchronous form of a module's text."""
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    lines = text.splitlines(keepends=True)
    pieces: list[str] = []
    row, column = 1, 0
    for token, new in rewritten(tokens):
        pieces.append(between(lines, (row, column), token.start))
        pieces.append(new)
        if new == "" and token.string in ("async", "await"):
            # The blank after a token that goes away goes with it.
            row, column = token.end[0], token.end[1] + 1
        else:
            row, column = token.end
    return "".join(pieces)


def between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from start to end, both (row from 1, column from 0)."""
    if start[0] > len(lines) or start >= end:
        return ""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    middle = lines[start[0] : end[0] - 1]
    last = lines[end[0] - 1][: end[1]] if end[0] <= len(lines) else ""
    return "".join((lines[start[0] - 1][start[1] :], *middle, last))


def rewritten(tokens: list[tokenize.TokenInfo]) -> Iterator[tuple[tokenize.TokenInfo, str]]:
    """Every token with what stands in its place. `Awaitable[X]` becomes `X`."""
    depths: list[int] = []  # bracket depths at which an `Awaitable[` was dropped
    depth = 0
    drop_next = False
    for i, token in enumerate(tokens):
        if drop_next:
            drop_next = False
            yield token, ""
            continue
        if token.type == tokenize.NAME and token.string == "Awaitable":
            following = tokens[i + 1].string
            drop_next = following in ("[", ",")
            if following == "[":
                depths.append(depth)
                depth += 1
            yield token, ""
        elif token.type == tokenize.OP and token.string in "([{":
            depth += 1
            yield token, token.string
        elif token.type == tokenize.OP and token.string in ")]}":
            depth -= 1
            is_dropped = bool(depths) and depths[-1] == depth
            if is_dropped:
                depths.pop()
            yield token, "" if is_dropped else token.string
        else:
            yield token, one(token)


def one(token: tokenize.TokenInfo) -> str:
    """What stands in the place of one token."""
    if token.type in (tokenize.STRING, tokenize.COMMENT):
        text = token.string
        for old, new in TEXTS:
            text = text.replace(old, new)
        return text
    if token.type == tokenize.NAME:
        if token.string in ("async", "await"):
            return ""
        return NAMES.get(token.string, token.string.removeprefix("Async"))
    if token.type in (tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
        return "" if token.type != tokenize.INDENT else token.string
    return token.string


def tidied(name: str, text: str) -> str:
    """The text with imports sorted and formatted as the project does; SystemExit where ruff refuses it."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (
        [ruff, "check", "--select", "I", "--fix", "--quiet", "--stdin-filename", name, "-"],
        [ruff, "format", "--quiet", "--stdin-filename", name, "-"],
    ):
        done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{name}: {done.stderr}\n{text}")
        text = done.stdout
    return text


def generated() -> dict[str, str]:
    """Name -> text of every module to generate."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.glob("*.py")):
        if path.name not in BY_HAND:
            head = f"# Generated from _async/{path.name} by scripts/generate_sync.py: edit that one.\n\n"
            text = head + replaced(path.read_text(encoding="utf-8"))
            found[path.name] = tidied(str(TARGET / path.name), text)
    return found


def check(fresh: dict[str, str]) -> int:
    """Compare the committed modules with fresh ones; the exit status."""
    committed = {
        path.name: path.read_text(encoding="utf-8")
        for path in TARGET.glob("*.py")
        if path.name not in BY_HAND
    }
    differing = sorted(n for n in fresh.keys() | committed.keys() if fresh.get(n) != committed.get(n))
    for name in differing:
        print(
            f"client/memraft/_sync/{name} is not what _async says; run scripts/generate_sync.py",
            file=sys.stderr,
        )
    if not differing:
        print(f"{len(fresh)} synchronous modules agree with the asynchronous ones")
    return 1 if differing else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; fail when they differ")
    is_check = parser.parse_args().check
    fresh = generated()
    if is_check:
        return check(fresh)
    for path in TARGET.glob("*.py"):
        if path.name not in BY_HAND and path.name not in fresh:
            path.unlink()
    for name, text in fresh.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    print(f"generated {len(fresh)} synchronous modules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
