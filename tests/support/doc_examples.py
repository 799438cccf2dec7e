"""The code blocks of the documentation: what is to be run, what its answer is, and whether a real answer is like it.

A shell or Python block is run, unless `<!-- not run: REASON -->` stands above it. `<!-- with: stubs -->` runs it where
nothing but the stubs' wheel is installed. A `json` or `text` block is the answer of the block before it.

An answer is compared in full, but for what differs from run to run (ids, times, URLs, sizes, measured seconds), whose
form is compared. `…` stands for what was left out: a lone one for lines, or for fields of an object; in a line for
characters.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

REASONS = {
    "starts a suite": "the test has one of its own",
    "the reader's own key": "the test has one of its own",
    "needs the internet": "the same files are taken from ../shared/media",
    "installs a package": "the same package is installed into a clean environment",
    "a make target": "the program behind it is run by a test, or by CI itself",
    "needs a cluster": "what can be known without one is checked by `make manifests`",
    "an excerpt of a trace": "tests/e2e/test_tracing.py receives one and looks at its spans",
    "needs Prometheus": "its metrics are in the table of docs/operations.md, which `make manifests` holds to the code",
}
"""Why a block is not run → what stands in for it. There is no other reason."""

_RUN, _ANSWERS = ("sh", "python"), ("json", "text")
_MARK = re.compile(r"<!-- (?P<name>not run|with): (?P<value>[^>]+?) -->")


@dataclass
class Block:
    """One fenced block. `answer` is the block that shows what this one prints."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    package: str = "client"
    answer: Block | None = None

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    name: str
    blocks: tuple[Block, ...]
    """Those that are run, in order."""
    skipped: tuple[Block, ...]
    complaints: tuple[str, ...]


def read_page(path: Path) -> Page:
    """One Markdown file; `complaints` name blocks that are neither run, nor answers, nor marked with a known reason."""
    name = str(path.relative_to(ROOT))
    run: list[Block] = []
    skipped: list[Block] = []
    complaints: list[str] = []
    previous: Block | None = None
    for block in _blocks(name, path.read_text()):
        if block.reason is not None:
            if block.reason not in REASONS:
                complaints.append(f"{block.where}: {block.reason!r} is no known reason")
            skipped.append(block)
            previous = None
        elif block.language in _RUN:
            run.append(block)
            previous = block
        elif block.language in _ANSWERS and previous is not None:
            previous.answer, previous = block, None
        else:
            complaints.append(f"{block.where}: this {block.language or 'indented'} block is neither run nor an answer")
    return Page(name, tuple(run), tuple(skipped), tuple(complaints))


def _blocks(page: str, content: str) -> list[Block]:
    found: list[Block] = []
    marks: dict[str, str] = {}
    lines = content.splitlines()
    number = 0
    after_blank = True
    while number < len(lines):
        line = lines[number]
        if fence := re.match(r"(\s*)(`{3,}|~{3,})\s*(\S*)", line):
            indent, ticks, language = fence.groups()
            begin = number + 1
            number = begin
            while number < len(lines) and lines[number].strip() != ticks:
                number += 1
            if not language.startswith("{"):  # a directive of the site's builder
                text = "\n".join(row.removeprefix(indent) for row in lines[begin:number])
                package = marks.get("with", "client")
                found.append(Block(page, begin + 1, language, text, marks.get("not run"), package))
        elif after_blank and line.startswith("    ") and not _in_list(lines, number):
            found.append(Block(page, number + 1, "", line))
        if mark := _MARK.fullmatch(line.strip()):
            marks[mark["name"]] = mark["value"]
        elif line.strip():
            marks = {}
        after_blank = not line.strip()
        number += 1
    return found


def _in_list(lines: list[str], number: int) -> bool:
    """Whether an indented line goes on with a list's item."""
    before = (line for line in reversed(lines[:number]) if line.strip())
    return next((bool(re.match(r"\s*([-*]|\d+\.)\s", line)) for line in before if not line.startswith("    ")), False)


