"""`memraft memory forgotten` and `consolidate`, and how many memories a namespace keeps."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import add_action, add_read, given, open_memory, read_options
from memraft_server.cli.errors import UsageError
from memraft_server.cli.output import cut, moment, print_json, record_fields, table

REASONS = ("forgotten", "expired", "evicted", "pruned", "merged")
_COUNTS = {
    "entries_max": "most memories, those that are worth most; 0: any number",
    "bytes_max": "most bytes of memories and their embeddings, likewise; 0: any number",
    "default_ttl_ms": "milliseconds until a memory without a time to live of its own is forgotten; 0: never",
}
_NUMBERS = {
    "prune_below": "forget memories that are worth less than this, from 0 to 1; 0: none",
    "recency": "the weight of how recently a memory was written or recalled, from 0 to 100",
    "frequency": "the weight of how often it was recalled",
    "salience": "the weight of its salience",
    "impact": "the weight of how many answers it led to",
    "half_life_days": "recency halves in so many days",
}


def add_actions(actions: Any) -> None:
    """Adds what there is below `memraft memory`."""
    listing = add_action(actions, "forgotten", _forgotten, "list what was forgotten and why, the last first")
    listing.add_argument("id", nargs="?", default="", help="only the memory with this id")
    listing.add_argument("--reason", choices=REASONS, default="", help="only what was forgotten for this")
    listing.add_argument("--limit", type=int, default=20, help="at most this many (20)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)

    merge = add_action(actions, "consolidate", _consolidate, "merge memories that say nearly the same")
    merge.add_argument("--threshold", type=float, help="how near two embeddings must be, up to 1 (0.9)")
    merge.add_argument(
        "--paraphrases",
        action="store_true",
        default=None,
        help="also those of which each has words that the other has not; see --dry-run first",
    )
    merge.add_argument("--about", help="only memories about this entity")
    merge.add_argument("--kind", help="only memories of this kind")
    merge.add_argument("--dry-run", action="store_true", help="show them and change nothing")


def add_wanted(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `memraft memory forget`."""
    parser.add_argument("id", nargs="?", help="which one; or all of which the following hold")
    parser.add_argument("--about", help="all about this entity")
    parser.add_argument("--kind", help="all of this kind")
    parser.add_argument("--speaker", help="all that this one said")
    parser.add_argument("--thread", help="all of this conversation")
    parser.add_argument("--reason", help="why, for those who ask later")


def forget_where(arguments: argparse.Namespace, options: dict[str, Any]) -> int:
    """Forgets many memories."""
    wanted = {name: getattr(arguments, name) for name in ("about", "kind", "speaker", "thread")}
    if not any(wanted.values()):
        raise UsageError("which memories? give an id, --about, --kind, --speaker or --thread")
    with open_memory(arguments) as memory:
        count = memory.forget_where(**given(**wanted), **options)
    if arguments.json:
        print_json({"forgotten": count})
    else:
        print(f"{count} memories were forgotten")
    return 0


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds the options that set how many memories are kept: see `given_settings`."""
    for names, kind, metavar in ((_COUNTS, int, "N"), (_NUMBERS, float, "X")):
        for name, text in names.items():
            option = f"--memories-{name.replace('_', '-')}"
            parser.add_argument(option, type=kind, metavar=metavar, help=text)


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns what was given of these options, as `Memory.set_settings(memories=)` takes it."""
    return given(**{name: getattr(arguments, f"memories_{name}") for name in (*_COUNTS, *_NUMBERS)})


def settings_rows(found: Any) -> list[list[str]]:
    """Returns the rows of a table of settings that are about memories."""
    rules = found.memories
    weights = ", ".join(
        f"{name} {getattr(rules, name):g}" for name in ("recency", "frequency", "salience", "impact")
    )
    ttl = f"{rules.default_ttl_ms:,} ms" if rules.default_ttl_ms else "never"
    return [
        ["memories are forgotten after", ttl],
        ["memories", _of_most(found.memories_entries, rules.entries_max)],
        ["bytes of memories", _of_most(found.memories_bytes, rules.bytes_max)],
        ["memories are pruned", f"below {rules.prune_below:g}" if rules.prune_below else "never"],
        ["what they are worth", f"{weights}; half in {rules.half_life_days:g} days"],
    ]


def _of_most(count: int, count_max: int) -> str:
    return f"{count:,} of at most {count_max:,}" if count_max else "any number"


def _forgotten(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    with open_memory(arguments) as memory:
        found = memory.forgotten(arguments.id, reason=arguments.reason, limit=arguments.limit, **options)
    if arguments.json:
        items = [record_fields(each) for each in found]
        print_json({"items": items, "log_index": found.log_index, "next_cursor": found.next_cursor})
        return 0
    rows = []
    for each in found:
        why = each.note or (f"into {each.merged_into}" if each.merged_into else "")
        worth = f"{each.worth.score:.3f}" if each.worth is not None else ""
        rows.append(
            [each.memory.id, moment(each.at), each.agent, each.reason, worth, cut(why or each.memory.text)]
        )
    print(table(["ID", "AT", "AGENT", "REASON", "WORTH", "WHY OR TEXT"], rows))
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0


def _consolidate(arguments: argparse.Namespace) -> int:
    options = given(
        threshold=arguments.threshold,
        paraphrases=arguments.paraphrases,
        about=arguments.about,
        kind=arguments.kind,
    )
    with open_memory(arguments) as memory:
        done = memory.consolidate(dry_run=arguments.dry_run, **options)
    if arguments.json:
        print_json({"dry_run": arguments.dry_run, **msgspec.to_builtins(done)})
        return 0
    rows = [
        [group.kept, id, f"{cosine:.3f}"]
        for group in done.groups
        for id, cosine in zip(group.merged, group.cosines, strict=True)
    ]
    print(table(["KEPT", "MERGED INTO IT", "COSINE"], rows))
    verb = "would be merged" if arguments.dry_run else "were merged"
    print(f"{done.merged} of {done.looked} memories {verb} into others")
    if done.conflicts:
        print(f"{done.conflicts} groups were changed meanwhile and left alone")
    return 0
