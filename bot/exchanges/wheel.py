"""Reading a plugin's wheel without running any of it, and refusing one that could do more than be imported."""

from __future__ import annotations

import base64
import csv
import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bot.contract.errors import PluginError
from bot.contract.hookspecs import PROJECT

_LARGEST = 20_000_000
_STARTS_BY_ITSELF = {"sitecustomize", "usercustomize"}
_UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that was read and checked.

    Attributes:
        path: Where it is.
        name: Of the distribution, in lower case with hyphens.
        version: Of the distribution.
        sha256: Of the file, in hex.
        entry_points: Plugin name to module.
        requires: What it depends on, as it says so.
        files: Path to sha256 in hex; all but its own list of files.
    """

    path: Path
    name: str
    version: str
    sha256: str
    entry_points: Mapping[str, str]
    requires: tuple[str, ...]
    files: Mapping[str, str]

    @property
    def modules(self) -> frozenset[str]:
        """The top-level names that it adds to what can be imported."""
        tops = {path.partition("/")[0] for path in self.files}
        return frozenset(top.removesuffix(".py") for top in tops if not top.endswith(".dist-info"))


def read(path: Path) -> Wheel:
    """Read a wheel.

    Raises:
        PluginError: It is no wheel, its contents are not what it lists, or it holds more than Python modules: files
            that run by themselves, scripts, compiled code, or entry points of other programs.
    """
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise PluginError(f"{path.name} is not a wheel: {error}") from error
    if {(tag.abi, tag.platform) for tag in tags} != {("none", "any")}:
        raise PluginError(f"{path.name} holds compiled code; only wheels of plain Python (none-any) can be checked")
    try:
        with zipfile.ZipFile(path) as archive:
            contents = _contents(path.name, archive)
            found = metadata.PathDistribution(zipfile.Path(archive, _info(path.name, contents) + "/"))
            stated = (canonicalize_name(found.metadata["Name"] or ""), str(Version(found.version)))
            groups, requires = found.entry_points, tuple(found.requires or ())
    except (zipfile.BadZipFile, zlib.error, csv.Error, KeyError, OSError, UnicodeDecodeError, InvalidVersion) as error:
        raise PluginError(f"{path.name} cannot be read as a wheel: {error}") from error
    if stated != (name, str(version)):
        raise PluginError(f"{path.name} says inside that it is {' '.join(stated)}")
    entry_points = {point.name: point.value for point in groups if point.group == PROJECT}
    _refuse_groups(path.name, {point.group for point in groups}, entry_points)
    wheel = Wheel(
        path=path,
        name=name,
        version=str(version),
        sha256=digest(path.read_bytes()),
        entry_points=entry_points,
        requires=requires,
        files=contents,
    )
    _refuse_paths(wheel)
    return wheel


def digest(data: bytes) -> str:
    """Return the sha256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()


def _info(name: str, contents: Mapping[str, str]) -> str:
    found = {path.partition("/")[0] for path in contents if path.partition("/")[0].endswith(".dist-info")}
    if len(found) != 1:
        raise PluginError(f"{name} does not describe exactly one distribution")
    return found.pop()


def _contents(name: str, archive: zipfile.ZipFile) -> dict[str, str]:
    """Return each file's hash, having compared the list in the wheel with what is there."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    if sum(member.file_size for member in members) > _LARGEST:
        raise PluginError(f"{name} unpacks to more than {_LARGEST // 1_000_000} MB; a plugin is a few modules")
    paths = [member.filename for member in members]
    if len(set(paths)) != len(paths):
        raise PluginError(f"{name} holds a file twice")
    record = next((path for path in paths if path.endswith(".dist-info/RECORD") and path.count("/") == 1), None)
    if record is None:
        raise PluginError(f"{name} lacks its list of files (RECORD)")
    listed = {row[0]: row[1] for row in csv.reader(archive.read(record).decode().splitlines()) if len(row) == 3}
    found: dict[str, str] = {}
    for path in paths:
        if path.rpartition("/")[2] in _UNHASHED and path.count("/") == 1 and ".dist-info/" in path:
            continue
        data = archive.read(path)
        expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if listed.get(path) != f"sha256={expected}":
            raise PluginError(f"{name} is damaged: its file {path} is not the one that its list (RECORD) names")
        found[path] = digest(data)
    return found


def _refuse_groups(name: str, groups: set[str], entry_points: Mapping[str, str]) -> None:
    if not entry_points:
        raise PluginError(f"{name} is not a tradewire plugin: it has no entry point in the group {PROJECT}")
    if strange := sorted(group for group in groups if group.partition(".")[0] != PROJECT):
        raise PluginError(f"{name} has entry points for other programs ({', '.join(strange)}); a plugin may not")


def _refuse_paths(wheel: Wheel) -> None:
    name = wheel.path.name
    for path in wheel.files:
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or "\\" in path or str(PurePosixPath(path)) != path:
            raise PluginError(f"{name} wants to write outside its place: {path!r}")
        if parts[0].endswith(".data"):
            raise PluginError(f"{name} installs scripts or headers ({path}); a plugin is modules only")
        if path.endswith(".pth") or parts[0].removesuffix(".py") in _STARTS_BY_ITSELF:
            raise PluginError(f"{name} holds {path}, which Python would run at every start, unasked")
        if path.endswith((".so", ".pyd", ".pyc", ".dll", ".dylib")):
            raise PluginError(f"{name} holds compiled code ({path}); only plain Python can be checked")
        top = parts[0].removesuffix(".py") if len(parts) == 1 else parts[0].removesuffix(".dist-info")
        if not (top.isidentifier() or parts[0].endswith(".dist-info")) or (len(parts) == 1 and top == parts[0]):
            raise PluginError(f"{name} holds {path} outside its package")
    for point, module in wheel.entry_points.items():
        inside = module.partition(":")[0].replace(".", "/")
        if not {f"{inside}.py", f"{inside}/__init__.py"} & wheel.files.keys():
            raise PluginError(f"{name} announces {point} = {module}, but does not hold that module")
