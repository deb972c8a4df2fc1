"""A trading room with a group, a hook, and the way in for alerts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from bot.accounts import people
from bot.config import HookSettings
from bot.signals import hooks, web
from bot.signals.hooks import Hook
from bot.signals.worker import Worker
from bot.trading import groups
from bot.web.listener import Bounded
from tests.trading.conftest import ANN, START_MS, Room, new_room

GROUP, TOPIC = -100_500, 7


@dataclass
class Door:
    """The route of the hooks in front of a room, and one hook behind it."""

    room: Room
    hook: Hook
    token: str
    worker: Worker
    halts: list[str] = field(default_factory=list)
    settings: HookSettings = field(default_factory=lambda: HookSettings(enabled=True))

    def body(self, **fields: Any) -> bytes:
        """A body as TradingView sends it now."""
        now = datetime.fromtimestamp(self.room.clock.now_ms() // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = {"id": "a1", "time": now, "ticker": "BINANCE:BTCUSDT", "side": "buy", **fields}
        return json.dumps({name: value for name, value in made.items() if value is not None}).encode()

    def client(self, peer: str = "127.0.0.1", *, seconds: float = 10) -> httpx.AsyncClient:
        """A sender at this address."""
        routes = web.routes(self.settings, self.room.store, self.room.clock, self.worker.wake)
        app = Starlette(routes=routes, middleware=[Middleware(Bounded, seconds=seconds)])
        transport = httpx.ASGITransport(app=app, client=(peer, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://bot")

    async def post(
        self,
        body: bytes | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        **at: Any,
    ) -> tuple[int, str]:
        """Post a body, and return status and answer."""
        async with self.client(**at) as client:
            path = web.PATH + (self.token if token is None else token)
            reply = await client.post(path, content=self.body() if body is None else body, headers=headers or {})
            return reply.status_code, reply.text

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the database says."""
        return [tuple(row) for row in self.room.store.transact(lambda db: db.execute(query).fetchall())]

    @property
    def taken(self) -> int:
        """How many alerts were taken."""
        return int(self.rows("SELECT count(*) FROM hook_events")[0][0])

    def notes(self) -> list[str]:
        """The notes that people are sent."""
        return [json.loads(row[0])["text"] for row in self.rows("SELECT payload FROM outbox WHERE kind='note'")]

    def set_mode(self, mode: Any, **values: Any) -> None:
        """Change what becomes of alerts."""
        fields = {"size": None, "day": None, "pairs": frozenset(), **values}
        now_ms = self.room.clock.now_ms()
        self.room.store.transact(lambda db: hooks.set_mode(db, self.hook, mode, **fields, now_ms=now_ms))


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """A room whose group shows signals in a topic, with one hook of Ann's."""
    room = new_room(tmp_path)
    halts: list[str] = []

    def prepare(db: Any) -> tuple[Hook, str]:
        people.ensure_user(db, 1, "admin", now_ms=START_MS)
        groups.allow(db, GROUP, "Traders", by=1, owner=1, now_ms=START_MS)
        groups.route(db, GROUP, "signals", TOPIC, by=1, now_ms=START_MS)
        return hooks.make(db, user_id=ANN, name="tv", chat_id=GROUP, account_id=room.account.id, now_ms=START_MS)

    hook, token = room.store.transact(prepare)
    worker = Worker(room.store, room.desk, room.clock, lambda: None, halted=lambda: "".join(halts), owner=1)
    yield Door(room, hook, token, worker, halts)
    await room.desk.drain()
    await room.close()
