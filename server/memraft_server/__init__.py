"""A Memraft node: the machine and its projections, admission, the gRPC services, the command line."""
