"""The door for Telegram's updates: nobody without the secret comes in, and what comes in has one effect."""

from __future__ import annotations

import asyncio
import hmac
import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from telegram import Bot

from bot.chat.inbox import Inbox
from bot.chat.webhook import acceptor
from bot.contract.errors import ConfigError
from bot.store.database import Store
from bot.web.listener import Listener
from bot.web.telegram import HEADER, routes
from tests.chat.test_gate import message
from tests.fakes import FakeClock

SECRET = "s3cret-0123456789-abcdefghij-KLMNO"
FORGED, FORGED_NIGHTLY = 2_000, 10_000
UPDATE = {"update_id": 5, "message": message("/buy BTC/USDT $50")}


class Accepted(list[dict[str, Any]]):
    """Takes everything in, and remembers it."""

    async def __call__(self, data: dict[str, Any]) -> None:
        self.append(data)


BOT = Bot("1:x")


def client(accept: Any) -> httpx.AsyncClient:
    app = Starlette(routes=routes(SecretStr(SECRET), "/telegram", accept))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot")


def forged(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """One request without the secret where it belongs: its kind, and how it differs from Telegram's."""
    place = chance.randrange(len(SECRET))
    other = SECRET[:place] + chance.choice("xyz!") + SECRET[place + 1 :]
    guess = "".join(chance.choices(SECRET, k=len(SECRET)))
    kinds: dict[str, dict[str, Any]] = {
        "none": {},
        "empty": {"headers": {HEADER: ""}},
        "guess": {"headers": {HEADER: guess}},
        "one character": {"headers": {HEADER: other}},
        "beginning": {"headers": {HEADER: SECRET[: place or 1]}},
        "too much": {"headers": {HEADER: SECRET + chance.choice("ab0,")}},
        "capitals": {"headers": {HEADER: SECRET.upper()}},
        "bytes": {"headers": [(HEADER.encode(), SECRET.encode()[:-1] + b"\xe9")]},
        "twice": {"headers": [(HEADER, SECRET), (HEADER, SECRET)]},
        "once of two": {"headers": [(HEADER, SECRET), (HEADER, guess)]},
        "replayed in the query": {"params": {HEADER: SECRET, "secret_token": SECRET}},
        "replayed in the body": {"json": {**UPDATE, "secret_token": SECRET}},
        "replayed in another header": {"headers": {"Authorization": f"Bearer {SECRET}", "X-Secret": SECRET}},
        "replayed in a cookie": {"headers": {"Cookie": f"{HEADER}={SECRET}"}},
    }
    kind = chance.choice(list(kinds))
    return kind, {"json": UPDATE, **kinds[kind]}


@pytest.mark.parametrize("size", [FORGED, pytest.param(FORGED_NIGHTLY, marks=pytest.mark.nightly)])
async def test_request_without_the_secret_in_its_place_is_never_accepted(size: int) -> None:
    """No secret, a wrong one, one that is nearly right, or the right one replayed elsewhere: 401, and nothing taken."""
    accepted, chance = Accepted(), random.Random(size)
    found = set()
    async with client(accepted) as door:
        for _ in range(size):
            kind, request = forged(chance)
            found.add((kind, (await door.post("/telegram", **request)).status_code))
    assert accepted == []
    assert {status for _, status in found} == {401}
    assert len(found) == 14


async def test_request_with_the_secret_is_accepted() -> None:
    """The control: Telegram's own request comes in as it was sent."""
    accepted = Accepted()
    async with client(accepted) as door:
        answer = await door.post("/telegram", json=UPDATE, headers={HEADER: SECRET})
    assert (answer.status_code, accepted) == (200, [UPDATE])


async def test_secret_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is the one whose time tells nothing, over the whole of both."""
    compared = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    async with client(Accepted()) as door:
        assert (await door.post("/telegram", headers={HEADER: "x"})).status_code == 401
    assert compared == [(b"x", SECRET.encode())]


async def test_secret_is_asked_for_before_the_body_is_read() -> None:
    """A stranger's body is not even received."""
    [route] = routes(SecretStr(SECRET), "/telegram", Accepted())
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(part: Any) -> None:
        sent.append(part)

    scope = {"type": "http", "method": "POST", "path": "/telegram", "query_string": b"", "headers": []}
    await route.app(scope, receive, send)
    assert sent[0]["status"] == 401


@pytest.mark.parametrize("secret", ["", "x" * 31])
def test_routes_without_a_long_secret_are_refused(secret: str) -> None:
    """Where the configuration's own check were passed by, there is still no door without a lock."""
    with pytest.raises(ConfigError, match="at least 32 characters"):
        routes(SecretStr(secret), "/telegram", Accepted())


@pytest.mark.parametrize("body", ["", "[", "[]", "7", '"x"', "[" * 10_000, '{"a":' * 10_000, "\ud800"])
async def test_body_that_is_no_update_is_refused(body: str) -> None:
    """With the secret, too: only an object goes further, however deep it pretends to be."""
    accepted = Accepted()
    async with client(accepted) as door:
        content = body.encode("utf-8", "surrogatepass")
        answer = await door.post("/telegram", content=content, headers={HEADER: SECRET})
    assert (answer.status_code, accepted) == (400, [])


async def test_other_methods_and_paths_are_not_served() -> None:
    """The door is one path and one method."""
    async with client(Accepted()) as door:
        headers = {HEADER: SECRET}
        found = [
            (await door.get("/telegram", headers=headers)).status_code,
            (await door.post("/telegram/x", headers=headers)).status_code,
            (await door.post("/", headers=headers)).status_code,
        ]
    assert found == [405, 404, 404]


async def test_update_replayed_is_handled_once(tmp_path: Path) -> None:
    """Telegram repeats what it saw no answer to; four at once and one after a restart are one command."""
    handled: list[Any] = []
    for times in (4, 1):
        store = Store(tmp_path / "tradewire.db")
        async with client(acceptor(BOT, Inbox(store, FakeClock()), handled.append)) as door:
            requests = [door.post("/telegram", json=UPDATE, headers={HEADER: SECRET}) for _ in range(times)]
            assert {answer.status_code for answer in await asyncio.gather(*requests)} == {200}
        store.close()
    assert len(handled) == 1


async def test_update_is_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    """When 200 is sent, another program can read the command in the database."""
    path, seen = tmp_path / "tradewire.db", []
    store = Store(path)
    accept = acceptor(BOT, Inbox(store, FakeClock()), lambda _: None)
    [route] = routes(SecretStr(SECRET), "/telegram", accept)

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(UPDATE).encode()}

    async def send(part: Any) -> None:
        if part["type"] == "http.response.start":
            other = sqlite3.connect(path)
            seen.append((part["status"], other.execute("SELECT count(*) FROM inbox").fetchone()[0]))
            other.close()

    headers = [(HEADER.encode(), SECRET.encode())]
    scope = {"type": "http", "method": "POST", "path": "/telegram", "query_string": b"", "headers": headers}
    await route.app(scope, receive, send)
    store.close()
    assert seen == [(200, 1)]


