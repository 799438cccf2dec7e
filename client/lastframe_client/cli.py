"""`lastframe`: submits, waits, saves, lists. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lastframe_client.arguments import parser
from lastframe_client.errors import (
    ApiError,
    ConfigurationError,
    LastFrameError,
    TaskFailed,
    Unreachable,
    WaitTimeout,
)
from lastframe_client.progress import Progress
from lastframe_client.sync import Client
from lastframe_client.task import Plan, Task

DONE, FAILED, USAGE, REFUSED, UNAVAILABLE, TIMED_OUT, FILE_TROUBLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130
PAGE = 200
# Beside `-o movie.mp4` an assembly's other files are `movie.video-only.mp4` and `movie.audio-only.mp3`.
_BESIDE = {"video_only_url": ".video-only", "audio_only_url": ".audio-only"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status; `lastframe --help` lists them."""
    given = parser().parse_args(arguments)
    try:
        with Client() as client:
            return _run(client, given)
    except TaskFailed as error:
        if given.json:
            _print_json(error.task)
        return _complain(f"task {error.task.task_id} failed: {error}", FAILED)
    except ConfigurationError as error:
        return _complain(str(error), USAGE)
    except WaitTimeout as error:
        return _complain(str(error), TIMED_OUT)
    except Unreachable as error:
        return _complain(str(error), UNAVAILABLE)
    except ApiError as error:
        return _complain(f"refused: {error}", UNAVAILABLE if error.http_status in (429, 502, 503, 504) else REFUSED)
    except LastFrameError as error:
        return _complain(str(error), REFUSED)
    except OSError as error:
        return _complain(f"{error.filename or 'file'}: {error.strerror or error}", FILE_TROUBLE)
    except KeyboardInterrupt:
        return _complain("interrupted; a submitted task goes on", INTERRUPTED)


def _run(client: Client, given: argparse.Namespace) -> int:
    match given.command:
        case "status":
            _print_task(client.status(given.task_id), given.json)
        case "watch":
            _watch(client, given)
        case "tasks":
            _list(client, given)
        case "cancel":
            _print_task(client.cancel(given.task_id), given.json)
        case "retry":
            _print_submitted(client.retry(given.task_id), given.json)
        case "upload":
            with Progress() as progress:
                upload = client.upload(given.file, on_progress=progress.uploading)
            fields = {"url": upload.url, "sha256": upload.sha256, "expires_at": upload.expires_at.isoformat()}
            _say(json.dumps(fields | {"size_bytes": upload.size_bytes}) if given.json else upload.url)
        case _:
            _job(client, given)
    return DONE


def _job(client: Client, given: argparse.Namespace) -> None:
    job = given.job(given)
    if given.dry_run:
        with Progress() as progress:
            plan = client.plan(job, on_upload=progress.uploading)
        _print_plan(plan, given.json)
        return
    waits = given.wait or given.output is not None
    if given.output is not None:
        _check_output(Path(given.output))
    with Progress() as progress:
        task = client.submit(job, idempotency_key=given.idempotency_key, on_upload=progress.uploading)
        if waits:
            task = client.wait(task.task_id, timeout_seconds=given.timeout, on_change=progress.task)
    if not waits:
        _print_submitted(task, given.json)
        return
    saved = _save(client, task, Path(given.output)) if given.output is not None else []
    if given.json:
        _print_json(task)
    elif given.command == "length":
        _say(f"{task.metadata['media_duration']:.3f}")
    else:
        for line in saved or task.results.values():
            _say(str(line))
    for warning in task.metadata.get("warnings") or ():
        _warn(f"warning: {warning}")


def _check_output(output: Path) -> None:
    """What would stop the result from being saved is said before the job is sent."""
    if not output.absolute().parent.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(output.parent))
    if output.is_dir():
        raise IsADirectoryError(21, "this is a folder; name a file in it", str(output))


def _save(client: Client, task: Task, output: Path) -> list[Path]:
    if not task.results:
        output.write_text(json.dumps(task.raw, indent=2) + "\n")
        return [output]
    saved = []
    with Progress() as progress:
        for name, url in task.results.items():
            path = output
            if name in _BESIDE:
                suffix = ".mp3" if name == "audio_only_url" else output.suffix
                path = output.with_name(output.stem + _BESIDE[name] + suffix)
            saved.append(client.download(url, path, on_progress=progress.downloading))
    return saved


def _watch(client: Client, given: argparse.Namespace) -> None:
    with Progress() as progress:

        def show(task: Task) -> None:
            if given.json:
                _print_json(task)
            progress.task(task)

        task = client.wait(given.task_id, timeout_seconds=given.timeout, on_change=show)
    if not given.json:
        _print_task(task, False)


def _list(client: Client, given: argparse.Namespace) -> None:
    cursor, left = None, given.limit
    while left > 0:
        page = client.tasks(
            status=given.status, kind=given.kind, created_after=given.since, limit=min(left, PAGE), cursor=cursor
        )
        for task in page.tasks:
            if given.json:
                _print_json(task)
            else:
                age = f"{task.created_at.astimezone():%Y-%m-%d %H:%M:%S}" if task.created_at else ""
                _say(f"{task.task_id:32}  {task.status:10}  {task.kind:14}  {age}  {task.error or ''}".rstrip())
        left -= len(page.tasks)
        cursor = page.next_cursor
        if cursor is None:
            return


def _print_submitted(task: Task, as_json: bool) -> None:
    _say(json.dumps(task.raw) if as_json else task.task_id)


def _print_task(task: Task, as_json: bool) -> None:
    if as_json:
        _print_json(task)
        return
    lines = {"task": task.task_id, "kind": task.kind, "status": task.status}
    if task.status == "processing":
        lines["phase"] = f"{task.phase or ''} {task.progress or 0:.0%}".strip()
    if task.error:
        lines["error"] = f"{task.error}: {task.error_message}" + (
            f" (at {task.error_input})" if task.error_input else ""
        )
    if task.created_at and task.completed_at:
        lines["took"] = f"{(task.completed_at - task.created_at).total_seconds():.2f} s, with the wait for a worker"
    if "media_duration" in task.metadata:
        lines["length"] = f"{task.metadata['media_duration']:.3f} s"
    for name, text in (lines | dict(task.results)).items():
        _say(f"{name:18}{text}")


def _print_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        _say(json.dumps(plan.raw))
        return
    lines = {
        "takes": f"about {plan.estimated_seconds:.1f} s",
        "fetches": _megabytes(plan.bytes_to_fetch),
    }
    if plan.estimated_bytes:  # a length makes no file
        lines["makes"] = f"about {_megabytes(plan.estimated_bytes)}"
    for one in plan.facts.get("copied", ()):
        lines[f"input {one['index'] + 1:g}"] = "copied"
    for one in plan.facts.get("reencoded", ()):
        lines[f"input {one['index'] + 1:g}"] = "re-encoded: " + "; ".join(one["reasons"])
    plain = {name: value for name, value in plan.facts.items() if isinstance(value, (str, int, float))}
    for name, text in (lines | plain).items():
        _say(f"{name:24}{text}")
    for warning in plan.warnings:
        _warn(f"warning: {warning}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3f} MB"


def _print_json(task: Task) -> None:
    _say(json.dumps(task.raw))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the program's output


def _complain(text: str, status: int) -> int:
    _warn(text)
    return status


def _warn(text: str) -> None:
    print(f"lastframe: {text}", file=sys.stderr)  # noqa: T201 - said to the user
