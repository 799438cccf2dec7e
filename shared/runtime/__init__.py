"""Settings, wiring (the only composition root, the only importer of backends), worker, serve, telemetry."""
