"""Where the bot meets the world, with a striker at each place: its database's connection, its sockets, Telegram."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from random import Random
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from telegram.request import BaseRequest, RequestData

from tests.crash import frames
from tests.crash.blows import Line, Striker
from tests.crash.timing import Loop

_ORDERS = "SELECT id, state, filled, misses, message_id, cancel_requested_ms FROM orders"
_LOOKS = (b"GET /find", b"GET /order", b"GET /fills")

Snapshot: TypeAlias = tuple[int, int, dict[int, tuple[Any, ...]]]


class StruckConnection(sqlite3.Connection):
    """The store's connection. Calls out each transaction, named by what it changed, before and after its commit."""

    def __init__(self, striker: Striker, *path: Any, **options: Any) -> None:
        super().__init__(*path, **options)
        self.is_migrating = False
        self._striker = striker
        self._before: Snapshot | None = None
        self._changed_before = 0

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if self.is_migrating:
            self._striker.reached("migration: statement")
            return super().execute(sql, *values)
        if not self._striker.moment or sql not in ("BEGIN IMMEDIATE", "COMMIT"):
            return super().execute(sql, *values)
        if sql == "BEGIN IMMEDIATE":
            cursor = super().execute(sql)
            self._before = self._snapshot() if self._striker.names_commits else None
            self._changed_before = self.total_changes
            return cursor
        if self.total_changes == self._changed_before:
            return super().execute(sql)
        names = [] if self._before is None else list(_named(self._before, self._snapshot()))
        for name in names:
            self._striker.reached(f"before commit: {name}")
        cursor = super().execute(sql)
        for name in names:
            self._striker.reached(f"after commit: {name}")
        self._striker.committed(self)
        return cursor

    def _snapshot(self) -> Snapshot:
        cursor = self.cursor()
        cursor.row_factory = None  # type: ignore[assignment]
        messages = cursor.execute("SELECT count(*) FROM inbox").fetchone()[0]
        filled = cursor.execute("SELECT count(*) FROM fills").fetchone()[0]
        return messages, filled, {row[0]: row[1:] for row in cursor.execute(_ORDERS).fetchall()}


def _named(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Name what a transaction changed."""
    if after[0] > before[0]:
        yield "message taken"
    if after[1] > before[1]:
        yield "filled"
    for order_id, (state, filled, misses, message_id, _) in after[2].items():
        was = before[2].get(order_id)
        if was is None:
            yield "proposed"
        elif was[0] == "sending":
            yield "outcome"
        elif state != was[0] and state in ("confirmed", "sending"):
            if was[0] == "proposed" and state == "sending":  # both steps in one commit
                yield "confirmed"
            yield state
        elif was[0] not in ("proposed", "confirmed") and (state, filled, misses) != was[:3]:
            yield "reconciled"
        if was is not None and message_id is not None and was[3] is None:
            yield "card known"


class Tap(asyncio.Protocol):
    """Between a connection of the bot and its socket. Calls out each request and reply, piece by piece."""

    def __init__(self, inner: asyncio.Protocol, loop: Loop, striker: Striker) -> None:
        self._inner = inner
        self._loop = loop
        self._striker = striker
        self._transport: asyncio.Transport
        self._arrived = bytearray()
        self._kind = ""
        self._is_owed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(_TapTransport(self))

    def write(self, message: bytes) -> None:
        """Send a request."""
        striker = self._striker
        if message.startswith(b"POST"):
            self._kind = "order" if message.startswith(b"POST /place") else "cancel"
        else:
            self._kind = "look" if message.startswith(_LOOKS) else "other"
        head = frames.request_head(self._loop.now_us, len(message))
        striker.reached(f"{self._kind}: connected")
        if striker.falls(f"{self._kind}: half written"):
            self._transport.write(head + message[: striker.rng.randrange(1, len(message))])
        striker.reached(f"{self._kind}: half written")
        self._owes(owed=True)
        self._transport.write(head + message)
        striker.reached(f"{self._kind}: written")

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        reply = frames.take_reply(self._arrived)
        if reply is not None:
            self._owes(owed=False)
            self._loop.call_later(self._striker.rng.uniform(0.01, 0.3), self._deliver, reply)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owes(owed=False)
        self._inner.connection_lost(exc)

    def _owes(self, *, owed: bool) -> None:
        self._loop.under_way += owed - self._is_owed
        self._is_owed = owed

    def _deliver(self, reply: bytes) -> None:
        end = reply.index(b"\r\n\r\n") + 4
        half = (end + len(reply)) // 2
        self._striker.reached(f"{self._kind}: answered")
        self._inner.data_received(reply[:end])
        self._striker.reached(f"{self._kind}: head read")
        self._inner.data_received(reply[end:half])
        self._striker.reached(f"{self._kind}: half read")
        self._inner.data_received(reply[half:])


class _TapTransport(asyncio.Transport):
    """What the bot's connection takes for its socket."""

    def __init__(self, tap: Tap) -> None:
        super().__init__()
        self._tap = tap

    def write(self, data: Any) -> None:
        self._tap.write(bytes(data))

    def abort(self) -> None:
        self._tap.abort()


class PipeRequest(BaseRequest):
    """The library's way to Telegram: each call is one question to the world outside."""

    def __init__(self, loop: Loop, line: Line, striker: Striker, rng: Random) -> None:
        self._loop = loop
        self._line = line
        self._striker = striker
        self._rng = rng

    @property
    def read_timeout(self) -> float | None:
        return 10.0

    async def initialize(self) -> None:
        """Nothing to prepare."""

    async def shutdown(self) -> None:
        """Nothing to release."""

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *_: Any, **__: Any
    ) -> tuple[int, bytes]:
        name, _, query = url.rpartition("/")[2].partition("?")
        values = dict(parse_qsl(query)) if request_data is None else request_data.json_parameters
        if name == "getUpdates":
            return await self._get_updates(values)
        await asyncio.sleep(self._rng.uniform(0.02, 0.15))
        answer = self._ask(name, values)
        if name == "sendMessage" and "Confirm" in values.get("reply_markup", ""):
            self._striker.reached("telegram: preview sent")
        if name == "editMessageText":
            self._striker.reached("telegram: card edited")
        await asyncio.sleep(self._rng.uniform(0.02, 0.15))
        return answer["status"], json.dumps(answer["body"]).encode()

    async def _get_updates(self, values: dict[str, str]) -> tuple[int, bytes]:
        until_us = self._loop.now_us + int(float(values.get("timeout", 0)) * 1e6)
        offset = {"offset": values["offset"]} if "offset" in values else {}
        while True:
            answer = self._ask("getUpdates", offset)
            left_us = until_us - self._loop.now_us
            if answer["body"]["result"] or left_us <= 0:
                return answer["status"], json.dumps(answer["body"]).encode()
            await asyncio.sleep(min(left_us, max(1000, answer["next_us"] - self._loop.now_us)) / 1e6)

    def _ask(self, name: str, values: dict[str, str]) -> dict[str, Any]:
        answer = self._line.ask(call=name, values=values, now_us=self._loop.now_us)
        if answer["blow"]:
            self._striker.wait_for(**answer["blow"])
        return answer
