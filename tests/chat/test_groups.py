"""Groups: who may set one up, what is posted there, and that nobody's fills are shown who does not want it."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest
from telegram import Update

from bot.accounts import people
from bot.chat import commands
from bot.chat.groups import Members, note, read_event, read_length, read_quiet
from bot.chat.outbox import Outbox
from bot.contract.errors import UserError
from bot.trading import forget, groups, journal, notices
from bot.trading.groups import Group, Quiet, Route
from tests.chat.conftest import OWNER, STRANGER, VIEWER, Chat
from tests.chat.test_gate import CHANNEL, GROUP, message, person, update
from tests.trading.conftest import ANN, BOB, START_MS
from tests.trading.test_journal import apply, report

NEW_GROUP = -1_000_000_000_500
TOPIC = 42
IN_GROUP: dict[str, Any] = {"chat_id": GROUP, "kind": "supergroup"}
HOUR_MS = 3_600_000
_messages = itertools.count(7_000)


@pytest.fixture
async def club(real: Chat) -> Chat:
    """A chat with all commands and a group that the owner allowed, which Ann administrates."""
    real.room.store.transact(lambda db: people.ensure_user(db, OWNER, "admin", now_ms=START_MS))
    real.room.store.transact(lambda db: groups.allow(db, GROUP, "Traders", by=OWNER, owner=OWNER, now_ms=START_MS))
    real.telegram.administrators.add((GROUP, ANN))
    return real


async def say(chat: Chat, text: str, user_id: int = ANN, **fields: Any) -> list[str]:
    """Let somebody write in the group."""
    return await chat.say(text, user_id=user_id, **{**IN_GROUP, **fields})


async def push(chat: Chat, label: str, user_id: int = ANN, presser: int = 0) -> str:
    """Let somebody press a button of the newest card in the group; return the answer, or the card then."""
    card = max(chat.telegram.shown)
    keys = [key for row in chat.telegram.shown[card][1] for key in row]
    [data] = [key["callback_data"] for key in keys if key["text"] == label]
    before = len(chat.telegram.texts())
    [told] = await chat.press(data, card, user_id=presser or user_id, chat_id=GROUP, kind="supergroup")
    return told or "\n".join(chat.telegram.texts()[before:])


def share(chat: Chat, *, with_amounts: bool = False, user_id: int = ANN) -> None:
    now_ms = chat.room.clock.now_ms()
    chat.room.store.transact(
        lambda db: groups.share(
            db, GROUP, user_id, "@ann", with_amounts=with_amounts, is_administrator=False, now_ms=now_ms
        )
    )


async def bought(chat: Chat) -> Any:
    """Let an order of Ann's fill."""
    row = await chat.room.placed()
    told, now_ms = report(row, "filled", str(row.quantity)), chat.room.clock.now_ms()
    return chat.room.store.transact(lambda db: journal.apply_report(db, row.id, told, now_ms))


def posted(chat: Chat, chat_id: int = GROUP) -> list[dict[str, Any]]:
    """What was sent to the group, as (text, topic, whether silent)."""
    sent = chat.telegram.named("sendMessage")
    return [
        (each["text"], each.get("message_thread_id"), each.get("disable_notification", False))
        for each in sent
        if each["chat_id"] == chat_id
    ]


def waiting(chat: Chat) -> list[tuple[Any, ...]]:
    """What waits for groups, as (chat, topic, lane, kind)."""
    rows = chat.room.sql("SELECT chat_id, thread_id, lane, kind FROM outbox WHERE chat_id<0 ORDER BY id")
    return [tuple(row) for row in rows]


def group_of(chat: Chat, chat_id: int = GROUP) -> Group | None:
    return chat.room.store.transact(lambda db: groups.find(db, chat_id))


