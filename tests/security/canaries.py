"""Twelve kinds of secret and ten ways to write them, and how to see whether one is in a text or a file."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from bot.redact import Redactor, redactor

CANARIES = {
    "bot token": "7311223344:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawQ",
    "webhook secret": "wh_9fK2~x/7+Q=pLmN4vB8cZ1xT6yR3eW0",
    "path token": "Zk3-QmVyTG9uZ1BhdGhUb2tlbkZvckhvb2tz_8a",
    "master key": "5f1e9c77b0a4d3e2815f6a0b9c8d7e6f00112233445566778899aabbccddeeff",
    "vault passphrase": 'correct horse "battery" stapl\u00e9',
    "data key": "a9b8c7d6e5f4031221304f5e6d7c8b9aa0b1c2d3e4f5061728394a5b6c7d8e9f",
    "api key": "bg_6f0c2d1e8b7a4f3d9e5c1b2a3d4e5f60",
    "api secret": "0d3f/7a+b9c1e5f8/a2d4c6e8+f0a1b3c5d7==",
    "passphrase": "Pa55&phrase",
    "e-mail": "canary.trader+bot@mail.example",
    "totp seed": "JBSWY3DPEHPK3PXPGEZDGNBVGY3TQOJQ",
    "invite token": "q8Xv2LrT5nYw1BzK7mHc4A",
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda value: value,
    "url-quoted": lambda value: quote(value, safe=""),
    "hex": lambda value: value.encode().hex(),
    "JSON": lambda value: json.dumps({"a": value}),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 after one byte": lambda value: base64.b64encode(b"\xff" + value.encode() + b"\xff").decode(),
    "base64url after two bytes": lambda value: base64.urlsafe_b64encode(b"\xff\xfe" + value.encode()).decode(),
    "bytes repr": lambda value: repr(value.encode()),
    "first 12": lambda value: value[:12],
    "last 12": lambda value: value[-12:],
}
WINDOW = 9


def forget(put: Callable[[object, str, object], object] = setattr) -> None:
    """Make the process's redactor know nothing; with `monkeypatch.setattr`, for the time of a test."""
    fresh = Redactor()
    for name in Redactor.__slots__:
        put(redactor, name, getattr(fresh, name))


def leaks(text: str, encoded: str) -> bool:
    """Tell whether any nine characters of `encoded` in a row are in `text`."""
    size = min(WINDOW, len(encoded))
    return any(encoded[start : start + size] in text for start in range(len(encoded) - size + 1))


def everything() -> str:
    """Return a text with every canary in every encoding."""
    return " ".join(encode(value) for value in CANARIES.values() for encode in ENCODINGS.values())


def leaked(text: str) -> list[tuple[str, str]]:
    """Name the canaries and encodings that can be seen in `text`."""
    return [
        (kind, encoding)
        for kind, value in CANARIES.items()
        for encoding, encode in ENCODINGS.items()
        if leaks(text, encode(value))
    ]


def leaked_bytes(found: bytes) -> list[tuple[str, str]]:
    """Name the canaries and encodings that are in raw bytes, such as those of a file."""
    return leaked(found.decode("utf-8", "replace"))


def files_in(directory: Path) -> bytes:
    """Return the bytes of every file in a directory and below."""
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())
