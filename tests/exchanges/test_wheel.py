"""Reading a wheel: what is more than modules is refused before it is installed, and nothing of it runs."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from bot.contract.errors import PluginError
from bot.exchanges import wheel as wheels
from bot.exchanges.wheel import Wheel, digest
from tests.exchanges.wheels import build, pieces

GOOD = {"tradewire_acme/__init__.py": "x = 1\n", "tradewire_acme/signing.py": "", "tradewire_acme/codes.json": "{}"}
POINTS = {"tradewire": {"acme": "tradewire_acme"}}


def test_read_returns_what_the_lock_file_needs(tmp_path: Path) -> None:
    """Name, version, entry points, needs, and the hash of the wheel and of each file in it."""
    path = build(tmp_path, GOOD, name="tradewire_Acme", requires=["tradewire>=0.1"])
    made = pieces("tradewire_Acme", "1.0", GOOD, points=POINTS, requires=["tradewire>=0.1"])
    read = wheels.read(path)
    assert read == Wheel(
        path=path,
        name="tradewire-acme",
        version="1.0",
        sha256=digest(path.read_bytes()),
        entry_points={"acme": "tradewire_acme"},
        requires=("tradewire>=0.1",),
        files={name: digest(data) for name, data in made.items()},
    )
    assert read.modules == {"tradewire_acme"}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("path file", {"files": {"evil.pth": "import evil"}}, "evil.pth, which Python would run at every start"),
    ("sitecustomize", {"files": {"sitecustomize.py": ""}}, "sitecustomize.py, which Python would run"),
    ("usercustomize", {"files": {"usercustomize/__init__.py": ""}}, "which Python would run at every start"),
    ("scripts", {"files": {"tradewire_acme-1.0.data/scripts/pip": "#!/bin/sh"}}, "installs scripts or headers"),
    ("compiled", {"files": {"tradewire_acme/fast.so": ""}}, "holds compiled code (tradewire_acme/fast.so)"),
    ("bytecode", {"files": {"tradewire_acme/__pycache__/a.cpython-311.pyc": ""}}, "holds compiled code"),
    ("platform", {"tag": "cp311-cp311-linux_x86_64"}, "holds compiled code; only wheels of plain Python"),
    ("outside", {"files": {"../evil.py": ""}}, "wants to write outside its place: '../evil.py'"),
    ("absolute", {"files": {"/etc/evil.py": ""}}, "wants to write outside its place: '/etc/evil.py'"),
    ("dotted", {"files": {"tradewire_acme/./evil.py": ""}}, "wants to write outside its place"),
    ("second distribution", {"files": {"evil-1.dist-info/entry_points.txt": ""}}, "not describe exactly one"),
    ("dotted package", {"files": {"bot.evil/__init__.py": ""}}, "holds bot.evil/__init__.py outside its package"),
    ("dotted module", {"files": {"bot.evil.py": ""}}, "holds bot.evil.py outside its package"),
    ("loose text", {"files": {"LICENSE": ""}}, "holds LICENSE outside its package"),
    ("loose file", {"files": {"notes.txt": ""}}, "holds notes.txt outside its package"),
    (
        "program",
        {"points": {**POINTS, "console_scripts": {"pip": "tradewire_acme:x"}}},
        "programs (console_scripts)",
    ),
    ("pydantic", {"points": {**POINTS, "pydantic": {"p": "tradewire_acme"}}}, "for other programs (pydantic)"),
    ("no plugin", {"points": {"other": {"a": "b"}}}, "is not a tradewire plugin"),
    ("module absent", {"points": {"tradewire": {"acme": "elsewhere"}}}, "announces acme = elsewhere, but does not"),
    ("unlisted file", {"listed": "tradewire_acme/__init__.py,sha256=AAAA,6\n"}, "is damaged: its file"),
    ("huge", {"files": {"tradewire_acme/big.py": "#" * 20_000_001}}, "unpacks to more than 20 MB"),
]


@pytest.mark.parametrize(("changes", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_read_refuses_a_wheel_that_could_do_more_than_be_imported(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    """Each way to run unasked, to write elsewhere or to hide from the check is named."""
    path = build(tmp_path, {**GOOD, **changes.pop("files", {})}, **changes)
    with pytest.raises(PluginError) as caught:
        wheels.read(path)
    assert sentence in str(caught.value)


def test_read_refuses_a_file_that_is_there_twice(tmp_path: Path) -> None:
    """What is checked must be what is unpacked."""
    path = build(tmp_path, GOOD)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("tradewire_acme/__init__.py", "evil")
    with pytest.raises(PluginError, match="holds a file twice"):
        wheels.read(path)


def test_read_refuses_a_file_that_is_not_listed(tmp_path: Path) -> None:
    """Something added to a finished wheel is seen."""
    path = build(tmp_path, GOOD)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tradewire_acme/more.py", "evil")
    with pytest.raises(PluginError, match=r"damaged: its file tradewire_acme/more\.py"):
        wheels.read(path)


def test_read_refuses_a_wheel_without_a_list_of_files(tmp_path: Path) -> None:
    """There is nothing to compare it with."""
    path = build(tmp_path, GOOD)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "new", "w") as new:
        for name in old.namelist()[:-1]:
            new.writestr(name, old.read(name))
    with pytest.raises(PluginError, match=r"lacks its list of files \(RECORD\)"):
        wheels.read((tmp_path / "new").rename(path))


def test_read_takes_entry_points_of_our_own_other_groups(tmp_path: Path) -> None:
    """A plugin may name its checks; only `tradewire` looks there."""
    path = build(tmp_path, GOOD, points={**POINTS, "tradewire.contract": {"acme": "tradewire_acme.local:Contract"}})
    assert wheels.read(path).entry_points == {"acme": "tradewire_acme"}


@pytest.mark.parametrize("name", ["tradewire_acme-1.0.tar.gz", "acme.whl", "tradewire_acme-1.0-py3-none-any.whl"])
def test_read_refuses_what_is_no_wheel(tmp_path: Path, name: str) -> None:
    """A source archive, a file with another name and a file of anything else end in a sentence."""
    path = tmp_path / name
    path.write_bytes(b"not a zip file")
    with pytest.raises(PluginError):
        wheels.read(path)


def test_read_refuses_a_wheel_under_another_name(tmp_path: Path) -> None:
    """The name outside is the one that was asked for; the name inside is the one that pip installs."""
    path = build(tmp_path, GOOD)
    other = path.rename(tmp_path / "tradewire_other-1.0-py3-none-any.whl")
    with pytest.raises(PluginError, match=r"says inside that it is tradewire-acme 1\.0"):
        wheels.read(other)