def member_update(chat: Chat, status: str, chat_id: int = GROUP) -> Update:
    """What Telegram tells when the bot is removed or added."""
    me = {"id": 9, "is_bot": True, "first_name": "Tradewire"}
    extra = {"until_date": 0} if status == "kicked" else {}
    return update(
        chat.services.sender.bot,
        my_chat_member={
            "chat": {"id": chat_id, "type": "supergroup", "title": "Traders"},
            "from": person(BOB),
            "date": START_MS // 1000,
            "old_chat_member": {"user": me, "status": "member"},
            "new_chat_member": {"user": me, "status": status, **extra},
        },
    )


def upgraded(chat: Chat) -> Update:
    """What Telegram writes in a group that became a supergroup."""
    told = message("", chat_id=GROUP, kind="group", migrate_to_chat_id=NEW_GROUP)
    return update(chat.services.sender.bot, message=told)


# Who may


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
    assert await push(club, "Fills: silent", presser=OWNER) == "This button belongs to someone else."
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


# Own fills


async def test_fill_without_opt_in_is_shown_nowhere(club: Chat) -> None:
    """Nobody's trading is told who did not ask for it."""
    await bought(club)
    assert waiting(club) == []


@pytest.mark.parametrize(
    ("presses", "expected"),
    [
        (["Show my fills here"], "🟢 @ann bought BTC/USDT"),
        (["Show my fills here", "Mine with amounts and prices"], "🟢 @ann bought 0.5 BTC at 58,000.00 USDT"),
        (
            ["Show my fills here", "Mine with amounts and prices", "Mine without amounts and prices"],
            "🟢 @ann bought BTC/USDT",
        ),
    ],
)
async def test_fill_is_shown_as_its_owner_allows(club: Chat, presses: list[str], expected: str) -> None:
    """Size and price are told only after a press of their own, and no more after the next."""
    await say(club, "/group")
    for label in presses:
        await push(club, label)
    row = await club.room.placed()
    apply(club.room, row, "filled", "0.5")
    before = len(posted(club))
    await club.outbox.step()
    assert posted(club)[before:] == [(expected, None, False)]


async def test_fill_and_its_post_are_committed_together(club: Chat) -> None:
    """Killed in the middle there is neither; killed after it there are both, and the next start tells it once."""
    share(club)
    row = await club.room.placed()
    await club.outbox.step()

    class Killed(Exception):
        pass

    def killed(db: Any) -> None:
        journal.apply_report(db, row.id, report(row, "filled", "0.5"), START_MS)
        assert db.execute("SELECT count(*) AS n FROM outbox WHERE chat_id=?", (GROUP,)).fetchone()["n"] == 1
        raise Killed

    with pytest.raises(Killed):
        club.room.store.transact(killed)
    assert (club.room.row(row).state, waiting(club)) == ("open", [])
    apply(club.room, row, "filled", "0.5")
    assert waiting(club) == [(GROUP, None, "result", "group_fill")]
    after_restart = Outbox(club.room.store, club.services.sender, club.room.gateway, club.room.clock)
    await after_restart.step()
    await after_restart.step()
    assert posted(club) == [("🟢 @ann bought BTC/USDT", None, False)]


async def test_fill_is_told_once_however_often_the_order_is_reported(club: Chat) -> None:
    """A part, the rest, and a fee told late make one post."""
    share(club)
    row = await club.room.placed()
    for state, filled, fee in (("partially_filled", "0.2", None), ("filled", "0.5", None), ("filled", "0.5", "0.1")):
        apply(club.room, row, state, filled, fee=fee and Decimal(fee))
        await club.outbox.step()
    assert club.room.row(row).fee == Decimal("0.1")
    assert len(posted(club)) == 1


async def test_canceled_order_is_told_only_when_something_filled(club: Chat) -> None:
    """An order that ends empty is nobody's news."""
    share(club)
    row = await club.room.placed()
    apply(club.room, row, "canceled")
    assert waiting(club) == []


