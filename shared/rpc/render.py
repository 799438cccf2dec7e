"""Tasks as protos: the one rendering of every kind."""

from __future__ import annotations

from google.protobuf.json_format import ParseDict
from lastframe.tasks.v1 import tasks_pb2

from shared.public import public_task
from shared.tasks import Task


def task_message(task: Task) -> tasks_pb2.Task:
    return ParseDict(public_task(task), tasks_pb2.Task())
