"""`memraft graph`: nodes, typed edges, and the ways between them."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_action,
    add_read,
    given,
    open_memory,
    parse_json_object,
    parse_when,
    read_options,
)
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import moment, print_json, table, without_empty

POLICIES = ("keep", "take", "newest", "union", "max", "min")


def register(commands: Any) -> None:
    """Adds `graph` and its subcommands."""
    group = commands.add_parser("graph", help="nodes, edges and the ways between them", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    _register_nodes(actions)
    _register_edges(actions)
    _register_ways(actions)


def _register_nodes(actions: Any) -> None:
    put = add_action(actions, "put-node", _put_node, "store a node")
    put.add_argument("id")
    put.add_argument("properties", nargs="?", help="a JSON object")
    put.add_argument("--type", help="what it is, such as person")
    put.add_argument("--domain", help="the part of the world that it belongs to, such as billing")
    put.add_argument("--patch", action="store_true", help="change what is given and leave the rest")

    node = add_action(actions, "node", _node, "read a node")
    node.add_argument("id")
    node.add_argument("--forgotten", action="store_true", help="even if it is forgotten")
    add_read(node)

    listing = add_action(actions, "list", _list, "list nodes")
    listing.add_argument("prefix", nargs="?", default="", help="only ids that begin with this")
    listing.add_argument("--type", help="only nodes of this type")
    listing.add_argument("--domain", help="only nodes of this domain")
    listing.add_argument("--filter", metavar="JSON", help='over properties, such as {"age": {"$gte": 18}}')
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)

    delete = add_action(actions, "delete-node", _delete_node, "delete a node; it stays readable with --at")
    delete.add_argument("id")
    delete.add_argument("--detach", action="store_true", help="and its edges")

    merge = add_action(actions, "merge", _merge, "make one node out of two")
    merge.add_argument("id", help="the node that stays")
    merge.add_argument("merged", help="the node that goes; its id means the other from then on")
    merge.add_argument("--policy", choices=POLICIES, help="for properties that both have (keep)")
    merge.add_argument("--field", metavar="NAME=POLICY", action="append", help="another policy for one")

    for name, run, text in (
        ("forget", _forget, "hide a node and its edges; its history stays"),
        ("restore", _restore, "show a forgotten node again"),
    ):
        add_action(actions, name, run, text).add_argument("id")


def _register_edges(actions: Any) -> None:
    put = add_action(actions, "put-edge", _put_edge, "store an edge between two nodes")
    _add_triple(put)
    put.add_argument("properties", nargs="?", help="a JSON object")
    put.add_argument("--weight", type=float, help="what a weighted path pays for it (1)")
    put.add_argument(
        "--from", dest="valid_from", type=parse_when, metavar="WHEN", help="it holds from then on"
    )
    put.add_argument(
        "--until", dest="valid_until", type=parse_when, metavar="WHEN", help="it holds until then"
    )
    put.add_argument("--patch", action="store_true", help="change what is given and leave the rest")
    edge = add_action(actions, "edge", _edge, "read an edge")
    _add_triple(edge)
    add_read(edge)
    delete = add_action(actions, "delete-edge", _delete_edge, "delete an edge; it stays readable with --at")
    _add_triple(delete)


def _register_ways(actions: Any) -> None:
    neighbours = add_action(actions, "neighbours", _neighbours, "list the nodes beside one")
    neighbours.add_argument("id")
    neighbours.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    neighbours.add_argument("--cursor", help="continue a listing")
    _add_which(neighbours, "out")

    walk = add_action(actions, "walk", _walk, "walk from a node, breadth first")
    walk.add_argument("id")
    walk.add_argument("--depth", type=int, default=2, help="how many edges away at most (2)")
    walk.add_argument("--limit", type=int, default=100, help="at most this many nodes (100)")
    _add_which(walk, "out")

    part = add_action(actions, "subgraph", _subgraph, "read nodes and every edge between them")
    part.add_argument("ids", nargs="+", metavar="id", help="a node; one that does not exist is passed over")
    part.add_argument("--depth", type=int, default=0, help="and all nodes up to so many edges away (0)")
    part.add_argument("--limit", type=int, default=100, help="at most this many nodes (100)")
    _add_which(part, "both")

    path = add_action(actions, "path", _path, "find a shortest path")
    path.add_argument("source")
    path.add_argument("target")
    path.add_argument("--weighted", action="store_true", help="the least weight, not the fewest edges")
    _add_which(path, "out")

    crossing = add_action(actions, "crossing", _crossing, "list edges between domains")
    crossing.add_argument("source_domain", nargs="?", default="")
    crossing.add_argument("target_domain", nargs="?", default="")
    crossing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    crossing.add_argument("--cursor", help="continue a listing")
    add_read(crossing)


def _add_triple(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="the node that it leaves")
    parser.add_argument("type", help="what it says, such as works_at")
    parser.add_argument("target", help="the node that it arrives at")


def _add_which(parser: argparse.ArgumentParser, direction: str) -> None:
    parser.add_argument("--direction", choices=("out", "in", "both"), default=direction)
    parser.add_argument("--type", dest="types", action="append", help="only edges of this type; repeatable")
    parser.add_argument("--domain", help="only nodes of this domain")
    parser.add_argument(
        "--valid-at", type=parse_when, metavar="WHEN", help="only edges that hold in the world then"
    )
    add_read(parser)


def _which(arguments: argparse.Namespace) -> dict[str, Any]:
    options = given(types=arguments.types, domain=arguments.domain, valid_at=arguments.valid_at)
    return {"direction": arguments.direction, **options, **read_options(arguments)}


def _properties(arguments: argparse.Namespace) -> dict[str, Any] | None:
    return None if arguments.properties is None else parse_json_object(arguments.properties, "properties")


def _fields(item: Any) -> dict[str, Any]:
    return without_empty(msgspec.to_builtins(item))


def _written(arguments: argparse.Namespace, written: Any, text: str) -> int:
    if arguments.json:
        print_json({**_fields(written), "log_index": written.log_index})
    else:
        print(f"{text}: log index {written.log_index}, {moment(written.at)}")
    return 0


def _put_node(arguments: argparse.Namespace) -> int:
    options = given(type=arguments.type, domain=arguments.domain)
    with open_memory(arguments, makes=True) as memory:
        put = memory.patch_node if arguments.patch else memory.put_node
        stored = put(arguments.id, _properties(arguments), **options)
    return _written(arguments, stored, f"{'stored' if stored.created else 'changed'} {stored.id}")


def _put_edge(arguments: argparse.Namespace) -> int:
    options = given(
        weight=arguments.weight, valid_from=arguments.valid_from, valid_until=arguments.valid_until
    )
    triple = (arguments.source, arguments.type, arguments.target)
    with open_memory(arguments, makes=True) as memory:
        put = memory.patch_edge if arguments.patch else memory.put_edge
        stored = put(*triple, _properties(arguments), **options)
    return _written(arguments, stored, f"{'stored' if stored.created else 'changed'} {stored.id}")


def _delete_node(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        deleted = memory.delete_node(arguments.id, detach=arguments.detach)
    return _ended(arguments, deleted, "deleted", "node")


def _delete_edge(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        deleted = memory.delete_edge(arguments.source, arguments.type, arguments.target)
    return _ended(arguments, deleted, "deleted", "edge")


def _forget(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        return _ended(arguments, memory.forget_node(arguments.id), "forgotten", "node")


def _restore(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        return _ended(arguments, memory.restore_node(arguments.id), "restored", "node")


def _ended(arguments: argparse.Namespace, done: Any, what: str, thing: str) -> int:
    if not done.found:
        raise CliError(f"no {thing} {done.id!r} in {arguments.namespace}")
    return _written(arguments, done, f"{what}: {done.id}")


def _merge(arguments: argparse.Namespace) -> int:
    policies = {}
    for text in arguments.field or ():
        name, equals, policy = text.rpartition("=")
        if not equals or policy not in POLICIES:
            raise CliError(f"--field {text!r}: NAME=POLICY, the policy one of {', '.join(POLICIES)}")
        policies[name] = policy
    with open_memory(arguments) as memory:
        options = given(policy=arguments.policy)
        merged = memory.merge_nodes(arguments.id, arguments.merged, policies=policies, **options)
    if arguments.json:
        print_json({**_fields(merged), "log_index": merged.log_index})
    else:
        moved = "1 edge" if merged.edges_moved == 1 else f"{merged.edges_moved} edges"
        edges = f"{moved} moved, {merged.edges_dropped} ended"
        print(f"{arguments.merged} means {merged.id} now: {edges}, log index {merged.log_index}")
    return 0


def _node(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        options = read_options(arguments)
        node = memory.node(arguments.id, include_forgotten=arguments.forgotten, **options)
    if node is None:
        raise CliError(f"no node {arguments.id!r} in {arguments.namespace}")
    if arguments.json:
        print_json({**_fields(node), "log_index": node.log_index})
    else:
        print(_text(node.properties))
    return 0


def _edge(arguments: argparse.Namespace) -> int:
    triple = (arguments.source, arguments.type, arguments.target)
    with open_memory(arguments) as memory:
        edge = memory.edge(*triple, **read_options(arguments))
    if edge is None:
        raise CliError(f"no edge {' '.join(triple)!r} in {arguments.namespace}")
    if arguments.json:
        print_json({**_fields(edge), "log_index": edge.log_index})
    else:
        print(" ".join(part for part in (_text(edge.properties), _validity(edge)) if part))
    return 0


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _list(arguments: argparse.Namespace) -> int:
    options = given(type=arguments.type, domain=arguments.domain, cursor=arguments.cursor)
    if arguments.filter is not None:
        options["filter"] = parse_json_object(arguments.filter, "--filter")
    with open_memory(arguments) as memory:
        options |= read_options(arguments)
        found = memory.nodes(prefix=arguments.prefix, limit=arguments.limit, **options)
    rows = [[each.id, each.type, each.domain, _text(each.properties)] for each in found]
    return _page(arguments, found, ["ID", "TYPE", "DOMAIN", "PROPERTIES"], rows)


def _page(arguments: argparse.Namespace, found: Any, headers: list[str], rows: list[list[str]]) -> int:
    if arguments.json:
        items = [_fields(each) for each in found]
        print_json({"items": items, "log_index": found.log_index, "next_cursor": found.next_cursor})
        return 0
    print(table(headers, rows))
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0


def _validity(edge: Any) -> str:
    start, end = (moment(at) if at else "" for at in (edge.valid_from, edge.valid_until))
    return f"{start}–{end}" if start or end else ""


def _neighbours(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | _which(arguments)
    with open_memory(arguments) as memory:
        found = memory.neighbours(arguments.id, limit=arguments.limit, **options)
    rows = [
        ["→" if each.direction == "out" else "←", each.type, each.id, _validity(each), _text(each.properties)]
        for each in found
    ]
    return _page(arguments, found, ["", "TYPE", "ID", "HOLDS", "PROPERTIES"], rows)


def _crossing(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    ends = (arguments.source_domain, arguments.target_domain)
    with open_memory(arguments) as memory:
        found = memory.cross_domain_edges(*ends, limit=arguments.limit, **options)
    rows = [
        [each.source_domain, each.source, each.type, each.target, each.target_domain, _validity(each)]
        for each in found
    ]
    return _page(arguments, found, ["FROM", "SOURCE", "TYPE", "TARGET", "TO", "HOLDS"], rows)


def _walk(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        options = _which(arguments)
        found = memory.traverse(arguments.id, depth=arguments.depth, limit=arguments.limit, **options)
    if arguments.json:
        print_json(msgspec.to_builtins(found))
        return 0
    rows = [[each.depth, each.id, each.previous, each.type] for each in found]
    print(table(["DEPTH", "ID", "FROM", "TYPE"], rows, right="r"))
    if found.is_truncated:
        print("there is more: --limit")
    return 0


def _subgraph(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        options = _which(arguments)
        found = memory.subgraph(arguments.ids, depth=arguments.depth, limit=arguments.limit, **options)
    if arguments.json:
        print_json(msgspec.to_builtins(found))
        return 0
    nodes = [[each.id, each.type, each.domain, _text(each.properties)] for each in found.nodes]
    edges = [
        [each.source, each.type, each.target, _validity(each), _text(each.properties)] for each in found.edges
    ]
    print(table(["ID", "TYPE", "DOMAIN", "PROPERTIES"], nodes))
    print()
    print(table(["SOURCE", "TYPE", "TARGET", "HOLDS", "PROPERTIES"], edges))
    if found.is_truncated:
        print("there is more: --limit")
    return 0


def _path(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        options = _which(arguments)
        path = memory.shortest_path(
            arguments.source, arguments.target, weighted=arguments.weighted, **options
        )
    if path is None:
        raise CliError(f"no path from {arguments.source!r} to {arguments.target!r}")
    if arguments.json:
        print_json(msgspec.to_builtins(path))
        return 0
    text = path.ids[0]
    for edge, id in zip(path.edges, path.ids[1:], strict=True):
        text += f" -[{edge.type}]→ {id}" if edge.target == id else f" ←[{edge.type}]- {id}"
    print(text)
    return 0
