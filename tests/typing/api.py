"""What a user writes against the public API, type-checked by `make lint` and never run."""

import memraft as memraft
