"""/export in chat: a document of one's own orders, to that person alone."""

from __future__ import annotations

from typing import Any

from tests.chat.conftest import Chat
from tests.trading.conftest import BOB


def documents(chat: Chat) -> list[dict[str, Any]]:
    return chat.telegram.named("sendDocument")


async def test_export_sends_the_persons_orders_as_a_document(real: Chat) -> None:
    """The file has a name with its day, and the caption says how many and which times."""
    await real.room.placed()
    await real.say("/export")
    (sent,) = documents(real)
    assert sent["caption"] == "1 of your orders with their fills. All times are UTC."
    await real.say("/export 2026-09-21 2026-09-21")
    assert len(documents(real)) == 2


async def test_export_of_nothing_says_so(real: Chat) -> None:
    """Somebody without orders gets a sentence, and no file of others."""
    await real.room.placed()
    assert await real.say("/export", user_id=BOB) == ["There are no orders of yours in that time."]
    assert (await real.say("/export 2026-13-01"))[0].startswith("✖ Not done")
    assert documents(real) == []
