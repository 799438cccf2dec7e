"""`python -m services`: the whole suite on this machine, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import sys

import uvloop

from services.gateway.edge.launcher import EdgeError
from services.suite import DataDirectoryInUse, run_suite
from shared.errors import ConfigurationError, LastFrameError
from shared.jobs.sandbox import SandboxUnavailable
from shared.runtime.settings import load_settings
from shared.runtime.telemetry import configure_logs, export_traces, serve_metrics


def main() -> int:
    settings = load_settings()
    configure_logs(settings.log_level)
    serve_metrics(settings.metrics_port)
    export_traces(settings.otlp_endpoint, "lastframe")
    try:
        return uvloop.run(run_suite(settings))
    except (EdgeError, DataDirectoryInUse, ConfigurationError, SandboxUnavailable, LastFrameError) as error:
        print(f"lastframe: {error}", file=sys.stderr)  # noqa: T201 - said to the operator, before or after the logs
        return 1


if __name__ == "__main__":
    sys.exit(main())
