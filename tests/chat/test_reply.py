"""Sending: buttons become rows, the message binds them. Its fake Telegram answers the real client without a socket."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from telegram import Bot
from telegram.error import BadRequest
from telegram.request import BaseRequest, RequestData

from bot.chat.reply import Copy, Link, Photo, Reply, Sender, packed, say, unpacked
from bot.chat.text import LONGEST, Text
from bot.local.api import MEMBER_RIGHTS
from bot.redact import Redactor
from bot.store.database import Store
from bot.trading import confirm
from bot.trading.confirm import Button, Press
from tests.trading.conftest import ANN, CHAT, FakeClock

TOKEN = "123456789:a-token-that-only-tests-have-0123456789"
ME = {"id": 9, "is_bot": True, "first_name": "Tradewire", "username": "Tradewire_bot"}


class FakeTelegram(BaseRequest):
    """The far end of the Bot API: keeps what the chats show.

    Attributes:
        calls: Every call as (method, parameters), also those that failed.
        shown: Message id to its text and buttons, as the chat shows it now.
        failures: Method to the answers of its next calls: (HTTP status, description, extra parameters).
        administrators: (Chat, person) of those who administrate a group.
        gate: Where a call waits before it is answered, when there is one.
        arrived: Set by each call.
    """

    read_timeout = 1.0

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.shown: dict[int, tuple[str, list[list[dict[str, Any]]]]] = {}
        self.failures: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
        self.administrators: set[tuple[int, int]] = set()
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Event()

    async def initialize(self) -> None:
        pass

    async def shutdown(self) -> None:
        pass

    def fail(self, method: str, status: int, description: str = "nope", **extra: Any) -> None:
        self.failures.setdefault(method, []).append((status, description, extra))

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *_: Any, **__: Any
    ) -> tuple[int, bytes]:
        name = url.rpartition("/")[2]
        values = request_data.parameters if request_data else {}
        self.calls.append((name, values))
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failures.get(name):
            status, text, extra = self.failures[name].pop(0)
            return status, json.dumps(
                {"ok": False, "error_code": status, "description": text, "parameters": extra}
            ).encode()
        return 200, json.dumps({"ok": True, "result": self._answer(name, values)}).encode()

    def _answer(self, name: str, values: dict[str, Any]) -> Any:
        if name == "getMe":
            return ME
        if name == "getChatMember":
            is_one = (values["chat_id"], values["user_id"]) in self.administrators
            rights = dict.fromkeys(MEMBER_RIGHTS, False)
            user = {"id": values["user_id"], "is_bot": False, "first_name": "Ann", "username": "ann"}
            return {"user": user, **({"status": "administrator", **rights} if is_one else {"status": "member"})}
        if name not in ("sendMessage", "editMessageText"):
            return True
        message_id = values.get("message_id") or 500 + len(self.shown)
        self.shown[message_id] = values["text"], (values.get("reply_markup") or {}).get("inline_keyboard", [])
        chat = {"id": values["chat_id"], "type": "private"}
        return {"message_id": message_id, "date": 1, "chat": chat, "from": ME, "text": values["text"]}

    def named(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every call of `method`."""
        return [values for name, values in self.calls if name == method]

    def texts(self) -> list[str]:
        """What was sent or edited, in order."""
        return [values["text"] for name, values in self.calls if name in ("sendMessage", "editMessageText")]

    def data(self, message_id: int) -> list[str]:
        """The callback data under a message."""
        return [key["callback_data"] for row in self.shown[message_id][1] for key in row if "callback_data" in key]


async def connected(telegram: FakeTelegram) -> Bot:
    """The library's client, talking to `telegram`."""
    bot = Bot(TOKEN, request=telegram, get_updates_request=telegram)
    await bot.initialize()
    return bot


@dataclass
class Desk:
    """A sender between a fake Telegram and a real database."""

    telegram: FakeTelegram
    sender: Sender
    store: Store
    clock: FakeClock

    async def send(self, reply: Reply, message_id: int | None = None) -> int:
        return await self.sender.send(reply, chat_id=CHAT, user_id=ANN, message_id=message_id)

    def press(self, data: str, message_id: int, *, user_id: int = ANN, chat_id: int = CHAT) -> Any:
        now_ms = self.clock.now_ms()
        return self.store.transact(
            lambda db: confirm.redeem(db, data, user_id=user_id, chat_id=chat_id, message_id=message_id, now_ms=now_ms)
        )