async def test_opt_out_takes_back_what_waits(club: Chat) -> None:
    """From the press on nothing is shown, not even what was committed before it."""
    share(club)
    await say(club, "/group")
    await bought(club)
    assert len(waiting(club)) == 1
    await push(club, "Stop showing my fills")
    before = len(posted(club))
    await club.outbox.step()
    assert (posted(club)[before:], waiting(club)) == ([], [])


async def test_opt_out_from_the_private_settings_takes_back_what_waits(club: Chat) -> None:
    """Nobody has to go back to the group to stop it."""
    share(club)
    await bought(club)
    await club.say("/settings")
    card = max(club.telegram.shown)
    keys = [key for row in club.telegram.shown[card][1] for key in row]
    [data] = [key["callback_data"] for key in keys if key["text"] == "Stop showing them in Traders"]
    await club.press(data, card)
    assert (waiting(club), club.room.sql("SELECT * FROM shared_fills")) == ([], [])


async def test_amounts_withdrawn_while_a_post_waits_are_not_told(club: Chat) -> None:
    """A post is drawn as its owner wants it when it is sent."""
    share(club, with_amounts=True)
    await bought(club)
    share(club, with_amounts=False)
    await club.outbox.step()
    assert posted(club) == [("🟢 @ann bought BTC/USDT", None, False)]


async def test_opt_in_where_only_administrators_post_is_refused_to_others(club: Chat) -> None:
    """The group decides who may have something posted; those shown before are shown no more."""
    club.room.store.transact(lambda db: people.ensure_user(db, BOB, "trader", now_ms=START_MS))
    share(club, user_id=BOB)
    share(club)
    await say(club, "/group")
    await push(club, "Let administrators post")
    assert [row["user_id"] for row in club.room.sql("SELECT user_id FROM shared_fills")] == [ANN]
    with pytest.raises(UserError, match="only its administrators"):
        share(club, user_id=BOB)


async def test_blocked_person_is_shown_no_more(club: Chat) -> None:
    """Who was blocked trades no more, and an order that fills after that is not told."""
    share(club)
    row = await club.room.placed()
    club.room.sql("UPDATE users SET role='blocked' WHERE id=?", ANN)
    apply(club.room, row, "filled", "0.5")
    assert waiting(club) == []


async def test_forgotten_person_is_shown_no_more(club: Chat) -> None:
    """The name that a group was told goes, and so does what waits."""
    share(club)
    await bought(club)
    club.room.store.transact(lambda db: forget.erase(db, ANN, START_MS))
    assert (waiting(club), club.room.sql("SELECT * FROM shared_fills")) == ([], [])


# How it is posted


async def test_route_sends_to_the_topic_where_it_was_written(club: Chat) -> None:
    """Answer and posts appear in that topic; the other kinds stay where they were."""
    share(club)
    await say(club, "/route fills here", message_thread_id=TOPIC, is_topic_message=True)
    await bought(club)
    club.room.store.transact(
        lambda db: groups.post(db, "errors", kind="note", payload={"text": "Halted."}, now_ms=START_MS)
    )
    await club.outbox.step()
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


# The group itself


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
    await club.inbox.take([moved])
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
    await club.inbox.take([member_update(club, "kicked")])
    await club.inbox.take([club.written("/group", **IN_GROUP)])
    await bought(club)
    assert len(waiting(club)) == 1


async def test_note_of_other_updates_changes_nothing(club: Chat) -> None:
    """A private message or a press says nothing of a group."""
    before = group_of(club)
    updates = [club.written("/x"), club.pressed("c1:x", 1), club.written("hello", **IN_GROUP)]
    club.room.store.transact(lambda db: [note(db, each) for each in updates])
    assert group_of(club) == before


# Private answers


