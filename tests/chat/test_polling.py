"""Polling: one update that cannot be read costs itself alone, and nothing of it is logged."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from telegram import Bot, Update
from telegram.request import BaseRequest

from bot.chat.halt import Halt
from bot.chat.health import Health
from bot.chat.inbox import Inbox
from bot.chat.polling import Polling
from tests.chat.test_gate import message
from tests.trading.conftest import new_room

PASTED = "a-key-that-was-just-pasted-0123456789"


class OneAnswer(BaseRequest):
    """A network that gives each poll the next of its answers, and then stops."""

    def __init__(self, *answers: list[dict[str, Any]]) -> None:
        self.answers = list(answers)
        self.offsets: list[Any] = []
        self.stop = asyncio.Event()

    read_timeout = 5.0

    async def initialize(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def do_request(
        self, url: str, method: str, request_data: Any = None, *_: Any, **__: Any
    ) -> tuple[int, bytes]:
        self.offsets += parse_qs(urlsplit(url).query).get("offset", ["none"])
        found = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        return 200, json.dumps({"ok": True, "result": found}).encode()


async def test_update_of_an_unknown_form_is_left_out_and_the_others_are_taken(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library would refuse all of them, and write each word of them into the log."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    room = new_room(tmp_path)
    good = {"update_id": 8, "message": message("/balance")}
    odd = {"update_id": 9, "message": {"text": PASTED, "chat": 5}}
    network = OneAnswer([good, odd], [])
    bot = Bot("1:token", request=network, get_updates_request=network)
    taken: list[Update] = []
    health = Health(room.store, room.gateway, room.clock)
    unused: Any = None
    caplog.set_level(logging.DEBUG)
    inbox = Inbox(room.store, room.clock)
    polling = Polling(network, bot, inbox, taken.append, halt=Halt(room.clock), health=health, tell_owner=unused)
    await polling.receive(network.stop)
    assert [each.update_id for each in taken] == [8]
    assert network.offsets == ["none", "10"]
    assert PASTED not in caplog.text
    assert "unknown form" in caplog.text
    await room.close()


async def test_poll_tells_that_a_message_arrived_only_when_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only looks is handled meanwhile; the poll that confirms it waits for the disk."""
    room = new_room(tmp_path)
    network = OneAnswer([{"update_id": 8, "message": message("/help")}], [])
    bot = Bot("1:token", request=network, get_updates_request=network)
    begun: list[Update] = []
    inbox = Inbox(room.store, room.clock)
    inbox.may_begin, inbox.begin = (lambda _: True), begun.append
    stored, run = asyncio.Event(), room.store.run

    async def later(work: Any) -> Any:
        await stored.wait()
        return await run(work)

    monkeypatch.setattr(room.store, "run", later)
    health, unused = Health(room.store, room.gateway, room.clock), None
    polling = Polling(network, bot, inbox, begun.append, halt=Halt(room.clock), health=health, tell_owner=unused)  # type: ignore[arg-type]
    receiving = asyncio.create_task(polling.receive(network.stop))
    for _ in range(20):
        await asyncio.sleep(0)
    assert ([each.update_id for each in begun], network.offsets) == ([8], ["none"])
    stored.set()
    await receiving
    assert ([each.update_id for each in begun], network.offsets) == ([8], ["none", "9"])
    await room.close()
