"""Video stitching: the service, its job and its media step."""
