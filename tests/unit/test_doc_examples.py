"""The judge of the documentation's examples can say no, and the reference says what the code says."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.reference.__main__ import FOLDER, PAGES
from scripts.reference.fields import comment_of, default_of
from services.assembly.assemble import assemble
from services.audio.mix_music import mix_music
from services.audio.stitch_audio import stitch_audio
from services.frames.last_frame import extract
from services.gateway.openapi_schema import fields
from services.gateway.rpcs import load_contract
from services.stitch.stitch import stitch
from tests.support import doc_examples
from tests.support.doc_examples import Block, Page, difference, read_page


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Page]:
    monkeypatch.setattr(doc_examples, "ROOT", tmp_path)

    def read(content: str) -> Page:
        path = tmp_path / "page.md"
        path.write_text(content)
        return read_page(path)

    return read


def test_a_block_is_run_with_the_answer_behind_it(page: Callable[[str], Page]) -> None:
    [block] = page("Text.\n\n<!-- with: stubs -->\n```python\nprint(1)\n```\n```text\n1\n```\n").blocks
    assert (block.where, block.package, block.text) == ("page.md:5", "stubs", "print(1)")
    assert block.answer is not None and block.answer.text == "1"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("<!-- not run: I do not like it -->\n```sh\nls\n```\n", "no known reason"),
        ("```json\n{}\n```\n", "neither run nor an answer"),
        ("```\nls\n```\n", "neither run nor an answer"),
        ("```yaml\na: 1\n```\n", "neither run nor an answer"),
        ("Do this:\n\n    rm -r x\n", "neither run nor an answer"),
        ("<!-- not run: needs a cluster -->\n```sh\nls\n```\n```text\nx\n```\n", "neither run nor an answer"),
    ],
)
def test_what_is_neither_run_nor_excused_is_told(page: Callable[[str], Page], content: str, complaint: str) -> None:
    assert complaint in page(content).complaints[0]


TASK = {
    "task_id": "ab12",
    "frames": 489,
    "metadata": {"processing_time": 0.2, "seconds": 8.033},
    "url": "http://a/b.mp4",
}


def judged(shown: str, printed: Any, language: str = "json") -> str | None:
    return difference(Block("page.md", 1, language, shown), printed if language == "text" else json.dumps(printed))


@pytest.mark.parametrize(
    "change",
    [
        {"task_id": "cd34"},
        {"metadata": {"processing_time": 7.5, "seconds": 8.04}},
        {"url": "http://elsewhere/c.mp4"},
    ],
)
def test_what_differs_from_run_to_run_may_differ(change: dict[str, Any]) -> None:
    assert judged(json.dumps(TASK), TASK | change) is None


@pytest.mark.parametrize(
    "change",
    [
        {"frames": 488},
        {"frames": "489"},
        {"task_id": "not hexadecimal"},
        {"url": "http://a/b.jpg"},
        {"metadata": {"processing_time": 0.2, "seconds": 8.1}},
        {"metadata": {"processing_time": 0.2}},
        {"metadata": {"processing_time": "0.2", "seconds": 8.033}},
        {"more": 1},
    ],
)
def test_what_is_true_of_the_example_may_not(change: dict[str, Any]) -> None:
    assert judged(json.dumps(TASK), TASK | change) is not None


def test_an_ellipsis_stands_for_what_was_left_out() -> None:
    assert judged('{\n  "frames": 489,\n  …\n}', TASK) is None
    assert judged('{\n  "frames": 488,\n  …\n}', TASK) is not None
    assert judged("…\ndone …", "one\ntwo\ndone in 3 s\n", "text") is None
    assert judged("…\ndone …", "one\nfailed\n", "text") is not None


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("lastframe.frames.v1.ExtractLastFrameRequest", extract),
        ("lastframe.stitch.v1.StitchVideosRequest", stitch),
        ("lastframe.audio.v1.StitchAudioRequest", stitch_audio),
        ("lastframe.audio.v1.MixMusicTrackRequest", mix_music),
        ("lastframe.assembly.v1.AssemblyOutputSettings", assemble),
    ],
)
def test_the_defaults_of_the_reference_are_those_of_the_steps(message: str, step: Callable[..., Any]) -> None:
    contract = load_contract()
    options = inspect.signature(step).parameters
    compared = 0
    for name in fields(contract, message).keys() & options.keys():
        default = options[name].default
        if default in (None, inspect.Parameter.empty):
            continue
        said = (default_of(comment_of(contract, f"{message}.{name}")) or "").strip("`")
        assert said == (str(default).lower() if isinstance(default, bool | str) else f"{default:g}"), name
        compared += 1
    assert compared


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_fresh(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "run `make reference`"
