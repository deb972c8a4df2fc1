"""Ann, Bob, their group, and a real client library talking to the local Telegram."""

from collections.abc import AsyncIterator

import pytest
from telegram import Bot

from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram

TOKEN = "7000000001:local-token"
NOW = 1_764_000_000


@pytest.fixture
def telegram() -> LocalTelegram:
    telegram = LocalTelegram(clock=lambda: NOW)
    telegram.add_person(11, "Ann", "ann", note="trader")
    telegram.add_person(12, "Bob", "bob", note="admin")
    telegram.add_group(-1001, "Traders", [11, 12], admins=[12])
    return telegram


@pytest.fixture
async def server(telegram: LocalTelegram) -> AsyncIterator[LocalServer]:
    async with LocalServer(telegram, TOKEN) as server:
        yield server


@pytest.fixture
async def bot(server: LocalServer) -> AsyncIterator[Bot]:
    async with Bot(TOKEN, base_url=server.base_url, base_file_url=server.base_file_url) as bot:
        yield bot
