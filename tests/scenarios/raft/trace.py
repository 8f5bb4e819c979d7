"""Words for what a core says, short enough to be read as a story."""

from __future__ import annotations

from memraft_cluster.raft import Entry, EntryKind, Membership, Message, Ready, SnapshotMeta


def describe_entry(entry: Entry) -> str:
    """`index@term:data`; a no-op has no data."""
    if entry.kind is EntryKind.MEMBERSHIP:
        return f"{entry.index}@{entry.term}:({Membership.decode(entry.data)})"
    data = entry.data.decode()
    return f"{entry.index}@{entry.term}" + (f":{data}" if data else "")


def describe_entries(entries: tuple[Entry, ...] | list[Entry]) -> str:
    return "[" + " ".join(map(describe_entry, entries)) + "]"


def describe_label(label: SnapshotMeta) -> str:
    return f"{label.index}@{label.term} {label.membership}"


def describe_message(message: Message) -> str:
    """Who tells whom what; fields that are zero are left out, unless they are the point."""
    kind = message.type.name
    parts = [f"{message.sender}->{message.to} {kind} term {message.term}"]
    if kind == "APPEND":
        place, entries = f"{message.index}@{message.log_term}", describe_entries(message.entries)
        parts.append(f"after {place} {entries} commit {message.commit}")
    elif kind in ("VOTE", "PRE_VOTE"):
        parts.append(f"last {message.index}@{message.log_term}")
    elif kind == "APPEND_REPLY":
        parts.append(f"{'does not have' if message.reject else 'has'} {message.index}")
        if message.reject:
            parts.append(f"hint {message.hint_index}@{message.hint_term}")
    elif kind in ("VOTE_REPLY", "PRE_VOTE_REPLY"):
        parts.append("no" if message.reject else "yes")
    elif kind in ("HEARTBEAT", "COMMIT"):
        parts.append(f"commit {message.commit}")
    elif kind == "HEARTBEAT_REPLY" and message.reject:
        parts.append("not whole")
    elif kind == "SNAPSHOT" and message.snapshot is not None:
        parts.append(describe_label(message.snapshot))
    elif kind == "RECOVER":
        parts.append(f"last {message.index}" + (" vote lost" if message.reject else ""))
        return " ".join(parts)
    elif kind == "RECOVER_REPLY":
        parts.append("take entries" if message.reject else f"whole at {message.index}")
        return " ".join(parts)
    if message.context:
        parts.append(f"context {message.context}")
    return " ".join(parts)


def describe_ready(node: int, ready: Ready) -> list[str]:
    """What the driver of `node` has to do, in its order."""
    lines = [f"{node} is {ready.role.name.lower()} in term {ready.term}"]
    lines += [f"  at once {describe_message(message)}" for message in ready.messages_before_sync]
    if ready.snapshot is not None:
        lines.append(f"  install {describe_label(ready.snapshot)}")
    if ready.hard_state is not None:
        state = ready.hard_state
        how = "sync" if ready.must_sync else "keep"
        whole = "" if state.is_whole else " not whole"
        lines.append(f"  {how} term {state.term} vote {state.vote} commit {state.commit}{whole}")
    if ready.entries:
        lines.append(f"  sync {describe_entries(ready.entries)}")
    lines += [f"  then {describe_message(message)}" for message in ready.messages]
    if ready.committed:
        lines.append(f"  apply {describe_entries(ready.committed)}")
    lines += [f"  send a snapshot to {peer}" for peer in ready.snapshots_wanted]
    lines += [f"  read {state.request_id} at {state.index}" for state in ready.read_states]
    lines += [f"  give up read {request_id}" for request_id in ready.dropped_reads]
    return lines
