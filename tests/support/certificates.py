"""Certificates as cert-manager mounts them, made by the openssl program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.missing import needed

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Issuer:
    """A private certificate authority in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True)
        self._run("req", "-x509", *_CURVE, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=issuer")

    def issue(self, into: Path, usage: str, names: str) -> Path:
        """Writes `tls.crt`, `tls.key`, `ca.crt`; `usage` is serverAuth or clientAuth, `names` in openssl's form."""
        into.mkdir(parents=True, exist_ok=True)
        (self._directory / "ext").write_text(f"extendedKeyUsage={usage}\nsubjectAltName={names}\n")
        self._run("req", *_CURVE, "-keyout", str(into / "tls.key"), "-out", "request", "-subj", "/CN=pod")
        self._run(
            *("x509", "-req", "-in", "request", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "1", "-extfile", "ext", "-out", str(into / "tls.crt")),
        )
        (into / "ca.crt").write_bytes((self._directory / "ca.crt").read_bytes())
        return into

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [needed("openssl"), *arguments], cwd=self._directory, check=True, capture_output=True, timeout=30
        )
