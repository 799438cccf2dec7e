"""A worker of the probe feature whose job does nothing: claim, settle and announce are all there is to measure."""

from __future__ import annotations

import sys
from dataclasses import replace

from services.probe.feature import FEATURE
from shared.jobs.context import JobContext
from shared.runtime.process import main
from shared.tasks import Success, TaskKind


async def nothing(context: JobContext) -> Success:
    return Success()


if __name__ == "__main__":
    sys.exit(main(replace(FEATURE, jobs={TaskKind.MEDIA_LENGTH: nothing})))
