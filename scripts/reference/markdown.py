"""Tables and text of the reference pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; pipes within cells are escaped."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return [_row(head), _row(["---"] * len(head)), *map(_row, cells), ""]


def generated(title: str, *lines: str) -> str:
    """A page: its title, the remark that it is made, its lines."""
    remark = "<!-- Made by `make reference` from the code; edits here are lost. -->"
    return "\n".join((f"# {title}", remark, "", *lines)).rstrip() + "\n"


def code(text: str) -> str:
    return f"`{text}`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
