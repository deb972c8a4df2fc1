import asyncio
import struct
from datetime import timedelta

import pytest
from telegram import Bot, BotCommand, CopyTextButton, MessageEntity, ReplyParameters
from telegram import InlineKeyboardButton as Button
from telegram import InlineKeyboardMarkup as Keyboard
from telegram.error import BadRequest, Conflict, EndPointNotFound, Forbidden, InvalidToken, RetryAfter

from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram

pytestmark = pytest.mark.network

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 320, 200) + b"\x00" * 16
CONFIRM = Keyboard([[Button("Confirm", callback_data="c1", style="success")]])


async def test_get_me_with_a_wrong_token_is_unauthorized(server: LocalServer) -> None:
    """Another token is nobody's: the library raises what it raises for the real server."""
    with pytest.raises(InvalidToken, match="rejected by the server"):
        async with Bot("1:wrong", base_url=server.base_url):
            pass


async def test_send_message_with_everything_comes_back_as_sent(bot: Bot, telegram: LocalTelegram) -> None:
    """Text, entities, reply and buttons survive the way there and back."""
    asked = telegram.say(11, 11, "/buy")
    sent = await bot.send_message(
        11,
        "🚀 123 sure?",
        entities=[MessageEntity("bold", 3, 3)],
        reply_parameters=ReplyParameters(asked.id),
        reply_markup=CONFIRM,
    )
    assert (sent.text, sent.parse_entities(), sent.reply_to_message.text, sent.reply_markup) == (
        "🚀 123 sure?",
        {MessageEntity("bold", 3, 3): "123"},
        "/buy",
        CONFIRM,
    )
    assert telegram.last(11).buttons == [["Confirm"]]


async def test_send_message_that_looks_like_json_stays_text(bot: Bot, telegram: LocalTelegram) -> None:
    """A text of digits is no number."""
    await bot.send_message(11, "123")
    assert telegram.last(11).text == "123"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"chat_id": 99, "text": "a"}, "Chat not found"),
        ({"chat_id": 11, "text": " "}, "Message text is empty"),
        ({"chat_id": 11, "text": "x" * 4097}, "Message is too long"),
        ({"chat_id": 11, "text": "ab", "entities": [MessageEntity("bold", 1, 2)]}, "Entity_bounds_invalid"),
        ({"chat_id": 11, "text": "a", "parse_mode": "HTML"}, "takes entities, not parse_mode"),
        ({"chat_id": 11, "text": "a", "reply_parameters": ReplyParameters(9)}, "Message to be replied not found"),
        ({"chat_id": 11, "text": "a", "message_thread_id": 5}, "Message thread not found"),
    ],
)
async def test_send_message_refused_by_telegram_is_a_bad_request(bot: Bot, parameters: dict, message: str) -> None:
    """What the real server refuses is refused here, so that a test finds it."""
    with pytest.raises(BadRequest, match=f"(?i){message}"):
        await bot.send_message(**parameters)


@pytest.mark.parametrize(
    ("button", "message"),
    [
        (Button("a", callback_data="x" * 65), "BUTTON_DATA_INVALID"),
        (Button("a", callback_data="é" * 33), "BUTTON_DATA_INVALID"),
        (Button("a", url="javascript:alert(1)"), "BUTTON_URL_INVALID"),
        (Button("a", copy_text=CopyTextButton("x" * 257)), "BUTTON_COPY_TEXT_INVALID"),
        (Button(" ", callback_data="a"), "text is empty"),
        (Button("a"), "text buttons are unallowed"),
        (Button("a", callback_data="a", url="https://example.com"), "text buttons are unallowed"),
        (Button("a", callback_data="a", style="loud"), "BUTTON_STYLE_INVALID"),
    ],
)
async def test_send_message_with_a_bad_button_is_refused(bot: Bot, button: Button, message: str) -> None:
    """Callback data has 1 to 64 bytes, and a button does exactly one thing."""
    with pytest.raises(BadRequest, match=f"(?i){message}"):
        await bot.send_message(11, "a", reply_markup=Keyboard([[button]]))


async def test_send_message_to_somebody_who_blocked_the_bot_is_forbidden(bot: Bot, telegram: LocalTelegram) -> None:
    """A bot may not write to people who do not want it."""
    telegram.blocked.add(11)
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(11, "hello")


