"""The grpc.aio server of every service: keys, validation, errors, health, reflection, submit."""
