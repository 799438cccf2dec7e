"""Each feature is one folder with one gRPC service; `gateway` holds tasks, server and site."""
