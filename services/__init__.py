"""Each feature is one folder with one gRPC service; `gateway` holds tasks, server and site."""

import os

# gRPC's fork handlers warn and do nothing here: decoder children come from a fork server that never loads gRPC.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
