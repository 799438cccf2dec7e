"""Writes docs/reference/*.md; `--check` fails instead when a committed page is not what would be written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.reference import api, errors, metadata, settings

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGES = {"api.md": api.page, "metadata.md": metadata.page, "errors.md": errors.page, "settings.md": settings.page}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    is_check = parser.parse_args().check
    stale = []
    for name, page in PAGES.items():
        path, wanted = FOLDER / name, page()
        if not path.exists() or path.read_text() != wanted:
            stale.append(name)
            if not is_check:
                path.write_text(wanted)
    if stale and is_check:
        sys.exit(f"stale in docs/reference, run `make reference`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
