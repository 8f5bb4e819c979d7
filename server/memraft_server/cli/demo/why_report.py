"""What came of `memraft demo why`, as a person reads it."""

from collections.abc import Sequence

from memraft.types import Reason
from memraft_server.cli.demo.why import Outcome, Recall
from memraft_server.cli.demo.why_talk import ANSWER, ANSWER_RUN
from memraft_server.cli.output import cut, moment, table

TEXT_WIDTH = 58
REASONS_SHOWN = 4


def render(outcome: Outcome) -> str:
    """The whole report, section by section."""
    return "\n\n".join(
        [
            _answer(outcome),
            _receipt(outcome),
            _reasons(outcome),
            _behind(outcome),
            _then(outcome),
            _today(outcome),
            _verdict(outcome),
        ]
    )


def _answer(outcome: Outcome) -> str:
    kill = outcome.kill
    return (
        f"The answer {ANSWER}, of the run {ANSWER_RUN}: {outcome.answer}\n"
        f"Since then {kill.node}, which led shard {kill.shard}, was killed, the customer called again, and "
        f"something was forgotten.\n{kill.new_leader} answers what follows, from the answer's name alone."
    )


def _receipt(outcome: Outcome) -> str:
    receipt = outcome.receipt
    said = {
        "asked": receipt.query,
        "by": f"{receipt.agent}, in the run {receipt.run}, for {receipt.turn}",
        "at": moment(receipt.recalled_at),
        "of the state": f"as of log index {receipt.log_index}, {moment(receipt.at)}",
        "vectors by": receipt.fingerprint,
        "found": f"{len(receipt.hits)} memories",
    }
    lines = [f"  {name:<14}{value}" for name, value in said.items()]
    return "\n".join([f"Its receipt, {receipt.id}:", "", *lines])


def _reasons(outcome: Outcome) -> str:
    texts = {hit.id: hit.text for hit in outcome.answered.hits}
    rows = [
        [str(place), f"{hit.score:.3f}", cut(texts[hit.id], TEXT_WIDTH), _why(hit.reasons)]
        for place, hit in enumerate(outcome.receipt.hits, 1)
    ]
    body = table(["", "SCORE", "MEMORY", "WHY"], rows, right="rr", indent=2)
    return (
        f"Why these, says the receipt: what each signal added, and the place by that signal alone:\n\n{body}"
    )


def _why(reasons: Sequence[Reason]) -> str:
    shown = [
        f"{each.name} {each.share:+.3f}" + (f" ({each.rank}.)" if each.rank else "")
        for each in reasons[:REASONS_SHOWN]
    ]
    return ", ".join(shown)


def _behind(outcome: Outcome) -> str:
    parts = ["The answer was made from:"]
    for each in outcome.behind:
        stands = "still what it says" if each.is_current else "changed or forgotten since"
        origin = (
            f"written by {each.agent} in the run {each.run}, log index {each.log_index}, {moment(each.at)}"
        )
        lines = [
            f"  {each.speaker}: {each.text}",
            f"    {origin}; {stands}",
            "    what happened in that run until then:",
        ]
        parts.append("\n".join([*lines, *(f"      {what}" for what in each.around)]))
    return "\n\n".join(parts)


def _then(outcome: Outcome) -> str:
    return (
        f"The same query as of log index {outcome.receipt.log_index}, the state of that turn:\n\n"
        f"{_found(outcome.then, outcome.answered)}"
    )


def _today(outcome: Outcome) -> str:
    return (
        f"The same query today, log index {outcome.today.log_index}:\n\n"
        f"{_found(outcome.today, outcome.answered)}"
    )


def _found(now: Recall, before: Recall) -> str:
    places = {(hit.id, hit.version): place for place, hit in enumerate(before.hits, 1)}
    rows = [
        [
            str(place),
            f"{hit.score:.3f}",
            cut(hit.text, TEXT_WIDTH),
            _moved(places.get((hit.id, hit.version)), place),
        ]
        for place, hit in enumerate(now.hits, 1)
    ]
    return table(["", "SCORE", "MEMORY", "COMPARED WITH THE ANSWER"], rows, right="rr", indent=2)


def _moved(before: int | None, now: int) -> str:
    if before is None:
        return "new"
    return "the same" if before == now else f"was {before}."


def _verdict(outcome: Outcome) -> str:
    agree = "agree" if outcome.replicas_agree else "DO NOT AGREE"
    kept = "Every promise held." if outcome.good else "A PROMISE WAS BROKEN: see above."
    return f"The replicas {agree} on the hash of all that they applied. {kept}"
