# ruff: noqa: N802  # the names are SQLite's
"""A disk that loses power: what was not synced is lost, kept, kept out of order or torn, sector by sector.

SQLite runs on it through apsw, whose file layer can be written in Python. The library that the bot uses cannot be given
one, so the statements of a real run of the bot (the pragmas, the migration and every transaction, with their values)
are recorded there and run again here. Two things differ: SQLite is apsw's own, and the log is read without shared
memory, for which the connection must own the file alone. Neither changes what is written or synced.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import apsw

SECTOR = 512


@dataclass
class File:
    """A file as programs see it, as the disk surely has it, and what happened to it in between."""

    seen: bytearray = field(default_factory=bytearray)
    sure: bytes | None = None
    pending: list[tuple[int, bytes]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        if len(self.seen) < offset:
            self.seen.extend(bytes(offset - len(self.seen)))
        self.seen[offset : offset + len(data)] = data
        self.pending.extend(_sectors(offset, data))
        self.sizes.append(len(self.seen))

    def truncate(self, size: int) -> None:
        del self.seen[size:]
        self.sizes.append(size)

    def sync(self) -> None:
        self.sure = bytes(self.seen)
        self.pending.clear()
        self.sizes.clear()

    def after_a_cut(self, chance: random.Random) -> bytes | None:
        """Return what may be found afterwards, or `None` when not even the name was on the disk."""
        if self.sure is None and chance.random() < 0.5:
            return None
        kept = bytearray(self.sure or b"")
        happened = [each for each in self.pending if chance.random() < 0.5]
        chance.shuffle(happened)
        for offset, data in happened:
            if len(kept) < offset:
                kept.extend(bytes(offset - len(kept)))
            kept[offset : offset + len(data)] = data
        if self.sizes and chance.random() < 0.3:
            del kept[chance.choice(self.sizes) :]
        return bytes(kept)


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size = min(SECTOR - (offset + at) % SECTOR, len(data) - at)
        yield offset + at, data[at : at + size]
        at += size


class Disk(apsw.VFS):
    """All files of one machine, in memory. `moment` is called after every single thing that happens to a file."""

    def __init__(self, name: str = "disk") -> None:
        self.files: dict[str, File] = {}
        self.moment: Any = lambda: None
        self.name = name
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: Any) -> Handle:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or f"temporary {len(self.files)}"
        flags[1] = flags[0]
        return Handle(self, self.files.setdefault(path, File()))

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname in self.files

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.files.pop(filename, None)
        self.moment()

    def xFullPathname(self, name: str) -> str:
        return name


class Handle:
    """An open file of a `Disk`. One connection has it, so locks need no keeping."""

    def __init__(self, disk: Disk, file: File) -> None:
        self._disk = disk
        self._file = file

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._file.write(offset, bytes(data))
        self._disk.moment()

    def xTruncate(self, size: int) -> None:
        self._file.truncate(size)
        self._disk.moment()

    def xSync(self, flags: int) -> None:
        self._file.sync()
        self._disk.moment()

    def xFileSize(self) -> int:
        return len(self._file.seen)

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xCheckReservedLock(self) -> bool:
        return False

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xClose(self) -> None:
        pass
