"""Others' linters: checkov over the manifests, hadolint over the Dockerfile."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import yaml

from deploy.checks.objects import Object
from deploy.checks.tools import CACHE, ROOT, MissingProgram, needed_program

WAIVERS = Path(__file__).with_name("checkov_waivers.yaml")
OPTIONAL = frozenset({"checkov"})
"""Heavy (a virtual environment of 500 MB): `make checkov` puts it into build/tools/checkov."""


def checkov_problems(objects: list[Object]) -> list[str]:
    """Checkov's Kubernetes checks without those that are waived. Raises `MissingProgram`."""
    tool = CACHE / "checkov" / "bin" / "checkov"
    if not tool.exists():
        raise MissingProgram("checkov is not installed; `make checkov` puts it into build/tools/checkov")
    waivers = {row["check"]: row for row in yaml.safe_load(WAIVERS.read_text())}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "rendered.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        done = subprocess.run(
            [
                str(tool),
                "--file",
                str(file),
                "--framework",
                "kubernetes",
                "--output",
                "json",
                "--quiet",
                "--compact",
                "--skip-download",
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return [f"checkov failed: {done.stderr.strip()[-400:]}"]
    problems: list[str] = []
    for failed in report.get("results", {}).get("failed_checks", []):
        waiver = waivers.get(failed["check_id"])
        resource = failed["resource"]
        if waiver is None or not any(resource.endswith(name) for name in waiver.get("only", [""])):
            problems.append(f"{resource}: {failed['check_id']} {failed['check_name']}")
    return problems


def hadolint_problems() -> list[str]:
    """Raises `MissingProgram`."""
    done = subprocess.run(
        [needed_program("hadolint"), str(ROOT / "deploy" / "Dockerfile")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [] if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()