async def test_edit_message_text_without_a_keyboard_removes_the_buttons(bot: Bot, telegram: LocalTelegram) -> None:
    """An edit replaces the whole message, buttons included, and keeps its id."""
    sent = await bot.send_message(11, "sure?", reply_markup=CONFIRM)
    await bot.edit_message_text("done", 11, sent.message_id)
    message = telegram.last(11)
    assert (message.id, message.text, message.buttons) == (sent.message_id, "done", [])


async def test_edit_message_text_that_changes_nothing_is_refused(bot: Bot) -> None:
    """The same text and the same buttons again are an error at Telegram."""
    sent = await bot.send_message(11, "sure?", reply_markup=CONFIRM)
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_text("sure?", 11, sent.message_id, reply_markup=CONFIRM)
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_reply_markup(11, sent.message_id, reply_markup=CONFIRM)


async def test_edit_message_text_of_a_missing_or_foreign_message_is_refused(bot: Bot, telegram: LocalTelegram) -> None:
    """A bot edits only what it wrote itself and what is still there."""
    theirs = telegram.say(11, 11, "hello")
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("x", 11, 77)
    with pytest.raises(BadRequest, match="Message can't be edited"):
        await bot.edit_message_text("x", 11, theirs.id)


async def test_delete_message_removes_private_ones_and_spares_the_groups(bot: Bot, telegram: LocalTelegram) -> None:
    """A key pasted in the private chat can be deleted; in a group the bot would have to administrate it."""
    secret, talk = telegram.say(11, 11, "my key"), telegram.say(11, -1001, "hello")
    await bot.delete_message(11, secret.id)
    with pytest.raises(BadRequest, match="Message can't be deleted"):
        await bot.delete_message(-1001, talk.id)
    with pytest.raises(BadRequest, match="Message to delete not found"):
        await bot.delete_message(11, secret.id)
    assert (telegram.messages(11), telegram.messages(-1001)) == ([], [talk])


async def test_answer_callback_query_is_kept_for_who_pressed(bot: Bot, telegram: LocalTelegram) -> None:
    """A press arrives as a callback query, and its answer is a toast for that person."""
    sent = await bot.send_message(-1001, "sure?", reply_markup=CONFIRM)
    telegram.press(12, -1001, sent.message_id, "Confirm")
    query = (await bot.get_updates())[0].callback_query
    await bot.answer_callback_query(query.id, "Sent", show_alert=True)
    answer = telegram.answers[0]
    assert (query.data, query.from_user.id, query.message.message_id) == ("c1", 12, sent.message_id)
    assert (answer.person_id, answer.text, answer.is_alert) == (12, "Sent", True)


async def test_answer_callback_query_unknown_or_long_is_refused(bot: Bot, telegram: LocalTelegram) -> None:
    """An old query cannot be answered any more, and a toast has 200 characters at most."""
    sent = await bot.send_message(11, "sure?", reply_markup=CONFIRM)
    query_id = telegram.press(11, 11, sent.message_id, "Confirm")
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_callback_query("1")
    with pytest.raises(BadRequest, match=r"(?i)message_too_long"):
        await bot.answer_callback_query(query_id, "x" * 201)


async def test_get_updates_long_poll_answers_when_somebody_writes(bot: Bot, telegram: LocalTelegram) -> None:
    """The library's own polling call waits on the server and gets the message at once."""
    poll = asyncio.create_task(bot.get_updates(timeout=60))
    await telegram.wait(lambda t: ("getUpdates", {"timeout": 60}) in t.calls)
    telegram.say(11, 11, "/start")
    updates = await poll
    confirmed = await bot.get_updates(offset=updates[-1].update_id + 1)
    assert ([update.message.text for update in updates], confirmed) == (["/start"], ())


async def test_get_updates_with_a_webhook_set_conflicts(bot: Bot) -> None:
    """Polling and webhooks exclude each other until the webhook is deleted."""
    await bot.set_webhook("https://example.com/hook")
    with pytest.raises(Conflict, match="webhook is active"):
        await bot.get_updates()
    await bot.delete_webhook()
    assert ((await bot.get_webhook_info()).url, await bot.get_updates()) == ("", ())


