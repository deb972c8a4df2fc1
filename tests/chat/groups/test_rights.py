"""Who may set a group up, and that an office is asked for and forgotten in time."""

from __future__ import annotations

import pytest

from bot.accounts import people
from bot.chat.groups import Members
from bot.chat.presses import TOASTS
from tests.chat.conftest import OWNER, STRANGER, VIEWER, Chat
from tests.chat.groups.conftest import (
    TOPIC,
    bought,
    group_of,
    push,
    say,
    share,
    waiting,
)
from tests.chat.test_gate import CHANNEL, GROUP, person
from tests.trading.conftest import ANN, BOB, START_MS


async def test_group_unknown_to_the_bot_gets_one_line_with_its_id(real: Chat) -> None:
    """Whoever is let in hears whom to ask; nothing of the group is kept."""
    [told] = await say(real, "/group")
    assert told.splitlines()[1].startswith(f"Ask the bot's owner to allow this group: id {GROUP}.")
    assert group_of(real) is None


async def test_group_allow_is_for_administrators_of_the_bot(real: Chat) -> None:
    """A trader who administrates the group may not let the bot in there; the owner may."""
    real.telegram.administrators.add((GROUP, ANN))
    [told] = await say(real, "/group allow")
    assert ("administrators allow groups" in told, group_of(real)) == (True, None)
    real.telegram.fail("getChat", 500)
    await say(real, "/group allow", OWNER)
    assert group_of(real) is not None


async def test_group_forbid_forgets_all_of_it(club: Chat) -> None:
    """Set-up, shown fills and waiting posts go together."""
    share(club)
    await bought(club)
    assert waiting(club)
    await say(club, "/group forbid", OWNER)
    counts = [
        club.room.sql(f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in ("groups", "routes", "shared_fills")
    ]
    assert (counts, waiting(club)) == ([0, 0, 0], [])


WHO = {
    "the group's administrator, a trader": (ANN, {}, "fills are posted here from now on."),
    "a trader": (BOB, {}, "Only an administrator of this group may change that."),
    "the owner, no administrator of the group": (OWNER, {}, "Only an administrator of this group may change that."),
    "a viewer who administrates the group": (VIEWER, {}, "You may not do that."),
    "a stranger who administrates the group": (STRANGER, {}, ""),
    "an anonymous administrator": (
        ANN,
        {"from": person(1087968824, is_bot=True), "sender_chat": {"id": GROUP, "type": "supergroup", "title": "T"}},
        "You write as an anonymous administrator",
    ),
    "a channel": (ANN, {"from": person(136817688, is_bot=True), "sender_chat": CHANNEL}, ""),
    "in private": (ANN, {"chat_id": ANN, "kind": "private"}, "That is about one group."),
}


@pytest.mark.parametrize("who", WHO)
async def test_route_is_for_the_groups_administrators_who_may_trade(club: Chat, who: str) -> None:
    """Both offices are needed; who cannot be told apart hears why, who is nobody here hears nothing."""
    user_id, fields, expected = WHO[who]
    club.room.store.transact(lambda db: people.ensure_user(db, BOB, "trader", now_ms=START_MS))
    club.telegram.administrators |= {(GROUP, VIEWER), (GROUP, STRANGER)}
    told = await say(club, "/route fills here", user_id, **fields)
    assert [text.lower().startswith(expected.lower()) for text in told] == ([True] if expected else [])


async def test_anonymous_administrator_hears_why_once_a_minute_and_only_where_the_bot_is_allowed(club: Chat) -> None:
    """The line is no way to make the bot talk."""

    async def said(chat_id: int) -> int:
        own = {"id": chat_id, "type": "supergroup", "title": "T"}
        fields = {"chat_id": chat_id, "from": person(1087968824, is_bot=True), "sender_chat": own}
        return len(await say(club, "/mute 1h", **fields))

    assert [await said(GROUP), await said(GROUP), await said(GROUP - 1)] == [1, 0, 0]
    club.room.clock.advance(61)
    assert await said(GROUP) == 1


async def test_office_is_remembered_for_a_minute(club: Chat) -> None:
    """Telegram is asked once a minute; who lost the office a minute ago has lost it here."""
    for _ in range(3):
        await say(club, "/mute off")
    assert len(club.telegram.named("getChatMember")) == 1
    club.telegram.administrators.clear()
    club.room.clock.advance(60)
    [told] = await say(club, "/mute off")
    assert told.startswith("Only an administrator of this group")


async def test_office_that_telegram_does_not_tell_changes_nothing(club: Chat) -> None:
    """When Telegram fails, nobody is taken for an administrator, and hears why."""
    club.telegram.fail("getChatMember", 500)
    [told] = await say(club, "/route fills here", message_thread_id=TOPIC, is_topic_message=True)
    assert told.startswith("Telegram did not say whether you administrate this group.")
    assert waiting(club) == []


async def test_members_of_one_group_are_not_those_of_another(club: Chat) -> None:
    """An office in one group is none in the next."""
    members, bot = Members(), club.services.sender.bot
    assert [(await members.get(bot, each, ANN, 0.0)).is_administrator for each in (GROUP, GROUP - 1)] == [True, False]


async def test_card_button_of_an_administrator_counts_for_that_person_alone(club: Chat) -> None:
    """Another member's press changes nothing."""
    await say(club, "/group")
    assert await push(club, "Fills: silent", presser=OWNER) == TOASTS["not yours"]
    await push(club, "Fills: silent")
    found = group_of(club)
    assert found is not None
    assert {event: route.level for event, route in found.routes.items()} == {
        "fills": "silent",
        "alerts": "on",
        "signals": "on",
        "errors": "on",
    }


async def test_card_of_a_member_offers_their_own_fills_alone(club: Chat) -> None:
    """Who does not administrate the group gets no button that changes it."""
    await say(club, "/group", OWNER)
    labels = [key["text"] for row in club.telegram.shown[max(club.telegram.shown)][1] for key in row]
    assert labels == ["Show my fills here"]


async def test_card_button_after_the_office_was_lost_changes_nothing(club: Chat) -> None:
    """The office is asked for at the press, not at the card."""
    await say(club, "/group")
    club.telegram.administrators.clear()
    club.room.clock.advance(60)
    told = await push(club, "Let administrators post")
    assert told.startswith("Only an administrator of this group")
    found = group_of(club)
    assert found is not None
    assert found.posters == "traders"


async def test_signal_that_was_shown_first_is_not_posted_once_the_office_was_lost(club: Chat) -> None:
    """Who may post is asked for again when its author, who was shown what was left out, lets it be posted."""
    await say(club, "/group")
    await push(club, "Let administrators post")
    await say(club, "/signal BUY BTC/USDT 59500 SL 58000 to the moon")
    card = max(number for number, (text, _) in club.telegram.shown.items() if text.startswith("Post this signal?"))
    [data] = [key["callback_data"] for row in club.telegram.shown[card][1] for key in row if key["text"] == "Post it"]
    club.telegram.administrators.clear()
    club.room.clock.advance(60)
    await club.press(data, card)
    assert "In this group only its administrators may have something posted." in club.telegram.texts()[-1]
    assert club.room.sql("SELECT count(*) FROM signals")[0][0] == 0
