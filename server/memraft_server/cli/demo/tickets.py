"""The demo's material: returning customers, what they write, and what a support desk knows.

Only a customer's first ticket names the order. Every later one takes for granted that the desk remembers.
"""

import re

import msgspec

ROUNDS = 4
"""How often every customer writes."""

ORDER = re.compile(r"#(\d+)")


class Customer(msgspec.Struct, frozen=True):
    """One customer: entity, order number, what was ordered, and the texts of the tickets in order."""

    entity: str
    order: str
    item: str
    texts: tuple[str, str, str, str]


class Ticket(msgspec.Struct, frozen=True):
    """One ticket as it arrives at the desk."""

    id: str
    customer: str
    text: str


class Article(msgspec.Struct, frozen=True):
    """One article of the desk's rules: `topic` names it, `text` is what agents are told."""

    topic: str
    text: str


STORY_CUSTOMER = "user:4321"
"""The customer whom the report follows: the refund is paid out after the leader was killed."""

CUSTOMERS = (
    Customer(
        STORY_CUSTOMER,
        "1458",
        "desk lamp",
        (
            "My order #1458, the desk lamp, arrived broken. I would like a refund.",
            "Any news about my refund?",
            "It has been a few days, is the refund for the lamp on its way?",
            "Could you tell me the status of my refund once more?",
        ),
    ),
    Customer(
        "user:4322",
        "1502",
        "office chair",
        (
            "The office chair from order #1502 is missing two screws, can I have spare parts?",
            "Did the spare parts leave your warehouse?",
            "One spare part is the wrong size, please send the right one.",
            "The chair stands, thank you. Is its warranty still valid?",
        ),
    ),
    Customer(
        "user:4323",
        "1533",
        "headphones",
        (
            "I was charged twice for order #1533, the headphones.",
            "The second charge is still on my card, what about the invoice?",
            "Please send a corrected invoice to me.",
            "I have the invoice but not the money of the double charge.",
        ),
    ),
    Customer(
        "user:4324",
        "1541",
        "coffee grinder",
        (
            "Where is my delivery? Order #1541, a coffee grinder, should be here by now.",
            "The delivery is still not here, where is the parcel?",
            "The parcel went to a neighbour who has moved. What now?",
            "A second parcel came as well, how do I return it?",
        ),
    ),
    Customer(
        "user:4325",
        "1560",
        "keyboard",
        (
            "I want to exchange the keyboard of order #1560 for one with another layout.",
            "Which address do I send the keyboard to for the exchange?",
            "The parcel with the keyboard is with you since Monday, when do I get the other one?",
            "The new keyboard has a stuck key, is that within warranty?",
        ),
    ),
    Customer(
        "user:4326",
        "1577",
        "bookshelf",
        (
            "Please cancel order #1577, the bookshelf, I bought it twice by mistake.",
            "Has my order been cancelled in time?",
            "The bookshelf was delivered although I cancelled, how do I return it?",
            "When will I get the refund for what I returned?",
        ),
    ),
)

ARTICLES = (
    Article(
        "refund", "Refund for a broken or returned item: initiate it at once, accounting pays in five days."
    ),
    Article("spare parts", "Spare parts and missing screws are sent free of charge from the warehouse."),
    Article("invoice", "Charged twice: correct the invoice and return the second charge to the card."),
    Article("delivery", "Delivery late or parcel lost: trace the parcel, after three days send another one."),
    Article("exchange", "Exchange for another layout or size: send a return label, ship on arrival."),
    Article("cancel", "Cancel an order before it ships; once delivered it is a return with a label."),
    Article("warranty", "Warranty covers stuck keys and defects for two years from the order."),
)

PROGRESS = ("initiated", "confirmed with accounting", "approved, not yet paid out", "paid out and closed")
"""How far a customer's matter is after the first, second, third and fourth ticket."""


def tickets(customers: int = len(CUSTOMERS), rounds: int = ROUNDS) -> list[Ticket]:
    """All tickets in the order in which they arrive: each customer writes once a round."""
    ordered: list[Ticket] = []
    for number in range(rounds):
        for customer in CUSTOMERS[:customers]:
            ticket = Ticket(f"T-{len(ordered) + 1:02d}", customer.entity, customer.texts[number])
            ordered.append(ticket)
    return ordered


def order_in(text: str) -> str | None:
    """The order number that `text` names, if it names one."""
    named = ORDER.search(text)
    return named[1] if named else None
