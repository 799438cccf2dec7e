"""`python -m services.dead_letters [--requeue]`: the tasks that failed although another attempt might have helped.

Without the flag it lists them: id, kind, why, and what has become of the task. With it each is taken out and its
request is submitted again, as a new task with `retry_of`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from shared.errors import ConfigurationError, Conflict, LastFrameError, NotFound
from shared.jobs.ledger import Ledger
from shared.ports import DeadLetter
from shared.runtime.settings import Settings, load_settings
from shared.runtime.telemetry import configure_logs
from shared.runtime.wiring import open_backends

MOST_LISTED = 1000


async def run(settings: Settings, *, requeue: bool) -> None:
    async with open_backends(settings) as backends:
        if requeue:
            await _requeue(backends.ledger)
        else:
            await _list(backends.ledger)


async def _list(ledger: Ledger) -> None:
    letters = await ledger.queue.dead_letters(MOST_LISTED)
    for letter in letters:
        task = await ledger.store.get(letter.task_id)
        status = task.status.value if task is not None else "unknown"
        _say(f"{letter.task_id}  {letter.kind or 'not ours'}  {letter.reason}  {status}")
    _say(f"{len(letters)} dead letters")


async def _requeue(ledger: Ledger) -> None:
    """One after the other, so that a failure leaves the rest where they were."""
    count = 0
    while letters := await ledger.queue.take_dead_letters(1):
        _say(await _requeue_one(ledger, letters[0]))
        count += 1
    _say(f"{count} dead letters taken")


async def _requeue_one(ledger: Ledger, letter: DeadLetter) -> str:
    try:
        # The key makes one new task of two letters, and of a second try after a crash.
        request = await ledger.resubmission(letter.task_id, None, f"dead-letter-{letter.task_id}")
        again = await ledger.submit(request)
    except (NotFound, Conflict) as error:
        return f"{letter.task_id}  dropped: {error.detail}"
    except LastFrameError:
        if letter.kind is not None:
            await ledger.queue.bury(letter.kind, letter.task_id, letter.reason)
        raise
    return f"{letter.task_id}  queued again as {again.task_id}"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the operator's terminal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requeue", action="store_true", help="take them out and submit their requests again")
    options = parser.parse_args()
    settings = load_settings()
    configure_logs("error")
    try:
        asyncio.run(run(settings, requeue=options.requeue))
    except (ConfigurationError, LastFrameError) as error:
        print(f"lastframe: {error}", file=sys.stderr)  # noqa: T201 - said to the operator
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
