"""Every setting of the suite, from the class that reads them."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from scripts.reference.markdown import code, generated, table
from shared.runtime.settings import Settings

_INTRODUCTION = """\
Environment variables, read once at start; a value that cannot be used ends the start with a sentence that names it.
What a limit's breach says to the client is told in [limits](../limits.md); how an installation sets them, in
[operations](../operations.md)."""


def page() -> str:
    rows = [
        (code(f"LASTFRAME_{name.upper()}"), _shown(field.default), _description(name, field.description))
        for name, field in Settings.model_fields.items()
    ]
    return generated("Settings", _INTRODUCTION, "", *table(("variable", "default", "meaning"), rows))


def _shown(default: Any) -> str:
    value = default.get_secret_value() if isinstance(default, SecretStr) else default
    if value in ("", None):
        return "–"
    text = f"{value:g}" if isinstance(value, float) else str(int(value) if isinstance(value, bool) else value)
    return code(text.replace(",", ", "))  # a long list can be broken then; it is read with spaces as well


def _description(name: str, description: str | None) -> str:
    if not description:
        raise LookupError(f"the setting {name} has no description")
    return description
