"""The compressed index: a table of contents as Markdown that fits a number of tokens.

A token is counted for each 4 characters, rounded up: what tokenizers of large models take on average for
English, and more than they take for ids and numbers seldom. A budget is never exceeded.

Every section has lines in the order of what they are worth. They are taken in turns, one of each section at a
time, while they fit; a section that was cut says how many lines it has more. So a namespace with many domains
shows something of each, and one with a single domain shows much of it. The same contents make the same text.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

CHARACTERS_A_TOKEN = 4
TOP_NODES = 20
"""Nodes of a domain that may be shown."""
NAME_CHARACTERS = 60
_MORE_CHARACTERS = len("- … 100,000,000 more\n")
_NAMING = ("name", "title", "label", "summary")
"""Properties that tell a person what a node is; the first that is text is shown."""

_decode = msgspec.json.Decoder().decode


class NodeLine(msgspec.Struct, frozen=True):
    """A node as the index ranks it: by salience, then by edges, then by its last change."""

    id: str
    type: str
    salience: float
    degree: int
    version: int
    properties: bytes = b""

    @property
    def rank(self) -> tuple[float, int, int, str]:
        """Sorts the more important first."""
        return -self.salience, -self.degree, -self.version, self.id


class Domain(msgspec.Struct, frozen=True):
    """The nodes of a domain: how many, of which types, and the ones that matter most."""

    name: str
    count: int
    types: dict[str, int]
    top: list[NodeLine]


class Crossing(msgspec.Struct, frozen=True):
    """The edges from one domain to another: how many of which types, and the first of them."""

    source: str
    target: str
    types: dict[str, int]
    example: tuple[str, str, str]


class Group(msgspec.Struct, frozen=True):
    """Documents, streams or memories that have something in common."""

    name: str
    count: int


class Contents(msgspec.Struct, frozen=True):
    """What there is in a namespace. `is_counted` is False where only the first of something were counted."""

    namespace: str
    node_count: int
    edge_count: int
    domains: list[Domain]
    crossings: list[Crossing]
    documents: list[Group]
    streams: list[Group]
    memories: list[Group]
    is_counted: bool = True


class _Section:
    def __init__(self, title: str, lines: list[str]) -> None:
        self.title = title
        self.lines = lines
        self.shown = 0

    def next(self) -> str:
        """Returns what one more line adds, the title before the first."""
        return (f"\n{self.title}\n\n" if not self.shown else "") + self.lines[self.shown] + "\n"

    def text(self) -> str:
        if not self.shown:
            return ""
        more = len(self.lines) - self.shown
        lines = [*self.lines[: self.shown], *([f"- … {more:,} more"] if more else [])]
        return f"\n{self.title}\n\n" + "\n".join(lines) + "\n"


def tokens_of(text: str) -> int:
    """Returns how many tokens a text is counted for."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


def render(contents: Contents, tokens_max: int) -> str:
    """Returns the index of at most `tokens_max` tokens."""
    sections = list(_sections(contents))
    head = f"# {_plain(contents.namespace)}\n\n{_summary(contents)}\n"
    room = tokens_max * CHARACTERS_A_TOKEN - len(head)
    waiting = sections
    while waiting:
        going_on = []
        for section in waiting:
            cost = len(section.next())
            reserve = _MORE_CHARACTERS if not section.shown else 0  # for the line that says how many more
            if cost + reserve <= room:
                room -= cost + reserve
                section.shown += 1
                if section.shown < len(section.lines):
                    going_on.append(section)
        waiting = going_on
    return head + "".join(section.text() for section in sections)


def _summary(contents: Contents) -> str:
    parts = [
        f"{_many(contents.node_count, 'node')} in {_many(len(contents.domains), 'domain')}",
        _many(contents.edge_count, "edge"),
    ]
    for groups, what in (
        (contents.documents, ("document", "documents")),
        (contents.streams, ("event in streams", "events in streams")),
        (contents.memories, ("memory", "memories")),
    ):
        parts.append(_many(sum(group.count for group in groups), *what))
    text = ", ".join(parts)
    return text if contents.is_counted else f"At least {text}"


def _sections(contents: Contents) -> Iterable[_Section]:
    for domain in contents.domains:
        name = _plain(domain.name) or "no domain"
        types = _counted(domain.types)
        lines = [f"Types: {types}"] if types else []
        lines += [_node_line(node) for node in domain.top]
        hidden = domain.count - len(domain.top)
        if hidden > 0:
            lines.append(f"- … and {_many(hidden, 'node')} that rank lower")
        yield _Section(f"## {name}: {_many(domain.count, 'node')}", lines)
    if contents.crossings:
        yield _Section("## Cross-references", [_crossing_line(each) for each in contents.crossings])
    for title, groups in (
        ("## Documents by prefix", contents.documents),
        ("## Streams by events", contents.streams),
        ("## Memories by entity", contents.memories),
    ):
        if groups:
            yield _Section(title, [f"- `{_plain(group.name)}` {group.count:,}" for group in groups])


def _node_line(node: NodeLine) -> str:
    what = f" ({_plain(node.type)})" if node.type else ""
    edges = f", {_many(node.degree, 'edge')}" if node.degree else ""
    name = _naming(node.properties)
    return f"- {_plain(node.id)}{what}{edges}" + (f": {name}" if name else "")


def _crossing_line(crossing: Crossing) -> str:
    count = sum(crossing.types.values())
    source, type, target = map(_plain, crossing.example)
    ends = f"{_plain(crossing.source)} → {_plain(crossing.target)}"
    return (
        f"- {ends}: {_many(count, 'edge')} ({_counted(crossing.types)}), such as {source} -[{type}]→ {target}"
    )


def _counted(types: dict[str, int]) -> str:
    ranked = sorted(((-count, _plain(type)) for type, count in types.items() if type))
    shown = ", ".join(f"{type} {-count:,}" for count, type in ranked[:5])
    return shown + (f" and {len(ranked) - 5:,} more" if len(ranked) > 5 else "")


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _naming(properties: bytes) -> str:
    if not properties:
        return ""
    try:
        fields = _decode(properties)
    except (msgspec.MsgspecError, RecursionError):
        return ""
    for field in _NAMING if isinstance(fields, dict) else ():
        if isinstance(fields.get(field), str):
            return _plain(fields[field])
    return ""


def _plain(text: str) -> str:
    """Returns a text as part of one line: what an agent stored must not become a heading."""
    line = " ".join(text.split()).replace("`", "'")
    return line if len(line) <= NAME_CHARACTERS else line[: NAME_CHARACTERS - 1] + "…"
