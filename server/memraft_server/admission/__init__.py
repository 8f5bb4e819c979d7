"""Before the log: who calls, what they may touch, and how much. Refused work is never proposed."""
