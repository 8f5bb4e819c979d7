"""The serving engine: gRPC over mutual TLS. Nothing above this package knows that it is gRPC."""