@pytest.fixture
async def desk(tmp_path: Path) -> Any:
    telegram, clock, store = FakeTelegram(), FakeClock(), Store(tmp_path / "tradewire.db")
    yield Desk(telegram, Sender(await connected(telegram), store, clock), store, clock)
    store.close()


@pytest.fixture
def redactor(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    """A filter of this test's own."""
    own = Redactor()
    monkeypatch.setattr("bot.chat.reply.redactor", own)
    return own


REPLY = say("Sure?", (Button("Yes", "yes", {"n": 1}), Button("No", "no")))


async def test_send_binds_new_buttons_to_the_message_telegram_made(desk: Desk) -> None:
    """A button works in its message and chat, for its person; its data carries nothing but a random number."""
    message_id = await desk.send(REPLY)
    yes, no = desk.telegram.data(message_id)
    assert [len(data) for data in (yes, no)] == [25, 25]
    assert desk.press(yes, message_id + 1) == "unknown"
    assert desk.press(yes, message_id, chat_id=CHAT + 1) == "unknown"
    assert desk.press(yes, message_id, user_id=ANN + 1) == "not yours"
    assert desk.press(yes, message_id) == Press("yes", {"n": 1}, None, None)
    assert desk.press(yes, message_id) == "used"


async def test_send_not_taken_by_telegram_leaves_buttons_that_nobody_can_press(desk: Desk) -> None:
    """Until Telegram made a message of them, buttons belong to none and do nothing."""
    desk.telegram.fail("sendMessage", 400)
    with pytest.raises(BadRequest):
        await desk.send(REPLY)
    data = json.loads(json.dumps(desk.telegram.named("sendMessage")[0]["reply_markup"]))["inline_keyboard"][0]
    assert [desk.press(each["callback_data"], 500) for each in data] == ["unknown", "unknown"]


async def test_edit_kills_the_buttons_that_were_there_before(desk: Desk) -> None:
    """After an edit, a press that was made on the old keyboard does nothing; the new keyboard works."""
    message_id = await desk.send(REPLY)
    old = desk.telegram.data(message_id)
    assert await desk.send(REPLY, message_id) == message_id
    new = desk.telegram.data(message_id)
    assert desk.press(old[0], message_id) == "expired"
    assert isinstance(desk.press(new[0], message_id), Press)


async def test_edit_without_buttons_takes_the_keyboard_away(desk: Desk) -> None:
    """A reply without buttons leaves none on the message, and none that could be pressed."""
    message_id = await desk.send(REPLY)
    old = desk.telegram.data(message_id)
    await desk.send(say("Done"), message_id)
    assert desk.telegram.shown[message_id] == ("Done", [])
    assert desk.press(old[0], message_id) == "expired"


@pytest.mark.parametrize(
    "description",
    [
        "Bad Request: message to edit not found",
        "Bad Request: message can't be edited",
        "Bad Request: MESSAGE_ID_INVALID",
    ],
)
async def test_edit_of_a_vanished_message_sends_anew(desk: Desk, description: str) -> None:
    """A card that the person deleted comes back as a new message whose buttons work there."""
    message_id = await desk.send(REPLY)
    desk.telegram.fail("editMessageText", 400, description)
    again = await desk.send(REPLY, message_id)
    assert again != message_id
    assert isinstance(desk.press(desk.telegram.data(again)[0], again), Press)


async def test_edit_that_changes_nothing_is_a_success(desk: Desk) -> None:
    """Telegram refuses an edit to the same text; the message is then as it should be."""
    message_id = await desk.send(say("x"))
    desk.telegram.fail("editMessageText", 400, "Bad Request: message is not modified: the same")
    assert await desk.send(say("x"), message_id) == message_id
    assert len(desk.telegram.named("sendMessage")) == 1


async def test_edit_refused_for_another_reason_is_raised(desk: Desk) -> None:
    """A mistake in the message is not hidden by sending it a second time."""
    message_id = await desk.send(say("x"))
    desk.telegram.fail("editMessageText", 400, "Bad Request: can't parse entities")
    with pytest.raises(BadRequest):
        await desk.send(say("y"), message_id)
    assert len(desk.telegram.named("sendMessage")) == 1


async def test_send_links_and_copies_need_no_row(desk: Desk) -> None:
    """A link opens, a copy copies; neither can be pressed at the bot."""
    message_id = await desk.send(say("x", (Link("Open", "https://t.me/x"), Copy("Copy", "42"))))
    assert desk.telegram.shown[message_id][1] == [
        [{"text": "Open", "url": "https://t.me/x"}, {"text": "Copy", "copy_text": {"text": "42"}}]
    ]
    assert desk.store.transact(lambda db: db.execute("SELECT count(*) FROM buttons").fetchone()[0]) == 0


async def test_send_without_buttons_does_not_wait_for_the_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves no row needs no turn of the writing thread."""

    async def run(work: object) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(desk.store, "run", run)
    assert await desk.send(say("x", (Link("Open", "https://t.me/x"), Copy("Copy", "42")))) is not None


async def test_send_uses_entities_and_no_parse_mode(desk: Desk) -> None:
    """What is bold was made bold by code; Telegram is never asked to read markup."""
    await desk.send(Reply(Text().plain("<b>").bold("x")))
    sent = desk.telegram.named("sendMessage")[0]
    assert "parse_mode" not in sent
    assert (sent["text"], sent["entities"]) == ("<b>x", [{"length": 1, "offset": 3, "type": "bold"}])


async def test_send_live_secret_is_replaced(desk: Desk, redactor: Redactor) -> None:
    """A secret in a text that is being sent or edited becomes a mark; the rest is readable."""
    redactor.register("canary-secret-0123456789")
    message_id = await desk.send(Reply(Text().plain("a ").bold("canary-secret-0123456789").plain(" b")))
    await desk.send(say("canary-secret-0123456789"), message_id)
    assert desk.telegram.texts() == ["a ‹secret› b", "‹secret›"]


async def test_send_long_text_with_secrets_still_fits(desk: Desk, redactor: Redactor) -> None:
    """The mark is longer than a short secret, and the message is cut after it was put in."""
    redactor.register("sesame")
    await desk.send(say("sesame " * 600))
    sent = desk.telegram.texts()[0]
    assert len(sent) <= LONGEST
    assert "sesame" not in sent


@pytest.mark.parametrize("edits", [False, True])
async def test_send_entities_that_telegram_refuses_are_left_out(desk: Desk, edits: bool) -> None:
    """Bold type is not worth a lost message: it is sent once more as plain text."""
    message_id = await desk.send(say("before")) if edits else None
    method = "editMessageText" if edits else "sendMessage"
    desk.telegram.fail(method, 400, "Bad Request: can't parse entities: wrong offset")
    await desk.send(Reply(Text().bold("Filled")), message_id)
    assert [each["text"] for each in desk.telegram.named(method)[-2:]] == ["Filled", "Filled"]
    assert [bool(each["entities"]) for each in desk.telegram.named(method)[-2:]] == [True, False]


def test_packed_reply_comes_back_as_it_was(redactor: Redactor) -> None:
    """A reply kept in a row has its entities and every kind of button, and no live secret."""
    redactor.register("canary-secret-0123456789")
    keys = (
        Button("Yes", "yes", {"n": 1}, 7, b"\x00\xff", 60, "danger"),
        Link("Open", "https://t.me/x"),
        Copy("C", "42"),
    )
    reply = Reply(Text().plain("a ").bold("b"), (keys, keys[:1]))
    assert unpacked(json.loads(json.dumps(packed(reply)))) == reply
    assert unpacked(packed(say("canary-secret-0123456789"))) == say("‹secret›")


async def test_photo_waits_for_telegram_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a 429 no picture is forced on Telegram: who asked is told when to ask again, and an alert's is left out."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    desk.telegram.fail("sendPhoto", 429, "Too Many Requests", retry_after=3)
    picture = Photo(b"png", "BTC/USDT 60,000")
    assert not await desk.sender.photo(picture, chat_id=CHAT, user_id=ANN)
    assert "Telegram takes no picture at present." in desk.telegram.texts()[-1]
    told = len(desk.telegram.texts())
    desk.telegram.fail("sendPhoto", 429, "Too Many Requests", retry_after=30)
    assert not await desk.sender.photo(picture, chat_id=CHAT, user_id=0, lane="alert")
    assert len(desk.telegram.texts()) == told
    assert len(desk.telegram.named("sendPhoto")) == 2
    assert not await desk.sender.photo(picture, chat_id=CHAT, user_id=0)
    assert len(desk.telegram.named("sendPhoto")) == 2
