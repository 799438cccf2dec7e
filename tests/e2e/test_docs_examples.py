"""Every example in README and docs that is marked `<!-- run -->` is run as it stands, page by page, from top to bottom.

A page's examples share a folder with the files that they name, a suite, and an environment with the package that the
page is about: the client for `run`, the stubs' wheel for `run: stubs`.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Sources
from tests.support.installed import Installed, build_wheel
from tests.support.suite import KEY, ROOT, RunningSuite

_EXAMPLE = re.compile(r"<!-- run(?:: (?P<package>\w+))? -->\n+```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)
_FILES = {"video": "clip.mp4", "other_video": "other.mp4", "speech": "speech.wav", "music": "music.mp3"}


@dataclass(frozen=True)
class Example:
    page: str
    line: int
    package: str
    language: str
    text: str


def examples() -> list[Example]:
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        content = page.read_text()
        for match in _EXAMPLE.finditer(content):
            line = content.count("\n", 0, match.start("text")) + 1
            where = str(page.relative_to(ROOT))
            found.append(Example(where, line, match["package"] or "client", match["language"], match["text"]))
    return found


PAGES = sorted({one.page for one in examples()})


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


def test_there_are_examples() -> None:
    assert {"docs/client.md", "docs/stubs.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_examples(
    page: str, suite: RunningSuite, sources: Sources, environments: dict[str, Installed], tmp_path: Path
) -> None:
    for name, file in _FILES.items():
        shutil.copyfile(sources.files[name], tmp_path / file)
    env = {"LAST_FRAME_API_URL": suite.url, "LAST_FRAME_API_KEY": KEY, "VIDEO_URL": sources.video}
    for example in [one for one in examples() if one.page == page]:
        environment = environments[example.package]
        command = {
            "sh": ("bash", "-euo", "pipefail", "-c", example.text),
            "python": ("python", "-c", example.text),
        }[example.language]
        ran = environment.run(*command, cwd=tmp_path, env=env)
        assert ran.returncode == 0, f"{page}:{example.line}\n{example.text}\n{ran.stdout}\n{ran.stderr}"
        if "stubs" in page:
            assert "completed http" in ran.stdout


def test_the_stubs_wheel_holds_no_code_of_the_suite(environments: dict[str, Installed], tmp_path: Path) -> None:
    stubs = environments["stubs"]
    for module, there in (("lastframe.tasks.v1.tasks_pb2_grpc", True), ("shared", False), ("numpy", False)):
        ran = stubs.run("python", "-c", f"import {module}", cwd=tmp_path, env={})
        assert (ran.returncode == 0) == there, ran.stderr
