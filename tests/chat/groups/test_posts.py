"""How loud, in which topic and how often something is posted."""

from __future__ import annotations

from typing import Any

import pytest

from bot.trading import groups
from bot.trading.groups import Route
from tests.chat.conftest import Chat
from tests.chat.groups.conftest import (
    HOUR_MS,
    TOPIC,
    bought,
    group_of,
    posted,
    push,
    say,
    share,
    waiting,
)
from tests.chat.test_gate import GROUP
from tests.trading.conftest import ANN, START_MS


async def test_route_sends_to_the_topic_where_it_was_written(club: Chat) -> None:
    """Answer and posts appear in that topic; the other kinds stay where they were."""
    share(club)
    await say(club, "/route fills here", message_thread_id=TOPIC, is_topic_message=True)
    await bought(club)
    club.room.store.transact(
        lambda db: groups.post(db, "errors", kind="note", payload={"text": "Halted."}, now_ms=START_MS)
    )
    while await club.outbox.step():
        club.room.clock.advance(1)  # alerts come two at once, then one a second
    assert posted(club) == [
        ("Fills are posted here from now on.", TOPIC, False),
        ("🟢 @ann bought BTC/USDT", TOPIC, False),
        ("Halted.", None, False),
    ]


async def test_route_in_a_thread_of_answers_is_no_topic(club: Chat) -> None:
    """Outside forums a thread id only names a message that was answered."""
    await say(club, "/route fills here", message_thread_id=TOPIC)
    found = group_of(club)
    assert found is not None
    assert found.routes["fills"] == Route("on", None, 0)


async def test_topic_that_is_gone_gives_its_posts_to_the_main_one(club: Chat) -> None:
    """A deleted topic loses nothing, and the next post does not try it again."""
    share(club)
    await say(club, "/route fills here", message_thread_id=TOPIC, is_topic_message=True)
    await bought(club)
    club.telegram.fail("sendMessage", 400, "Bad Request: message thread not found")
    await club.outbox.step()
    found = group_of(club)
    assert found is not None
    assert (posted(club)[-1], found.routes["fills"]) == (("🟢 @ann bought BTC/USDT", None, False), Route("on", None, 0))


@pytest.mark.parametrize("by", ["level", "quiet hours"])
async def test_post_is_silent_where_the_group_wants_it(club: Chat, by: str) -> None:
    """It comes, and makes no sound."""
    share(club)
    if by == "level":
        await say(club, "/group")
        await push(club, "Fills: silent")
    else:
        await say(club, "/mute 00:00-23:59 UTC")
    await bought(club)
    await club.outbox.step()
    assert posted(club)[-1] == ("🟢 @ann bought BTC/USDT", None, True)


async def test_muted_posts_are_not_posted_later_either(club: Chat) -> None:
    """A mute takes back what waits, swallows what comes, and ends by itself."""
    share(club)
    await bought(club)
    await say(club, "/mute 1h fills")
    assert waiting(club) == []
    await bought(club)
    assert waiting(club) == []
    club.room.clock.advance(3601)
    await bought(club)
    assert len(waiting(club)) == 1


async def test_mute_of_one_kind_leaves_the_others(club: Chat) -> None:
    """And `off` ends it at once."""
    await say(club, "/mute 8h alerts")
    found = group_of(club)
    assert found is not None
    assert {event: route.muted_until_ms for event, route in found.routes.items()} == {
        "fills": 0,
        "alerts": club.room.clock.now_ms() + 8 * HOUR_MS,
        "signals": 0,
        "errors": 0,
    }
    await say(club, "/mute off")
    again = group_of(club)
    assert again is not None
    assert {route.muted_until_ms for route in again.routes.values()} == {0}


async def test_event_that_is_off_is_not_posted(club: Chat) -> None:
    """Off means off, for what waits as well."""
    share(club)
    await bought(club)
    club.room.store.transact(lambda db: groups.set_level(db, GROUP, "fills", "off", by=ANN, now_ms=START_MS))
    await bought(club)
    assert waiting(club) == []


async def test_flood_of_fills_keeps_twenty_a_minute_and_loses_none(club: Chat) -> None:
    """Fifty fills at once: no minute with more than twenty messages to the group, and each is told."""
    share(club)
    row = await bought(club)
    for number in range(49):
        club.room.store.transact(
            lambda db, number=number: groups.post(
                db,
                "fills",
                kind=groups.FILL,
                payload={"order": row.id, "user": ANN},
                lane="result",
                merge_key=f"fill:extra{number}",
                now_ms=club.room.clock.now_ms(),
            )
        )
    times: list[float] = []
    send = club.services.sender.bot.send_message

    async def timed(chat_id: int, *values: Any, **named: Any) -> Any:
        if chat_id == GROUP:
            times.append(club.room.clock.monotonic())
        return await send(chat_id, *values, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(club.services.sender.bot), "send_message", lambda _, *a, **k: timed(*a, **k))
        while await club.outbox.step():
            club.room.clock.advance(1)
    told = [text for text, *_ in posted(club)]
    assert told.count("🟢 @ann bought BTC/USDT") == 50
    assert max(sum(at <= other < at + 60 for other in times) for at in times) == 20
