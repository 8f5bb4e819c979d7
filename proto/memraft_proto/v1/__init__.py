"""Package `memraft.v1`: generated from the .proto files beside it with `make proto`."""
