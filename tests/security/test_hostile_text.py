"""Text that tricks the eye and numbers that trick Python, through the commands of the real bot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chat.conftest import Chat, new_chat
from tests.security.hostile import INVISIBLE, MARKUP, NUMBERS, SQL
from tests.security.test_fuzz_updates import _misleading
from tests.trading.conftest import ANN

FULL_WIDTH = "\uff11\uff12\uff13"
"""The digits of an input method. They are the same digits to whoever types them; they are read, and previewed."""


async def _sizes(chat: Chat, *lines: str) -> list[tuple[str, str | None]]:
    """Return size and price of the orders that lines were taken for."""
    for line in lines:
        await chat.say(line, user_id=ANN)
    rows = chat.room.sql("SELECT params FROM orders ORDER BY id")
    return [(each["size"], each["price"]) for each in (json.loads(row["params"]) for row in rows)]


@pytest.mark.parametrize("number", [each for each in NUMBERS if each != FULL_WIDTH], ids=lambda each: ascii(each)[:20])
async def test_number_outside_the_grammar_is_no_size_and_no_price(tmp_path: Path, number: str) -> None:
    """What Python would take for a number, and no person writes, makes no order: neither as size nor as price."""
    chat = await new_chat(tmp_path)
    lines = [f"/buy BTC/USDT {number} @ 58000", f"/buy BTC/USDT 0.5 @ {number}", f"/sell BTC/USDT ${number} @ 62000"]
    assert await _sizes(chat, *lines) == []
    assert len(chat.telegram.texts()) >= len(lines)
    await chat.room.close()


async def test_number_in_full_width_is_shown_as_it_was_read(tmp_path: Path) -> None:
    """An input method's digits are the same digits."""
    chat = await new_chat(tmp_path)
    assert await _sizes(chat, "/buy BTC/USDT \uff10\uff0e\uff15 @ 58000") == [("0.500000", "58000.00")]
    await chat.room.close()


@pytest.mark.parametrize("trick", [*MARKUP, *INVISIBLE, *SQL], ids=lambda each: ascii(each)[:20])
async def test_trick_in_any_argument_is_shown_harmlessly(tmp_path: Path, trick: str) -> None:
    """As pair, size, label, name of a code and of a person: no markup is read, nothing invisible is left invisible."""
    chat = await new_chat(tmp_path)
    names = [name for name, command in chat.registry.commands.items() if name != "ip"]
    for name in names:
        await chat.say(f"/{name} {trick}", user_id=ANN)
    await chat.outbox.step()
    wrong = [each for call in chat.telegram.calls for each in _misleading(*call)]
    assert wrong == []
    assert chat.room.sql("SELECT 1 FROM orders") == []
    await chat.room.close()


async def test_pair_that_looks_like_another_is_not_that_pair(tmp_path: Path) -> None:
    """Cyrillic letters that look like BTC make no order for BTC."""
    chat = await new_chat(tmp_path)
    assert await _sizes(chat, "/buy \u0412\u0422\u0421/USDT 0.5 @ 58000", "/buy B\u0422C/USDT 0.5 @ 58000") == []
    await chat.room.close()
