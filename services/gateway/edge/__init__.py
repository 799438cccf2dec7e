"""The edge: Envoy as JSON transcoder and gRPC proxy. Routes, clusters and services come from the protos."""
