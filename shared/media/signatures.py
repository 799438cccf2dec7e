"""What bytes look like when they are not a medium: for error messages that help."""

from __future__ import annotations

from typing import Final

_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"BM", "a BMP image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"#EXTM3U", "a playlist (m3u8), which names other files"),
    (b"ffconcat", "a concat script, which names other files"),
    (b"[InternetShortcut]", "a shortcut file"),
    (b"[playlist]", "a playlist (pls), which names other files"),
    (b"v=0", "a session description (SDP)"),
)


def describe_bytes(head: bytes) -> str | None:
    """A phrase for what `head`, the first bytes of a file, is; None where it could be a medium.

    Args:
        head: up to some KiB from the start of the file.
    """
    if not head:
        return "an empty file"
    for signature, phrase in _SIGNATURES:
        if head.startswith(signature):
            return phrase
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP image"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page (HTML)"
    if text.startswith(b"<"):
        return "an XML or HTML document"
    if text.startswith((b"{", b"[")):
        return "a JSON document"
    if b"\x00" not in head and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return "a text file"
    return None
