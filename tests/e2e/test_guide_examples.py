"""The API guide's own programs, run as they stand there but for host, key and the URLs of sources.

`guide_examples/` holds them word for word.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Sources
from tests.support.missing import needed
from tests.support.suite import KEY, RunningSuite

EXAMPLES = Path(__file__).with_name("guide_examples")
HOST = "http://last-frame.ft.tc:8000"
SOURCE = re.compile(r"https://[^\s\"']+\.(mp4|mp3|wav)")
SAID = {
    "length.py.txt": r"Media duration: 1(\.5\d*)? seconds\nMedia type: audio\nFormat: mp3\n",
    "stitch.py.txt": r"Stitched video ready: http://\S+/media/[0-9a-f]{24}\.mp4\n",
    "audio_stitch.py.txt": r"Stitched audio ready: http://\S+/media/[0-9a-f]{24}\.mp3\n"
    r"Total sources: 3\nSilence duration: 3\.5s\nOutput duration: [67]\.\d+s\nFile size: \d+ bytes\n",
    "music_track.py.txt": r"Mixed video ready: http://\S+/media/[0-9a-f]{24}\.mp4\n"
    r"Original duration: 1(\.0)?s\nMusic duration: 1\.5\d*s\nProcessing time: \d+(\.\d+)?s\n",
    "last_frame.js": r"http://\S+/media/[0-9a-f]{24}\.jpg\n",
}
SUBMITS = ("stitch.sh", "audio_stitch.sh", "music_track.sh", "assembly.sh", "assembly_full.sh", "last_frame.sh")


def adapted(name: str, suite: RunningSuite, sources: Sources) -> str:
    def ours(source: re.Match[str]) -> str:
        return {"mp4": sources.video, "mp3": sources.music, "wav": sources.speech}[source[1]]

    return SOURCE.sub(ours, (EXAMPLES / name).read_text()).replace(HOST, suite.url)


@pytest.fixture(scope="module")
def programs(suite: RunningSuite, sources: Sources) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All at once, for they sleep up to five seconds between two looks at the status."""
    commands = {name: [sys.executable, "-c"] for name in SAID if name.endswith(".py.txt")}
    commands["last_frame.js"] = [needed("node"), "-e"]
    running = {}
    for name, command in commands.items():
        program = adapted(name, suite, sources).replace("$LAST_FRAME_API_KEY", KEY)
        if name.endswith(".js"):
            program += f"\nextractLastFrame({json.dumps(sources.video)}).then(console.log)\n"
        running[name] = subprocess.Popen(
            [*command, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", SAID)
def test_the_programs(programs: dict[str, subprocess.Popen[str]], name: str) -> None:
    said, _ = programs[name].communicate(timeout=60)
    assert programs[name].returncode == 0, said
    assert re.fullmatch(SAID[name], said), said


@pytest.mark.parametrize("name", SUBMITS)
def test_the_curl_commands(suite: RunningSuite, sources: Sources, name: str) -> None:
    needed("curl")
    submit, _, check = adapted(name, suite, sources).partition("# Check status")

    def shell(script: str) -> dict[str, str]:
        environment = os.environ | {"LAST_FRAME_API_KEY": KEY}
        done = subprocess.run(
            ["bash", "-c", script], check=False, env=environment, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    accepted = shell(submit)
    assert accepted["status"] == "pending"
    suite.until(accepted["task_id"], "completed")
    if check:
        task = shell(check.replace("TASK_ID", accepted["task_id"]))
        assert (task["task_id"], task["status"]) == (accepted["task_id"], "completed")
