"""docs/limits.md against the code: a table that lies is worse than none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.errors import ERROR_WORD_NUMBERS
from shared.runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "limits.md").read_text()
ROWS = re.findall(r"^\|[^|]*\| `LASTFRAME_([A-Z_]+)` \| ([^|]*?) \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("name", "default"), ROWS)
def test_a_documented_default_is_the_default(name: str, default: str) -> None:
    field = Settings.model_fields[name.lower()]
    if isinstance(field.default, (int, float)) and not isinstance(field.default, bool):
        assert float(default) == field.default
    else:
        assert default.lower() == str(field.default).lower()


def test_every_limit_that_can_be_set_is_documented() -> None:
    documented = {name.lower() for name, _ in ROWS}
    wanted = {
        name
        for name in Settings.model_fields
        if name.startswith(("max_", "rate_")) or name.endswith(("_seconds", "_bytes", "_hours", "_slots"))
    }
    assert wanted <= documented


def test_the_words_of_refusals_are_words_of_the_contract() -> None:
    at_the_door = set(re.findall(r"\b4\d\d `([a-z_]+)`", TEXT))
    assert len(at_the_door) > 8
    edge_only = {"request_too_large"}
    assert at_the_door - edge_only <= set(ERROR_WORD_NUMBERS)


def test_every_test_that_security_md_names_exists() -> None:
    named = re.findall(r"`((?:tests/[a-z_/]+/)?test_[a-z_]+\.py)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) >= 10
    for name in named:
        assert list((ROOT / "tests").rglob(Path(name).name)), name
