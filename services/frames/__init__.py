"""Last frames: the service, its job and its media step."""
