"""How namespaces and agents are named. Part of the contract: what certificates and requests may say."""

import re

NAMESPACE_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
"""One segment of a namespace's path; the first is the tenant."""

AGENT_PART = r"[A-Za-z0-9._~:@-]{1,128}"
"""One part of an agent's path, which is what a path segment of a URI may hold without escapes."""

FORK_MARK = "@"
"""Stands between a namespace and the name of a fork of it, which is one segment; forks have forks."""

FORK_DEPTH_MAX = 8
"""How many forks deep a namespace may be. Part of the contract."""

is_namespace_segment = re.compile(NAMESPACE_SEGMENT).fullmatch
is_agent = re.compile(f"{AGENT_PART}(?:/{AGENT_PART})*").fullmatch


def unforked(namespace: str) -> str:
    """Returns the namespace that is a fork of none, of which this one is, or is a fork."""
    return namespace.partition(FORK_MARK)[0]


def namespace_fault(namespace: str) -> str:
    """Returns what of a namespace's syntax is wrong, for a person; empty where nothing is."""
    path, *forks = namespace.split(FORK_MARK)
    for segment in (*path.split("/"), *forks):
        if not is_namespace_segment(segment):
            shown = _shown(segment)
            return f"segment {shown} of {_shown(namespace)}: 1 to 63 letters, digits, {_REST}"
    if len(forks) > FORK_DEPTH_MAX:
        return f"{_shown(namespace)} is {len(forks)} forks deep, at most {FORK_DEPTH_MAX}"
    return ""


_REST = "'.', '_' or '-', the first a letter or digit"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
