"""The wire contract: messages, services, and how a namespace maps to a slot."""
