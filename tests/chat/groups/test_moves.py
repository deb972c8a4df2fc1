"""A group that becomes another one, or that the bot is removed from."""

from __future__ import annotations

from dataclasses import asdict

from bot.chat.groups import note
from bot.trading import groups
from tests.chat.conftest import Chat
from tests.chat.groups.conftest import (
    IN_GROUP,
    NEW_GROUP,
    bought,
    group_of,
    member_update,
    posted,
    say,
    share,
    upgraded,
    waiting,
)
from tests.chat.test_gate import GROUP, message, update
from tests.trading.conftest import START_MS


async def test_migration_takes_everything_along(club: Chat) -> None:
    """Set-up, shown fills and what waits move in the commit that takes the message in, told twice or not."""
    share(club)
    await say(club, "/mute 22:00-07:00 Europe/Berlin")
    await bought(club)
    before = group_of(club)
    assert before is not None
    moved = upgraded(club)
    again = update(
        club.services.sender.bot,
        message=message("", chat_id=NEW_GROUP, kind="supergroup", migrate_from_chat_id=GROUP),
    )
    await club.take([moved])
    after = group_of(club, NEW_GROUP)
    assert after is not None
    assert (group_of(club), asdict(after)) == (None, {**asdict(before), "chat_id": NEW_GROUP})
    assert waiting(club) == [(NEW_GROUP, None, "result", "group_fill")]
    await club.arrive([moved, again])
    await club.outbox.step()
    assert posted(club, NEW_GROUP) == [("🟢 @ann bought BTC/USDT", None, False)]


async def test_migration_that_was_missed_is_learnt_from_the_refusal(club: Chat) -> None:
    """Telegram keeps news for a day; who was away longer is told by the first post."""
    share(club)
    await bought(club)
    club.telegram.fail("sendMessage", 400, "group chat was upgraded", migrate_to_chat_id=NEW_GROUP)
    while await club.outbox.step():
        club.room.clock.advance(1)
    assert (posted(club, NEW_GROUP), group_of(club)) == ([("🟢 @ann bought BTC/USDT", None, False)], None)
    assert group_of(club, NEW_GROUP) is not None


async def test_migration_told_while_the_outbox_waits_reaches_the_new_group(club: Chat) -> None:
    """What the outbox had lined up for the old group is told in the new one without a restart."""
    club.services.sender.pacer.hold(7, GROUP)
    club.room.store.transact(
        lambda db: groups.post(db, "errors", kind="note", payload={"text": "Halted."}, now_ms=START_MS)
    )
    assert await club.outbox.step()
    await club.arrive([upgraded(club)])
    club.room.clock.advance(8)
    await club.outbox.step()
    assert (posted(club), posted(club, NEW_GROUP)) == ([], [("Halted.", None, False)])


async def test_removed_bot_keeps_the_group_for_its_return(club: Chat) -> None:
    """While away nothing more is posted; back again, what waited is told and the set-up is as it was."""
    share(club)
    before = group_of(club)
    await bought(club)
    await club.arrive([member_update(club, "kicked")])
    assert waiting(club) == [(GROUP, None, "held", "group_fill")]
    await bought(club)
    await club.outbox.step()
    assert (posted(club), len(waiting(club)), group_of(club)) == ([], 1, before)
    await club.arrive([member_update(club, "member")])
    await club.outbox.step()
    assert (len(posted(club)), waiting(club)) == (1, [])
    await bought(club)
    assert len(waiting(club)) == 1


async def test_removed_bot_that_learns_it_by_a_refusal_keeps_the_group_too(club: Chat) -> None:
    """And a message from there proves that it is back, when the news of that was lost."""
    share(club)
    await bought(club)
    club.telegram.fail("sendMessage", 403, "Forbidden: bot was kicked from the supergroup chat")
    await club.outbox.step()
    await bought(club)
    assert waiting(club) == [(GROUP, None, "held", "group_fill")]
    await club.arrive([club.written("/group", **IN_GROUP)])
    await bought(club)
    await club.outbox.step()
    assert [text for text, *_ in posted(club)].count("🟢 @ann bought BTC/USDT") == 3
    assert waiting(club) == []


async def test_message_from_a_group_that_had_removed_the_bot_proves_that_it_is_back(club: Chat) -> None:
    """Telegram keeps news for a day; who was off for longer never hears of the return."""
    share(club)
    await club.take([member_update(club, "kicked")])
    await club.take([club.written("/group", **IN_GROUP)])
    await bought(club)
    assert len(waiting(club)) == 1


async def test_note_of_other_updates_changes_nothing(club: Chat) -> None:
    """A private message or a press says nothing of a group."""
    before = group_of(club)
    updates = [club.written("/x"), club.pressed("c1:x", 1), club.written("hello", **IN_GROUP)]
    club.room.store.transact(lambda db: [note(db, each) for each in updates])
    assert group_of(club) == before
