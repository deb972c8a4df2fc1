import asyncio

import pytest

from bot.local.models import ApiError
from bot.local.telegram import LocalTelegram

YES = [[{"text": "✅ Confirm", "callback_data": "c1"}, {"text": "✖ Cancel", "callback_data": "x1"}]]


async def pending(telegram: LocalTelegram) -> list[dict]:
    return await telegram.take_updates(0, 100, 0, None)


async def test_say_with_a_date_reaches_the_bot_as_written_then(telegram: LocalTelegram) -> None:
    """A message can be made to arrive late: its date is when it was written."""
    telegram.say(11, 11, "/buy BTC/USDT 1", date=1_763_999_000)
    assert [update["message"] for update in await pending(telegram)] == [
        {
            "message_id": 1,
            "from": {"id": 11, "is_bot": False, "first_name": "Ann", "username": "ann"},
            "chat": {"id": 11, "type": "private", "first_name": "Ann", "username": "ann"},
            "date": 1_763_999_000,
            "text": "/buy BTC/USDT 1",
            "entities": [{"type": "bot_command", "offset": 0, "length": 4}],
        }
    ]


async def test_say_in_a_group_reaches_the_bot_only_if_meant_for_it(telegram: LocalTelegram) -> None:
    """With privacy mode on, the bot sees commands, mentions and replies to itself, and no talk."""
    own = telegram.post(telegram.chats[-1001], telegram.bot, text="hello")
    telegram.say(11, -1001, "good morning")
    telegram.say(11, -1001, "/price BTC/USDT")
    telegram.say(11, -1001, "/price@other_bot BTC/USDT")
    telegram.say(11, -1001, "/price@tradewire_bot BTC/USDT")
    telegram.say(11, -1001, "half", reply_to=own.id)
    seen = [update["message"]["text"] for update in await pending(telegram)]
    assert seen == ["/price BTC/USDT", "/price@tradewire_bot BTC/USDT", "half"]


async def test_say_where_the_bot_is_administrator_always_reaches_it(telegram: LocalTelegram) -> None:
    """Privacy mode does not apply to a bot that administrates the group."""
    telegram.add_group(-1002, "Desk", [11], bot_is_admin=True)
    telegram.say(11, -1002, "good morning")
    assert [update["message"]["text"] for update in await pending(telegram)] == ["good morning"]


def test_say_in_a_strange_chat_is_refused(telegram: LocalTelegram) -> None:
    """Nobody writes where they are not a member."""
    with pytest.raises(LookupError, match=r"Bob \(12\) is not in chat 11\."):
        telegram.say(12, 11, "hello")


async def test_edit_by_its_writer_reaches_the_bot_as_edited(telegram: LocalTelegram) -> None:
    """An edited command arrives as `edited_message` with its new entities, under its old id."""
    message = telegram.say(11, 11, "hello")
    telegram.edit(11, 11, message.id, "/panic")
    update = (await pending(telegram))[-1]["edited_message"]
    assert (update["message_id"], update["text"], update["entities"], "edit_date" in update) == (
        1,
        "/panic",
        [{"type": "bot_command", "offset": 0, "length": 6}],
        True,
    )


async def test_press_by_label_sends_the_data_and_who_pressed(telegram: LocalTelegram) -> None:
    """A press carries the button's data, the message, and the person, who need not own it."""
    message = telegram.post(telegram.chats[-1001], telegram.bot, text="sure?", keyboard=YES)
    query_id = telegram.press(12, -1001, message.id, "confirm")
    query = (await pending(telegram))[0]["callback_query"]
    assert (query["id"], query["from"]["id"], query["message"]["message_id"], query["data"]) == (query_id, 12, 1, "c1")


@pytest.mark.parametrize("button", ["Buy", "C"])
def test_press_of_no_or_several_buttons_is_refused_with_their_names(telegram: LocalTelegram, button: str) -> None:
    """A test that presses a button by a wrong or doubtful name learns which ones there are."""
    message = telegram.post(telegram.chats[11], telegram.bot, text="sure?", keyboard=YES)
    with pytest.raises(LookupError, match=r"\['✅ Confirm', '✖ Cancel'\]"):
        telegram.press(11, 11, message.id, button)


