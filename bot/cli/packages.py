"""Getting a plugin's wheel, and putting it into this environment: the only place that runs pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bot.contract.errors import PluginError
from bot.exchanges.wheel import Wheel

_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip", ".tar")
_GIT = ("git+https://", "git+ssh://", "git+file://")


def is_name(source: str) -> bool:
    """Say whether `source` names a distribution of the package index, and is neither a path nor an address."""
    return not (source.endswith((".whl", *_ARCHIVES)) or source.startswith(".") or re.search(r"[/\\]|://", source))


def fetch(source: str, into: Path) -> Path:
    """Return a wheel in the directory `into`, fetched or built from `source`. Building runs the source's own code.

    Raises:
        PluginError: `source` is of another kind, or pip could not.
    """
    if source.endswith(_ARCHIVES):
        raise PluginError(
            f"{source} is a source archive, which is code that runs before anybody has seen it. Take a wheel (.whl); "
            "or unpack the archive, read it, and install the directory."
        )
    if source.startswith(_GIT):
        return _build(source, into)
    if "://" in source:
        raise PluginError(f"{source}: of addresses only git ones ({_GIT[0]}...) are taken. Download the wheel first.")
    if is_name(source):
        return _download(source, into)
    path = Path(source).expanduser()
    if source.endswith(".whl") and path.is_file():
        return Path(shutil.copy(path, into))
    if path.is_dir():
        return _build(str(path.resolve()), into)
    raise PluginError(f"There is no wheel and no directory at {source}.")


def _download(source: str, into: Path) -> Path:
    try:
        wanted = Requirement(source)
    except InvalidRequirement:
        wanted = None
    if wanted is None or wanted.url or wanted.extras or wanted.marker:
        raise PluginError(f"{source!r} names no plugin; write it like tradewire-acme or tradewire-acme==1.2.")
    pip("download", "--only-binary", ":all:", "--no-deps", "--dest", str(into), "--", source)
    return _only(source, into)


def _build(source: str, into: Path) -> Path:
    pip("wheel", "--no-deps", "--wheel-dir", str(into), "--", source)
    return _only(source, into)


def _only(source: str, into: Path) -> Path:
    found = sorted(into.glob("*.whl"))
    if len(found) != 1:
        raise PluginError(f"{source} gave {len(found)} wheels; exactly one is expected.")
    return found[0]


def add(wheel: Path) -> None:
    """Put a checked wheel into this environment, in the place of another version of it; its dependencies are not."""
    pip("install", "--no-deps", "--no-index", "--no-compile", "--force-reinstall", "--", str(wheel))


def add_editable(directory: Path) -> None:
    """Let this environment use a plugin from the directory its author works in. Runs its build code."""
    pip("install", "--no-deps", "--no-compile", "--editable", str(directory))


def remove(name: str) -> None:
    """Remove a distribution from this environment; it may be gone already."""
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    pip("uninstall", "--yes", "--", name)


def pip(*words: str) -> None:
    """Run pip in this environment.

    Raises:
        PluginError: It failed; with what pip says of it.
    """
    command = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIRE_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)  # noqa: S603  # no shell
    if done.returncode:
        told = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        why = " ".join(told) or done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise PluginError(f"pip {words[0]} failed: {why}")


def lacking(requires: Iterable[str]) -> list[str]:
    """Return the dependencies that this environment does not meet. None is ever installed for a plugin."""
    return [text for text in requires if not _is_met(text)]


def _is_met(text: str) -> bool:
    try:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            return True
        return wanted.url is None and wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return False


def taken(wheel: Wheel) -> list[str]:
    """Return the top-level modules of a wheel that something else than an older version of it provides already."""
    try:
        own = {str(file) for file in metadata.distribution(wheel.name).files or ()}
    except metadata.PackageNotFoundError:
        own = set()
    return [
        name
        for name in sorted(wheel.modules)
        if (name in sys.modules or find_spec(name)) and not {f"{name}.py", f"{name}/__init__.py"} & own
    ]


def normal(name: str) -> str:
    """Return a distribution's name as the lock file spells it."""
    return canonicalize_name(name)