# Answers ---------------------------------------------------------------------------------------------------------

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_FORMS = {  # the last part of a field's name → what both values must look like
    re.compile(r".*_at|at|timestamp|start_time|last_activity"): _MOMENT,
    re.compile(r"task_id|retry_of|sha256"): re.compile(r"[0-9a-f]+"),
    re.compile(r".*url"): re.compile(r"https?://\S+"),
}
_VARYING = re.compile(
    r"processing_time|phase_seconds|.*_bytes|.*_size|file_sizes|uptime|memory_usage|progress|attempts\.\d+\.duration.*"
)
"""Numbers that are another at each run; only the type is compared."""
_TOLERANCE = 0.02  # of seconds and decibels: encoders add up floats in another order on another processor
_TOLERANCES = {"ducked_seconds": 0.3, "integrated_lufs": 0.3}
"""Gates stand behind these: AAC of a movie made on another number of cores differs by -85 dB, and one block more or
less passes."""


def difference(shown: Block, printed: str) -> str | None:
    """How what was printed differs from what the page shows; None where it does not."""
    if shown.language == "json":
        text, is_cut = re.subn(r"^\s*…\s*$", "", shown.text, flags=re.MULTILINE)
        wanted = json.loads(re.sub(r",(\s*[}\]])", r"\1", text))
        try:
            found = json.loads(printed)
        except ValueError:
            return f"not JSON: {printed!r}"
        return next(iter(_differences(wanted, found, "", bool(is_cut))), None)
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else _pattern(line) + r"\n" for line in shown.text.splitlines()
    )
    return None if re.fullmatch(pattern, printed.rstrip("\n") + "\n") else f"not like the page: {printed}"


def _differences(wanted: Any, found: Any, path: str, is_cut: bool) -> list[str]:
    name = path.rpartition(".")[2]
    is_number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
    if isinstance(wanted, dict) and isinstance(found, dict):
        missing, more = wanted.keys() - found.keys(), found.keys() - wanted.keys()
        complaints = [f"{path}: the page has {sorted(missing)}, the answer has not"] if missing else []
        if more and not (is_cut and not path):
            complaints.append(f"{path}: the answer has {sorted(more)}, the page has not")
        for key in wanted.keys() & found.keys():
            complaints += _differences(wanted[key], found[key], f"{path}.{key}".lstrip("."), is_cut)
        return complaints
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            return [f"{path}: {len(found)} items, the page has {len(wanted)}"]
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for index, (a, b) in pairs for line in _differences(a, b, f"{path}.{index}", is_cut)]
    if is_number and isinstance(found, int | float) and not isinstance(found, bool):
        is_like = _VARYING.search(path) or abs(wanted - found) <= _TOLERANCES.get(name, _TOLERANCE)
        return [] if is_like else [f"{path}: {found}, the page has {wanted}"]
    form = next((form for names, form in _FORMS.items() if names.fullmatch(name)), None)
    if form is not None and isinstance(wanted, str) and isinstance(found, str):
        is_like = bool(form.fullmatch(wanted) and form.fullmatch(found)) and _suffix(wanted) == _suffix(found)
        return [] if is_like else [f"{path}: {found} is not of the form of {wanted}"]
    if isinstance(wanted, str) and wanted.startswith("http") and isinstance(found, str) and found.startswith("http"):
        return [] if _suffix(wanted) == _suffix(found) else [f"{path}: {found}, the page has {wanted}"]
    if isinstance(wanted, str) and isinstance(found, str) and re.fullmatch(_pattern(wanted), found):
        return []
    return [] if wanted == found else [f"{path}: {found!r}, the page has {wanted!r}"]


def _pattern(text: str) -> str:
    return re.escape(text).replace("…", ".*")


def _suffix(text: str) -> str:
    """A URL's extension; of anything else nothing."""
    return Path(text).suffix if text.startswith("http") else ""