async def test_press_of_a_removed_button_only_works_when_stale(telegram: LocalTelegram) -> None:
    """A second tap on a slow phone presses what an edit has taken away, and only on purpose."""
    message = telegram.post(telegram.chats[11], telegram.bot, text="sure?", keyboard=YES)
    telegram.change(message, text="done", keyboard=[])
    with pytest.raises(LookupError):
        telegram.press(11, 11, message.id, "Confirm")
    telegram.press(11, 11, message.id, "Confirm", stale=True)
    assert [update["callback_query"]["data"] for update in await pending(telegram)] == ["c1"]


async def test_take_updates_unconfirmed_are_delivered_again(telegram: LocalTelegram) -> None:
    """An update stays until a call's offset is above it."""
    telegram.say(11, 11, "one")
    telegram.say(11, 11, "two")
    first = await telegram.take_updates(0, 100, 0, None)
    again = await telegram.take_updates(first[0]["update_id"], 1, 0, None)
    rest = await telegram.take_updates(first[1]["update_id"], 100, 0, None)
    none = await telegram.take_updates(first[1]["update_id"] + 1, 100, 0, None)
    assert (again, rest, none) == (first[:1], first[1:], [])


async def test_take_updates_negative_offset_keeps_only_the_newest(telegram: LocalTelegram) -> None:
    """A negative offset counts from the end and forgets all before."""
    for text in ("one", "two", "three"):
        telegram.say(11, 11, text)
    newest = await telegram.take_updates(-1, 100, 0, None)
    assert ([update["message"]["text"] for update in newest], telegram.pending_updates) == (["three"], 1)


async def test_take_updates_waiting_wakes_at_the_first_update(telegram: LocalTelegram) -> None:
    """A long poll answers as soon as there is something, not at its timeout."""
    poll = asyncio.create_task(telegram.take_updates(0, 100, 3600, None))
    await asyncio.sleep(0)
    telegram.say(11, 11, "/start")
    assert [update["message"]["text"] for update in await poll] == ["/start"]


async def test_take_updates_second_poll_ends_the_first(telegram: LocalTelegram) -> None:
    """Two copies of a bot fight: the older poll gets the real server's conflict."""
    first = asyncio.create_task(telegram.take_updates(0, 100, 3600, None))
    await asyncio.sleep(0)
    await telegram.take_updates(0, 100, 0, None)
    with pytest.raises(ApiError, match="Conflict: terminated by other getUpdates request"):
        await first


async def test_take_updates_of_some_kinds_never_queues_others(telegram: LocalTelegram) -> None:
    """`allowed_updates` holds for what happens after it was given."""
    await telegram.take_updates(0, 100, 0, {"callback_query"})
    telegram.say(11, 11, "/start")
    assert telegram.pending_updates == 0


async def test_wait_returns_the_value_once_a_change_makes_it_true(telegram: LocalTelegram) -> None:
    """A test waits for what it wants to see, and gets it."""
    waiting = asyncio.create_task(telegram.wait(lambda t: t.last(11).text))
    await asyncio.sleep(0)
    telegram.say(11, 11, "hello")
    assert await waiting == "hello"


async def test_wait_in_vain_shows_what_the_chats_hold(telegram: LocalTelegram) -> None:
    """A wait that fails says what happened instead."""
    telegram.say(11, -1001, "good morning")
    with pytest.raises(TimeoutError, match=r"Waited 0 s in vain.*\nTraders · Ann: 'good morning'"):
        await telegram.wait(lambda t: None, timeout=0)


def test_menu_narrowest_scope_wins(telegram: LocalTelegram) -> None:
    """Bob administrates the group and sees its administrators' list; Ann sees the list of all groups."""
    telegram.set_commands('{"type": "default"}', "", [{"command": "start", "description": "s"}])
    telegram.set_commands('{"type": "all_group_chats"}', "", [{"command": "price", "description": "p"}])
    telegram.set_commands('{"type": "all_chat_administrators"}', "", [{"command": "route", "description": "r"}])
    ann, bob = telegram.people[11], telegram.people[12]
    menus = [telegram.menu(ann, telegram.chats[11]), *(telegram.menu(p, telegram.chats[-1001]) for p in (ann, bob))]
    assert [menu[0]["command"] for menu in menus] == ["start", "price", "route"]