async def test_private_question_in_a_group_is_answered_by_a_link(club: Chat) -> None:
    """Nothing personal is said there; the link asks the same in private."""
    links = {}
    for text in ("/balance", "/order 42", "/orders BTC/USDT", "/buy BTC/USDT $50"):
        assert await say(club, text) == ["I answer that in our private chat only."]
        links[text] = club.telegram.named("sendMessage")[-1]["reply_markup"]["inline_keyboard"][0][0]["url"]
    assert links == {
        "/balance": "https://t.me/Tradewire_bot?start=ask_balance",
        "/order 42": "https://t.me/Tradewire_bot?start=ask_order_42",
        "/orders BTC/USDT": "https://t.me/Tradewire_bot?start=ask_orders",
        "/buy BTC/USDT $50": "https://t.me/Tradewire_bot",
    }


async def test_link_asks_only_what_reads_and_only_what_its_sender_may(club: Chat) -> None:
    """Anybody can write a link: it changes nothing, and it gives nobody a right."""
    [balance] = await club.say("/start ask_history")
    [plain] = await club.say("/start")
    assert balance != plain
    assert [await club.say(f"/start {args}") for args in ("ask_panic", "ask_forgetme", "ask_", "ask_nothing")] == [
        [plain]
    ] * 4
    assert await club.say("/start ask_users", user_id=VIEWER) == [
        "You may not do that. Ask the operator if you should."
    ]


def test_links_ask_these_commands_and_no_others() -> None:
    """Whoever adds a command that a link may ask is asked here whether it changes anything."""
    known = commands.registry()
    asked = {name for name in known.commands if known.linked("start", f"ask_{name}") != ("start", f"ask_{name}")}
    assert asked == {
        *("audit", "balance", "diag", "export", "history", "ip", "order", "orders", "pnl", "status", "trade", "users"),
        "why",
    }


# Words


@pytest.mark.parametrize(
    ("quiet", "hour", "expected"),
    [
        (Quiet(22 * 60, 7 * 60, "UTC"), 23, True),
        (Quiet(22 * 60, 7 * 60, "UTC"), 6, True),
        (Quiet(22 * 60, 7 * 60, "UTC"), 7, False),
        (Quiet(12 * 60, 14 * 60, "UTC"), 13, True),
        (Quiet(12 * 60, 14 * 60, "UTC"), 14, False),
        (Quiet(22 * 60, 7 * 60, "Asia/Taipei"), 15, True),
        (Quiet(22 * 60, 7 * 60, "Asia/Taipei"), 23, False),
    ],
)
def test_quiet_hours_hold_in_their_time_zone(quiet: Quiet, hour: int, expected: bool) -> None:
    """Over midnight as well."""
    midnight_ms = START_MS // 86_400_000 * 86_400_000
    assert quiet.holds(midnight_ms + hour * HOUR_MS) is expected


def test_words_are_read_or_refused() -> None:
    """What is no time, no zone and no event is refused in a sentence."""
    assert (read_length("1h"), read_length("OFF"), read_length("2d")) == (HOUR_MS, 0, 48 * HOUR_MS)
    assert read_quiet("22:00-07:00", "Europe/Berlin") == Quiet(1320, 420, "Europe/Berlin")
    assert (read_quiet("8h", ""), read_event("Fill"), read_event("errors")) == (None, "fills", "errors")
    for wrong in ("", "0h", "31d", "8", "soon"):
        with pytest.raises(UserError, match="how long"):
            read_length(wrong)
    for hours, zone in (("24:00-07:00", ""), ("07:00-07:00", "")):
        with pytest.raises(UserError, match="two different times"):
            read_quiet(hours, zone)
    for zone in ("Mars/Base", "../etc/passwd", "/etc/localtime"):
        with pytest.raises(UserError, match="no time zone"):
            read_quiet("22:00-07:00", zone)
    for wrong in ("", "s", "fees", "all"):
        with pytest.raises(UserError, match="fills, alerts, signals or errors"):
            read_event(wrong)


def test_park_and_unpark_of_a_private_chat_touch_no_group(club: Chat) -> None:
    """People block the bot, too."""
    before = group_of(club)
    club.room.store.transact(lambda db: notices.park(db, ANN))
    assert group_of(club) == before
