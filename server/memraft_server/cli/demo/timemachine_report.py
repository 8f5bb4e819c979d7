"""What came of `memraft demo time-machine`, as a person reads it."""

from memraft.types import Replay
from memraft_server.cli.demo.timemachine import (
    NAMESPACE,
    ORDER,
    QUESTION,
    RIGHT_RUN,
    WRONG_RUN,
    Outcome,
    Verdicts,
)
from memraft_server.cli.output import moment, table
from memraft_server.cli.sides import record_table, step_table

_REPLAYED = {"same": "the same", "outside": "the same but for others' writes", "differs": "NOT THE SAME"}


def render(outcome: Outcome) -> str:
    """The whole report, section by section."""
    return "\n\n".join(
        [
            _answer(outcome),
            _why(outcome),
            _corrected(outcome),
            _difference(outcome),
            _replays(outcome),
            _merge(outcome),
            _verdict(outcome),
        ]
    )


def _answer(outcome: Outcome) -> str:
    kill = outcome.kill
    return (
        f'The wrong answer: asked "{QUESTION}", the clerk had a refund for\n'
        f"order {ORDER}, delivered 21 days ago, {outcome.wrong.answer}. {kill.node}, which led shard "
        f"{kill.shard}, was killed between its recall and\n"
        f"its decision; {kill.new_leader} recorded the rest."
    )


def _why(outcome: Outcome) -> str:
    rows = [
        [name, str(each.log_index), moment(each.at), each.agent, each.text]
        for name, each in (("what it saw", outcome.seen), ("before that", outcome.before))
    ]
    body = table(["", "LOG INDEX", "SINCE", "STORED BY", "WHAT IT SAID"], rows, right="lr", indent=2)
    return (
        f"Why: its recall gave one memory, {outcome.memory}.\n\n{body}\n\n"
        f"  The same recall as of the decision gives again: {outcome.recalled_as_of}"
    )


def _corrected(outcome: Outcome) -> str:
    return (
        f"A fork from before the mistake: {outcome.fork}, as of just before log index "
        f"{outcome.seen.log_index}.\n"
        f"The same agent, asked the same in it (run {RIGHT_RUN}), has the order {outcome.right.answer}."
    )


def _difference(outcome: Outcome) -> str:
    parts = [f"Where {WRONG_RUN} and {RIGHT_RUN} differ:"]
    first = outcome.first_difference
    if first is not None:
        parts.append(f"  first at step {first.step}, {first.call}:")
        parts.append(step_table(first, "WRONG", "CORRECTED", indent=4))
    parts.append("  what they left behind:")
    parts.append(record_table(outcome.left_behind, "WRONG", "CORRECTED", indent=4))
    parts.append(f"  what is not the same in {NAMESPACE} and {outcome.fork}:")
    parts.append(record_table(outcome.changed, "WRONG", "CORRECTED", indent=4))
    return "\n\n".join(parts)


def _replays(outcome: Outcome) -> str:
    rows = [row for each in (outcome.wrong, outcome.right) for row in _replay_rows(each)]
    body = table(["RUN", "REPLAYED", "STEPS", "VERDICT", "HASH"], rows, right="llr", indent=2)
    return f"Replayed, on the new leader:\n\n{body}"


def _replay_rows(verdicts: Verdicts) -> list[list[str]]:
    def row(what: str, replay: Replay) -> list[str]:
        hash = replay.replayed_hash.hex()[:16] or "-"
        steps = f"{replay.steps} of {replay.recorded_steps}"
        return [verdicts.run, what, steps, _REPLAYED[replay.verdict], hash]

    return [
        row("its commands, again", verdicts.commands),
        row("the agent, with what was recorded", verdicts.agent),
    ]


def _merge(outcome: Outcome) -> str:
    conflicts = ", ".join(outcome.conflicts) or "none"
    return (
        f"The fork is merged: {outcome.merged} records and events; in conflict, and taken from the fork:\n"
        f"{conflicts}.\nOrder {ORDER} is {outcome.answer_now} now."
    )


def _verdict(outcome: Outcome) -> str:
    agree = "agree" if outcome.replicas_agree else "DO NOT AGREE"
    kept = "Every promise held." if outcome.good else "A PROMISE WAS BROKEN: see above."
    return f"The replicas {agree} on the hash of all that they applied. {kept}"