async def test_fail_next_reaches_the_library_as_its_exception_once(
    bot: Bot, telegram: LocalTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test can make the next call fail as Telegram does; the one after it works."""
    monkeypatch.setenv("PTB_TIMEDELTA", "1")
    telegram.fail_next("sendMessage", 429, {"parameters": {"retry_after": 7}})
    with pytest.raises(RetryAfter) as caught:
        await bot.send_message(11, "a")
    assert caught.value.retry_after == timedelta(seconds=7)
    await bot.send_message(11, "b")
    assert [message.text for message in telegram.messages(11)] == ["b"]


async def test_calls_hold_what_the_bot_asked_for_decoded(bot: Bot, telegram: LocalTelegram) -> None:
    """Tests read calls as values, not as form fields."""
    telegram.calls.clear()
    await bot.send_message(11, "5", reply_markup=Keyboard([[Button("a", callback_data="1")]]))
    assert telegram.calls == [
        (
            "sendMessage",
            {
                "chat_id": 11,
                "text": "5",
                "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "1"}]]},
            },
        )
    ]


async def test_unknown_and_unsupported_methods_are_not_found(bot: Bot, telegram: LocalTelegram) -> None:
    """A method this server does not know answers as an older real one would."""
    with pytest.raises(EndPointNotFound):
        await bot.do_api_request("sendTelepathy", {"chat_id": 11})
    telegram.unsupported.add("sendMessage")
    with pytest.raises(InvalidToken, match="Not Found"):
        await bot.send_message(11, "a")


async def test_send_photo_and_document_can_be_fetched_again(bot: Bot, telegram: LocalTelegram) -> None:
    """Uploads arrive whole, pictures with their size, and download under the id they got."""
    photo = await bot.send_photo(11, PNG, caption="chart")
    document = await bot.send_document(11, b"a,b\n1,2\n", filename="fills.csv")
    size = photo.photo[0]
    downloaded = await (await bot.get_file(document.document.file_id)).download_as_bytearray()
    assert (size.width, size.height, photo.caption) == (320, 200, "chart")
    assert (document.document.file_name, bytes(downloaded)) == ("fills.csv", b"a,b\n1,2\n")
    await bot.send_photo(11, size.file_id)
    assert telegram.last(11).file is telegram.messages(11)[0].file


async def test_send_photo_that_is_no_picture_is_refused(bot: Bot) -> None:
    """Bytes that are no picture cannot be a photo."""
    with pytest.raises(BadRequest, match=r"(?i)image_process_failed"):
        await bot.send_photo(11, b"not a picture")


async def test_get_file_sent_by_a_person_downloads(bot: Bot, telegram: LocalTelegram) -> None:
    """What a person uploads reaches the bot."""
    telegram.send_file(11, 11, "keys.txt", b"sealed")
    file_id = (await bot.get_updates())[0].message.document.file_id
    assert bytes(await (await bot.get_file(file_id)).download_as_bytearray()) == b"sealed"


async def test_set_my_commands_bad_names_are_refused_and_good_ones_kept(bot: Bot) -> None:
    """The menu takes lower-case names only, and gives back what it took."""
    with pytest.raises(BadRequest, match=r"(?i)bot_command_invalid"):
        await bot.set_my_commands([("Buy-now", "Buy")])
    await bot.set_my_commands([("buy", "Buy a coin")])
    assert await bot.get_my_commands() == (BotCommand("buy", "Buy a coin"),)
    await bot.delete_my_commands()
    assert await bot.get_my_commands() == ()


async def test_get_chat_and_members_parse_in_the_library(bot: Bot) -> None:
    """The library finds every field that it insists on, and people have the role they were given."""
    telegram_chat = await bot.get_chat(-1001)
    admins = await bot.get_chat_administrators(-1001)
    statuses = [(await bot.get_chat_member(-1001, person)).status for person in (11, 12, bot.id)]
    assert (telegram_chat.title, telegram_chat.type) == ("Traders", "supergroup")
    assert ([admin.user.id for admin in admins], statuses) == ([12], ["member", "administrator", "member"])


async def test_pin_chat_message_in_a_group_needs_rights(bot: Bot, telegram: LocalTelegram) -> None:
    """The bot pins in private chats, and in groups only as an administrator."""
    board, talk = await bot.send_message(11, "board"), await bot.send_message(-1001, "board")
    await bot.pin_chat_message(11, board.message_id)
    with pytest.raises(BadRequest, match="Not enough rights"):
        await bot.pin_chat_message(-1001, talk.message_id)
    assert (telegram.last(11).is_pinned, telegram.last(-1001).is_pinned) == (True, False)
