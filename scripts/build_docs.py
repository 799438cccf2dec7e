"""`make docs`: builds the documentation into site/ and judges what came out.

Sphinx ends at any warning (a page outside the navigation, a link to a heading that is not there). Then every page that
was written is read again: each link within the site must lead to a file and an anchor, each link to elsewhere must be a
well-formed https URL, and nothing but the site itself may be loaded, so that it works offline. The links of pages that
are not part of the site (README) must lead to files.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "site"
OUTSIDE = ("README.md", "client/README.md")
_LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
_START = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=docs/index.html">
<title>Last Frame</title>
"""


@dataclass
class Html(HTMLParser):
    """The anchors, links and loads of one page."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if anchor := given.get("id"):
            self.anchors.add(anchor)
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)
        if (load := given.get(_LOADS.get(tag, ""))) and given.get("rel") not in ("next", "prev", "index", "search"):
            self.loads.append(load)


def build() -> None:
    shutil.rmtree(SITE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as doctrees:
        strictly = ("-q", "-W", "--keep-going")
        sphinx = [sys.executable, "-m", "sphinx", *strictly, "-c", ROOT / "docs", "-d", doctrees, ROOT, SITE]
        if subprocess.run(sphinx, check=False, cwd=ROOT).returncode:
            sys.exit("the documentation has faults")
    (SITE / "index.html").write_text(_START)


def read(path: Path) -> Html:
    page = Html()
    page.feed(path.read_text())
    return page


def faults() -> list[str]:
    """What is wrong with the site, a line each."""
    pages = {path: read(path) for path in SITE.rglob("*.html")}
    found = []
    for path, page in pages.items():
        where = path.relative_to(SITE)
        found += [f"{where} loads {load}" for load in page.loads if urlsplit(load).netloc]
        for link in page.links:
            if urlsplit(link).scheme or urlsplit(link).netloc:
                found += [] if _is_well_formed(link) else [f"{where} links to {link}, which is no https URL"]
                continue
            target, anchor = urldefrag(link)
            there = (path.parent / unquote(target)).resolve() if target else path
            if not there.exists():
                found.append(f"{where} links to {link}: no such page")
            elif anchor and there in pages and unquote(anchor) not in pages[there].anchors:
                found.append(f"{where} links to {link}: no such heading")
    for style in SITE.rglob("*.css"):
        loads = re.findall(r"url\(['\"]?(https?:[^)'\"]+)|@import\s+['\"](https?:[^'\"]+)", style.read_text())
        found += [f"{style.relative_to(SITE)} loads {load}" for pair in loads for load in pair if load]
    return found


def faults_outside() -> list[str]:
    """Links of `OUTSIDE` that lead to no file."""
    found = []
    for name in OUTSIDE:
        for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / name).read_text()):
            if not urlsplit(link).scheme and not (ROOT / name).parent.joinpath(urldefrag(link)[0]).exists():
                found.append(f"{name} links to {link}: no such file")
    return found


def _is_well_formed(link: str) -> bool:
    parts = urlsplit(link)
    return parts.scheme == "https" and bool(re.fullmatch(r"[a-z0-9.-]+\.[a-z]{2,}", parts.netloc))


def main() -> None:
    build()
    if found := [*faults(), *faults_outside()]:
        sys.exit("\n".join(found))
    pages = sum(1 for _ in SITE.rglob("*.html"))
    print(f"{pages} pages in {SITE.relative_to(ROOT)}/index.html")


if __name__ == "__main__":
    main()
