"""The lean engine: gRPC's wire on the node's own event loop, see docs/decisions/0021."""
