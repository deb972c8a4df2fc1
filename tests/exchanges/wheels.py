"""Wheels of small plugins, written byte by byte: no build back-end, no network, the same bytes every time."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

EXCHANGE = """
from pathlib import Path
from bot import Credentials, ExchangeInfo, Request, Response, hookimpl

Path({canary!r}).write_text("{name} ran")

@hookimpl
def exchange_info():
    return ExchangeInfo(id="{name}", title="{name}", hosts={{"api": "https://{name}.example"}}, paths=("GET /*",))

@hookimpl
def sign(request, credentials): return request

@hookimpl
def map_error(response): return None

@hookimpl
def place_order(order): yield

@hookimpl
def balances(): yield

@hookimpl
def markets(): yield

@hookimpl
def ticker(market): yield
"""


def module(canary: Path, name: str = "acme") -> str:
    """The source of a whole exchange plugin that leaves a file behind when it runs."""
    return EXCHANGE.format(canary=str(canary), name=name)


def pieces(
    name: str,
    version: str,
    files: Mapping[str, str],
    *,
    points: Mapping[str, Mapping[str, str]],
    requires: Sequence[str] = (),
) -> dict[str, bytes]:
    """All files of a wheel but its list of files."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    groups = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in each.items()) for group, each in points.items()
    )
    made = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": groups,
    }
    return {path: text.encode() for path, text in made.items()}


def record(made: Mapping[str, bytes]) -> str:
    """The list of files, as a build back-end writes it."""
    lines = []
    for path, data in made.items():
        hashed = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={hashed},{len(data)}\n")
    return "".join(lines)


def build(
    directory: Path,
    files: Mapping[str, str],
    *,
    name: str = "tradewire-acme",
    version: str = "1.0",
    points: Mapping[str, Mapping[str, str]] | None = None,
    requires: Sequence[str] = (),
    listed: str | None = None,
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel and return it; `listed` replaces its list of files."""
    groups = {"tradewire": {"acme": "tradewire_acme"}} if points is None else points
    made = pieces(name, version, files, points=groups, requires=requires)
    stem = f"{name.replace('-', '_')}-{version}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in made.items():
            archive.writestr(zipfile.ZipInfo(each), data)
        archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/RECORD"), record(made) if listed is None else listed)
    return path


def unpack(wheel: Path, place: Path) -> None:
    """Do what pip does with a wheel of modules."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
