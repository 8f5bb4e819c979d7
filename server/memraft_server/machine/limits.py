"""Limits of arguments and replies, checked before a command reaches the log."""

from __future__ import annotations

from dataclasses import dataclass

ITEMS_MAX = 10_000
"""Most items (documents, events, vectors, operations) of one command. Part of the contract, not a setting: it
also keeps the positions of an entry below `POSITIONS_MAX`."""

DIMENSION_MAX = 4096
"""Most components of a vector. Part of the contract: a configuration may only lower it."""

REPLY_TEXTS_BYTES_MAX = 1 << 20
"""Most bytes of a command's reply that its request does not bound: values that stood in the way of swaps, and
messages of refused operations. Part of the contract: replies are kept and hashed, so replicas must agree. One
value of the largest size that is allowed by default fits."""

COPIED_BYTES_MAX = 16 << 20
"""Most bytes that one command may store again of what is there, by small changes to large memories, nodes and
edges: what is in no request is counted by nobody before. Part of the contract."""

PROPERTIES_BYTES_MAX = 1 << 20
"""Most bytes that the properties of a node or an edge may grow to by patches and merges. Part of the
contract."""

INDEXES_MAX = 16
"""Most fields of a namespace that are indexed. Part of the contract."""

POSITION_BITS = 20
POSITIONS_MAX = 1 << POSITION_BITS
"""A version is `log_index << POSITION_BITS | position of the item in the entry`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may carry. They bind calls, not the log: replicas may differ in them and still agree."""

    namespace_bytes_max: int = 255
    namespace_segments_max: int = 8
    key_bytes_max: int = 512
    """Of keys, names of streams and records, ids of vectors and memories."""
    value_bytes_max: int = 1 << 20
    """Of documents, events, state values, inputs and outputs of runs."""
    text_bytes_max: int = 64 << 10
    """Of the text of a memory."""
    metadata_bytes_max: int = 16 << 10
    properties_bytes_max: int = 64 << 10
    """Of the properties of a node or an edge, in one call."""
    name_bytes_max: int = 128
    """Of types and domains in the graph, collection names, event types and kinds of memories."""
    label_bytes_max: int = 255
    """Of agents, runs and tools in a WriteContext, and of ids of runs."""
    fingerprint_bytes_max: int = 255
    ttl_ms_max: int = 100 * 365 * 86_400_000
    """A hundred years: further than that is never."""
    lease_ttl_ms_max: int = 86_400_000
    """Of leases and places in their queues: a day. What the dead hold is free after this at the latest."""
    dimension_max: int = DIMENSION_MAX
    items_max: int = ITEMS_MAX
    """Of a Batch and of the columnar calls."""
    k_max: int = 1000
    filter_bytes_max: int = 16 << 10
    filter_depth_max: int = 16
    filter_nodes_max: int = 256
    field_bytes_max: int = 255
    """Of the path of a field."""
    sort_fields_max: int = 8
    query_fields_max: int = 64
    """Of the documents that a query finds."""
    page_items_max: int = 10_000
    page_bytes_max: int = 3 << 20
    """A page ends before it grows beyond this, so that it fits gRPC's default message of 4 MiB."""
    reply_bytes_max: int = 32 << 20
    """Of a reply that cannot be paged: MultiGet is refused over it, SearchVectors and Recall end before."""
    walk_ids_max: int = 1000
    """Nodes that a walk through the graph may begin at."""
    walk_depth_max: int = 64
    walk_edges_max: int = 100_000
    """Edges that one walk looks at."""
    edge_types_max: int = 64
    """Of a filter over edges."""
    index_names_max: int = 200_000
    """Nodes and edges, gone ones included, of which the index of a fork or of the past is made."""
    scan_keys_max: int = 100_000
    """Keys that one page looks at, deleted ones included; a page may end early and be continued."""
