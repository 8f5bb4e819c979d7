"""What is said in `memraft demo why`: three calls of a customer at a travel agency."""

import msgspec

CUSTOMER = "Mira"


class Line(msgspec.Struct, frozen=True):
    """One thing said, by whom, whom it is about, and how the memory begins that it takes the place of."""

    speaker: str
    text: str
    about: str = ""
    replaces: str = ""


class Call(msgspec.Struct, frozen=True):
    """A call: a thread of what was said, and the run in which the front desk took it."""

    run: str
    lines: tuple[Line, ...]


BEFORE = (
    Call(
        "call-in-march",
        (
            Line("Mira", "Hello, this is Mira. I would like to spend a week in Lisbon in May.", "Mira"),
            Line("Desk", "How lovely! Who travels with you?"),
            Line("Mira", "My daughter Lea. She is seven, and she gets sick on buses.", "Lea"),
            Line("Desk", "Is there anything the two of you do not eat?"),
            Line("Mira", "I am vegetarian, and Lea must not have nuts, she is allergic.", "Mira"),
            Line("Desk", "I write that down. And how much may it cost?"),
            Line("Mira", "At most 1,800 euros for the two of us.", "Mira"),
        ),
    ),
    Call(
        "call-in-april",
        (
            Line("Mira", "We have to be back by the twelfth, my sister marries that day.", "Mira"),
            Line("Desk", "Then I book the flight home for the eleventh. Which seats?"),
            Line("Mira", "One by the window for Lea, please.", "Lea"),
            Line("Desk", "Shall the hotel be near the sea?"),
            Line("Mira", "Rather in the old town, then we can walk everywhere.", "Mira"),
        ),
    ),
)

QUESTION = "Which meals may be ordered for Mira and Lea, is anybody allergic?"
TURN = "turn-13"
ANSWER = "answer-13"
ANSWER_RUN = "order-meals"

AFTER = (
    Call(
        "call-in-may",
        (
            Line("Mira", "Good news: Lea was tested again.", "Lea"),
            Line("Desk", "And is she still allergic? And you, vegetarian?"),
            Line(
                "Mira",
                "Lea may have nuts now, she is not allergic any more, and I eat fish again.",
                "Mira",
                replaces="I am vegetarian",
            ),
        ),
    ),
)

FORGOTTEN = "At most 1,800 euros"
"""The customer has the desk forget this: how the memory begins."""
