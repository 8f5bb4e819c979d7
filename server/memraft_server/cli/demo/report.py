"""The demo's outcome as a person reads it."""

from memraft_server.cli.demo.story import Outcome
from memraft_server.cli.demo.tickets import STORY_CUSTOMER
from memraft_server.cli.output import count, duration, moment, table

KINDS = {"document": "documents", "event": "events", "record": "records", "memory": "memories"}


def render(outcome: Outcome) -> str:
    """The whole report, section by section."""
    return "\n\n".join(
        [
            _desk(outcome),
            _known(outcome),
            _recall(outcome),
            _failure(outcome),
            _chains(outcome),
            _audit(outcome),
            _latencies(outcome),
            _verdict(outcome),
        ]
    )


def _desk(outcome: Outcome) -> str:
    return (
        f"The desk: {outcome.resolved} of {outcome.tickets} tickets settled. "
        f"{outcome.without_order_number} of them did not name the order;\n"
        f"customers were asked for it again: {outcome.asked_again} times."
    )


def _known(outcome: Outcome) -> str:
    rows = [
        [f"{each.at_s:.2f} s", each.ticket, each.agent, each.what]
        for each in outcome.known
        if each.customer == STORY_CUSTOMER
    ]
    body = table(["WHEN", "TICKET", "AGENT", "WHAT IT KNEW"], rows, right="r", indent=2)
    return f"What each agent knew about {STORY_CUSTOMER}, and when:\n\n{body}"


def _recall(outcome: Outcome) -> str:
    shown = outcome.recall
    body = table(
        ["ASKED OF", "ANSWER"],
        [[f"at={outcome.kill.log_index} (before the kill)", shown.before], ["now", shown.now]],
        indent=2,
    )
    when = moment(outcome.kill.at)
    title = f'Recall of "{shown.question}" about {shown.about}; log index {outcome.kill.log_index} is {when}:'
    return f"{title}\n\n{body}"


def _failure(outcome: Outcome) -> str:
    kill = outcome.kill
    return (
        f"The failure: {kill.node} led shard {kill.shard} ({count(kill.shard_writes)} writes so far) "
        f"and was killed at {kill.killed_at_s:.1f} s.\n"
        f"{kill.new_leader} was seen to lead after {duration(kill.leaderless_s)}; "
        f"no write to the shard was acknowledged for {duration(kill.pause_s)}.\n"
        f"{kill.node} came back at {kill.restarted_at_s:.1f} s and had caught up"
        f" {duration(kill.rejoined_after_s)} later."
    )


def _chains(outcome: Outcome) -> str:
    chains = outcome.chains
    verdict = f"broken: {', '.join(chains.broken)}" if chains.broken else "all intact"
    agree = "agree" if outcome.replicas_agree else "DO NOT AGREE"
    return (
        f"Hash chains of {chains.streams} ticket streams, {count(chains.events)} events: {verdict}.\n"
        f"All {outcome.nodes} replicas of {outcome.shards} shards {agree} on the hash of what they applied."
    )


def _audit(outcome: Outcome) -> str:
    audit = outcome.audit
    rows = [
        [KINDS.get(kind, kind), count(number), count(audit.found.get(kind, 0))]
        for kind, number in audit.acknowledged.items()
    ]
    total = sum(audit.acknowledged.values())
    rows.append(["together", count(total), count(sum(audit.found.values()))])
    parts = ["Every acknowledged write, read back from the leaders (linearizable) and compared:", ""]
    parts.append(table(["", "ACKNOWLEDGED", "FOUND AGAIN"], rows, right="lrr", indent=2))
    parts += [f"  missing: {name}" for name in audit.missing]
    if audit.written_twice:
        parts.append(f"  written twice: {audit.written_twice} events")
    parts += [f"  not acknowledged: {number} x {name}" for name, number in outcome.failures.items()]
    return "\n".join(parts)


def _latencies(outcome: Outcome) -> str:
    rows = [
        [name, count(each.count), *(duration(us * 1e-6) for us in (each.p50_us, each.p99_us, each.max_us))]
        for name, each in outcome.latencies.items()
    ]
    body = table(["OPERATION", "COUNT", "P50", "P99", "SLOWEST"], rows, right="lrrrr", indent=2)
    return f"Latencies that the clients saw, the failover among them:\n\n{body}"


def _verdict(outcome: Outcome) -> str:
    if outcome.good:
        return f"Nothing acknowledged was lost. ({outcome.seconds:.0f} s)"
    return "A PROMISE WAS BROKEN: see above."
