"""Every code block of README and docs is run as it stands, and what it prints is compared with what the page shows.

A page's blocks are one shell session, as in the reader's terminal, in a folder with the files that they name, beside a
running suite. See `tests/support/doc_examples.py` for the marks of blocks that cannot be run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Sources
from tests.support.doc_examples import Block, Page, difference, read_page
from tests.support.installed import Installed, build_wheel
from tests.support.media import shared_media_dir
from tests.support.suite import KEY, ROOT, RunningSuite, free_port

PAGES = {
    page.name: page
    for page in map(read_page, [ROOT / "README.md", ROOT / "client/README.md", *sorted((ROOT / "docs").rglob("*.md"))])
}
RUN = [name for name, page in PAGES.items() if page.blocks]
FEWEST_BLOCKS = 80
_WRITTEN_FOR = "http://127.0.0.1:8000"
_RECEIVER_PORT = "18099"
_MADE = {"video": "clip.mp4", "other_video": "other.mp4", "speech": "speech.wav", "music": "music.mp3"}
_REAL = ("elf.mp4", "frog.mp4", "crystal.webm", "bt709_full_range.mp4", "jfk.flac", "bach.mp3")
_LONGEST_PAGE_SECONDS = 150


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Installed]:
    """Made when first asked for."""

    class Made(dict[str, Installed]):
        def __missing__(self, package: str) -> Installed:
            folder = tmp_path_factory.mktemp(package)
            if package == "client":
                pytest.importorskip("httpx", reason="the client's one dependency is not installed here")
                wheel = build_wheel(ROOT / "client", folder)
            else:
                from scripts.build_stubs import build

                wheel = build(folder)
            self[package] = Installed(wheel, folder / "venv")
            return self[package]

    return Made()


def test_every_block_is_run_or_says_why_not() -> None:
    assert [complaint for page in PAGES.values() for complaint in page.complaints] == []
    assert sum(len(page.blocks) for page in PAGES.values()) >= FEWEST_BLOCKS


@pytest.mark.parametrize("name", RUN)
def test_examples(
    name: str, suite: RunningSuite, sources: Sources, environments: dict[str, Installed], tmp_path: Path
) -> None:
    page = PAGES[name]
    _lay_out(page, sources, tmp_path)
    script = "".join(_step(number, block, environments) for number, block in enumerate(page.blocks))
    script = script.replace(_WRITTEN_FOR, suite.url).replace(_RECEIVER_PORT, str(free_port()))
    env = {"LAST_FRAME_API_URL": suite.url, "LAST_FRAME_API_KEY": KEY, "VIDEO_URL": sources.video}
    shell = environments[page.blocks[0].package]
    command = ("timeout", str(_LONGEST_PAGE_SECONDS), "bash", "-c", _PRELUDE + script)
    ran = shell.run(*command, cwd=tmp_path, env=env, timeout=_LONGEST_PAGE_SECONDS + 10)
    for number, block in enumerate(page.blocks):
        printed = tmp_path / f".{number}.out"
        assert printed.exists(), f"{block.where} was not reached\n{ran.stderr}"
        said = printed.read_text().replace(suite.url, _WRITTEN_FOR)
        is_last = not (tmp_path / f".{number + 1}.out").exists()
        assert not (is_last and ran.returncode), f"{block.where} failed\n{block.text}\n{said}\n{ran.stderr}"
        if block.answer is None:
            assert '"error":' not in said, f"{block.where}\n{said}"
        else:
            complaint = difference(block.answer, said)
            assert complaint is None, f"{block.answer.where}: {complaint}"


def test_the_stubs_wheel_holds_no_code_of_the_suite(environments: dict[str, Installed], tmp_path: Path) -> None:
    stubs = environments["stubs"]
    for module, there in (("lastframe.tasks.v1.tasks_pb2_grpc", True), ("shared", False), ("numpy", False)):
        ran = stubs.run("python", "-c", f"import {module}", cwd=tmp_path, env={})
        assert (ran.returncode == 0) == there, ran.stderr


# `jq -r .url` of an answer without one is the word null: no variable may hold it.
_PRELUDE = """set -eu
none_is_null() { ! declare -p | grep -E '^declare [^ ]+ [a-z_]+="null"' >&2; }
"""


def _step(number: int, block: Block, environments: dict[str, Installed]) -> str:
    """Runs one block in the page's shell; what it prints goes into `.NUMBER.out`."""
    if block.language == "python":
        python = environments[block.package].directory / "bin" / "python"
        return f"{python} - >.{number}.out <<'END OF THE BLOCK'\n{block.text}\nEND OF THE BLOCK\n"
    return f"{{\n{block.text}\n}} >.{number}.out\nnone_is_null\n"


def _lay_out(page: Page, sources: Sources, folder: Path) -> None:
    """The files that the page's blocks name."""
    text = "\n".join(block.text for block in page.blocks)
    for source, file in _MADE.items():
        shutil.copyfile(sources.files[source], folder / file)
    for file in _REAL:
        if file in text:
            shutil.copyfile(shared_media_dir() / file, folder / file)


def test_the_demo_of_the_first_screen(sources: Sources) -> None:
    """`make demo VIDEO=…` judges its own image against a full decode, and says so by its status."""
    command = [sys.executable, "scripts/demo.py", "--video", str(sources.files["video"])]
    ran = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "last of 30 frames" in ran.stdout
