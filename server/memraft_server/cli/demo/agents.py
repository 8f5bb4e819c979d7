"""Three agents that never speak to each other. What one knows, the others find in the shared memory.

intake      takes tickets in, remembers which order a customer has          -> queue/triaged
knowledge   finds the article of the rules that fits                        -> queue/advised
resolution  recalls what the customer did not repeat, and settles the matter
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from memraft_server.cli.demo.desk import Desk
from memraft_server.cli.demo.tickets import ARTICLES, PROGRESS, Ticket, order_in

TRIAGED = "queue/triaged"
ADVISED = "queue/advised"

POLL_INTERVAL_S = 0.05


class Known(msgspec.Struct, frozen=True):
    """What an agent knew at a moment, in seconds since the books were opened."""

    at_s: float
    agent: str
    customer: str
    ticket: str
    what: str


class Diary:
    """What the agents knew and when, and how the desk did."""

    def __init__(self) -> None:
        self.known: list[Known] = []
        self.resolved = 0
        self.without_order_number = 0
        self.asked_again = 0
        self._moved = asyncio.Condition()

    async def settle_one(self) -> None:
        """Books that one more ticket is settled."""
        async with self._moved:
            self.resolved += 1
            self._moved.notify_all()

    async def settled(self, count: int) -> None:
        """Waits until `count` tickets are settled."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.resolved >= count)


def stream_of(ticket_id: str) -> str:
    """The stream that holds a ticket's events."""
    return f"ticket:{ticket_id}"


async def queue(desk: Desk, stream: str, until: int) -> AsyncIterator[Any]:
    """The payloads of the first `until` events of a stream, each as soon as it is there."""
    seen = 0
    while seen < until:
        events = await desk.events(stream, from_sequence=seen + 1)
        for event in events:
            seen = event.sequence
            yield event.payload
        if not len(events):
            await asyncio.sleep(POLL_INTERVAL_S)


async def intake(
    desk: Desk, diary: Diary, tickets: Sequence[Ticket], pace_s: float, taken: Callable[[int], None]
) -> None:
    """Takes one ticket in every `pace_s` seconds. `taken` is called with the number of tickets so far."""
    for number, ticket in enumerate(tickets, 1):
        await desk.append(stream_of(ticket.id), "message", {"from": ticket.customer, "text": ticket.text})
        order = order_in(ticket.text)
        if order is not None:
            text = f"Order #{order} belongs to {ticket.customer}: {ticket.text}"
            await desk.remember(
                text, about=ticket.customer, kind="order", salience=0.9, metadata={"order": order}
            )
            told = Known(
                desk.ledger.now_s(), "intake", ticket.customer, ticket.id, f"was told order #{order}"
            )
            diary.known.append(told)
        await desk.swap(f"ticket/{ticket.id}", {"stage": "triaged"}, expected_version=0)
        await desk.append(TRIAGED, "ticket", {"ticket": ticket.id, "customer": ticket.customer})
        taken(number)
        await asyncio.sleep(pace_s)


async def knowledge(desk: Desk, diary: Diary, count: int) -> None:
    """Learns the rules, then advises on `count` tickets."""
    for article in ARTICLES:
        await desk.remember(article.text, kind="article", metadata={"topic": article.topic})
    async for item in queue(desk, TRIAGED, count):
        ticket, customer = item["ticket"], item["customer"]
        message = (await desk.events(stream_of(ticket)))[0].payload["text"]
        best = (await desk.recall(message, kind="article", k=1))[0]
        topic = best.metadata["topic"]
        await desk.append(stream_of(ticket), "advice", {"topic": topic, "article": best.id})
        await advance(desk, ticket, "advised")
        await desk.append(ADVISED, "ticket", {"ticket": ticket, "customer": customer, "topic": topic})
        diary.known.append(
            Known(desk.ledger.now_s(), "knowledge", customer, ticket, f"found the rule on {topic}")
        )


async def resolution(desk: Desk, diary: Diary, count: int) -> None:
    """Settles `count` tickets. Asks the customer for the order number only where nobody knows it."""
    async for item in queue(desk, ADVISED, count):
        ticket, customer = item["ticket"], item["customer"]
        message = (await desk.events(stream_of(ticket)))[0].payload["text"]
        order = order_in(message)
        if order is None:
            diary.without_order_number += 1
            order = await recall_order(desk, diary, ticket, customer)
        if order is None:
            diary.asked_again += 1
            await desk.append(stream_of(ticket), "question", {"text": "What is your order number?"})
        else:
            text = await settle(desk, customer, order, item["topic"])
            await desk.append(stream_of(ticket), "resolution", {"text": text})
            diary.known.append(Known(desk.ledger.now_s(), "resolution", customer, ticket, f"settled: {text}"))
        await advance(desk, ticket, "resolved")
        await diary.settle_one()


async def recall_order(desk: Desk, diary: Diary, ticket: str, customer: str) -> str | None:
    """The order number that another agent remembered about this customer."""
    hits = await desk.recall("order number", about=customer, kind="order", k=1)
    if not len(hits):
        return None
    order = str(hits[0].metadata["order"])
    what = f"recalled order #{order}, which {hits[0].agent} wrote at log index {hits[0].log_index}"
    diary.known.append(Known(desk.ledger.now_s(), "resolution", customer, ticket, what))
    return order


async def settle(desk: Desk, customer: str, order: str, topic: str) -> str:
    """Takes the customer's matter one step further and remembers how it stands, in place of how it stood."""
    before = await desk.recall("how the matter stands", about=customer, kind="status", k=1)
    step = int(before[0].metadata["step"]) + 1 if len(before) else 0
    matter = before[0].metadata["matter"] if len(before) else topic
    text = f"{matter.capitalize()} for order #{order}: {PROGRESS[min(step, len(PROGRESS) - 1)]}"
    replaces = {"id": before[0].id} if len(before) else {}
    details = {"about": customer, "kind": "status", "salience": 0.8}
    await desk.remember(text, **details, **replaces, metadata={"step": step, "matter": matter})
    return text


async def advance(desk: Desk, ticket: str, stage: str) -> None:
    """Moves a ticket to its next stage; two agents can never move it at once."""
    name = f"ticket/{ticket}"
    moved = 0
    while not moved:
        record = await desk.state(name)
        moved = await desk.swap(name, {"stage": stage}, expected_version=record.version if record else 0)
