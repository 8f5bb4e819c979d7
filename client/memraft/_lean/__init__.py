"""The lean engine: gRPC's wire protocol as far as this client needs it, over sockets of its own.

What it offers is what the client uses of a channel of grpcio, for an event loop in `channel`, for threads in
`blocking`; what both share is in the others. There is no thread here that is not the caller's.
"""