async def test_update_that_cannot_be_stored_stays_with_telegram() -> None:
    """A full disk is answered with 503: Telegram sends it again."""

    async def full(data: dict[str, Any]) -> None:
        raise sqlite3.OperationalError("disk is full")

    async with client(full) as door:
        assert (await door.post("/telegram", json=UPDATE, headers={HEADER: SECRET})).status_code == 503


async def test_update_of_an_unknown_form_is_left_out(tmp_path: Path) -> None:
    """What the library cannot read is answered, or Telegram would send nothing else any more."""
    handled, store = [], Store(tmp_path / "tradewire.db")
    async with client(acceptor(BOT, Inbox(store, FakeClock()), handled.append)) as door:
        for strange in ({}, {"update_id": 6, "message": 3}, {"update_id": 7, "message": {"date": "x"}}):
            assert (await door.post("/telegram", json=strange, headers={HEADER: SECRET})).status_code == 200
    store.close()
    assert handled == []


@pytest.mark.network
async def test_listener_serves_the_door() -> None:
    """Over a real connection: with the secret in, without it out."""
    accepted = Accepted()
    async with (
        Listener(routes(SecretStr(SECRET), "/telegram", accepted)) as listener,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", trust_env=False) as door,
    ):
        found = [
            (await door.post("/telegram", json=UPDATE, headers=headers)).status_code
            for headers in ({}, {HEADER: SECRET}, {HEADER: SECRET[:-1]})
        ]
    assert (found, accepted) == ([401, 200, 401], [UPDATE])
