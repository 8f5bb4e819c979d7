"""The wire of gRPC, for client and server alike: HTTP/2 (RFC 9113) as far as gRPC needs it. No IO."""
