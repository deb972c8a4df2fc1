"""/invite and /users, and what becomes of somebody's open questions when their role is lowered."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot import UserError
from bot.accounts import people, roles, second_factor
from bot.trading import membership
from bot.trading.confirm import Button
from tests.chat.conftest import OWNER, STRANGER, VIEWER, Chat
from tests.chat.test_gate import GROUP
from tests.trading.conftest import ANN, BOB, START_MS

ADMIN, BLOCKED = 1010, 1004
OVER = "This invitation has ended or was used. Ask for a new one."
WELCOME = "Welcome. You may use this bot as trader."


@pytest.fixture
async def house(real: Chat) -> Chat:
    """A chat with all commands, and an administrator."""
    real.room.store.transact(lambda db: people.ensure_user(db, ADMIN, "admin", "Max", now_ms=START_MS))
    return real


async def link(house: Chat, text: str = "/invite trader 15m", user_id: int = OWNER) -> str:
    """Make an invitation and return what its link sends when it is opened."""
    await house.say(text, user_id=user_id)
    keys = list(house.telegram.shown.values())[-1][1]
    url = keys[0][0]["copy_text"]["text"]
    return "/start " + re.fullmatch(r"https://t\.me/Tradewire_bot\?start=(inv_[\w-]{22})", url)[1]  # type: ignore[index]


def role_of(house: Chat, user_id: int) -> str | None:
    return house.room.store.transact(lambda db: roles.standing(db, user_id, OWNER))


async def press(house: Chat, label: str, *, user_id: int = OWNER) -> str:
    """Press the newest button that begins with `label`; return what the message then says."""
    shown = [(message_id, row) for message_id, (_, row) in house.telegram.shown.items()]
    message_id, data = [
        (message_id, key["callback_data"])
        for message_id, rows in shown
        for row in rows
        for key in row
        if key["text"].startswith(label)
    ][-1]
    await house.press(data, message_id, user_id=user_id)
    return house.telegram.shown[message_id][0]


# Invitations


async def test_invite_lets_one_stranger_in_once(house: Chat) -> None:
    """The first to open the link is greeted with their role; the next one hears that it was used."""
    opened = await link(house)
    [welcome, greeting] = await house.say(opened, user_id=STRANGER)
    assert (welcome, greeting.startswith("tradewire")) == (WELCOME, True)
    assert await house.say(opened, user_id=667) == [OVER]
    assert (role_of(house, STRANGER), role_of(house, 667)) == ("trader", None)


async def test_invite_tells_owner_who_came_in(house: Chat) -> None:
    """The administrator who invited and the owner both learn of it."""
    await house.say(await link(house, user_id=ADMIN), user_id=STRANGER)
    house.telegram.calls.clear()
    await house.outbox.step()
    told = {(each["chat_id"], each["text"]) for each in house.telegram.named("sendMessage")}
    used = f"Ann ({STRANGER}) may use the bot as trader. They used an invitation of {ADMIN}."
    assert told == {(OWNER, f"{ADMIN} made an invitation for a trader."), (OWNER, used), (ADMIN, used)}


async def test_invite_opened_by_a_member_is_an_ordinary_start(house: Chat) -> None:
    """Nobody's role changes by a link, and it stays good for whom it was meant."""
    opened = await link(house, "/invite admin")
    assert (await house.say(opened, user_id=VIEWER))[0].startswith("tradewire")
    assert role_of(house, VIEWER) == "viewer"
    assert (await house.say(opened, user_id=STRANGER))[0] == "Welcome. You may use this bot as admin."


async def test_invite_does_not_let_a_blocked_person_in(house: Chat) -> None:
    """A link is no way around a block."""
    opened = await link(house)
    assert await house.say(opened, user_id=BLOCKED) == [OVER]
    assert role_of(house, BLOCKED) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"chat_id": GROUP, "kind": "supergroup"},
        {"forward_origin": {"type": "user", "date": 1, "sender_user": {"id": 5, "is_bot": False, "first_name": "E"}}},
        {"sender_chat": {"id": -9, "type": "channel", "title": "x"}},
        {"from": {"id": STRANGER, "is_bot": True, "first_name": "B"}},
        {"age_seconds": -60},
        {"age_seconds": 31},
    ],
)
async def test_invite_counts_only_from_a_person_in_private_and_in_time(house: Chat, fields: dict[str, Any]) -> None:
    """A forwarded, late or group /start spends nothing."""
    opened = await link(house)
    await house.say(opened, user_id=STRANGER, **fields)
    assert role_of(house, STRANGER) is None
    assert (await house.say(opened, user_id=STRANGER))[0] == WELCOME


async def test_invite_guesses_get_one_answer_a_day(house: Chat) -> None:
    """Whoever tries links is a stranger like any other."""
    answers = [await house.say(f"/start inv_{number:022}", user_id=STRANGER) for number in range(30)]
    assert answers == [[OVER]] + [[]] * 29


async def test_invite_taken_back_does_nothing(house: Chat) -> None:
    """The button ends the link at once."""
    opened = await link(house)
    assert (await press(house, "Take it back")).startswith("The invitation is taken back.")
    assert await house.say(opened, user_id=STRANGER) == [OVER]


async def test_invite_link_is_in_no_text_and_no_file(house: Chat) -> None:
    """It travels in buttons that Telegram shows, and the database keeps its hash, also while it is being opened."""
    token = (await link(house)).removeprefix("/start inv_")
    await house.arrive([house.written(f"/start inv_{token}", user_id=STRANGER)])
    assert role_of(house, STRANGER) == "trader"
    files = b"".join(path.read_bytes() for path in house.room.path.parent.iterdir() if path.is_file())
    assert (token.encode() in files, [text for text in house.telegram.texts() if token in text]) == (False, [])


async def test_invite_that_cannot_be_shown_is_taken_back(house: Chat) -> None:
    """A link that nobody saw is of use to nobody."""
    house.telegram.fail("sendMessage", 400)
    await house.say("/invite trader", user_id=OWNER)
    assert house.room.sql("SELECT * FROM invites") == []


@pytest.mark.parametrize("text", ["/invite", "/invite owner", "/invite trader 1h", "/invite trader 15m x", "/invite 5"])
async def test_invite_written_wrong_says_how(house: Chat, text: str) -> None:
    """The refusal has an example."""
    [told] = await house.say(text, user_id=OWNER)
    assert "/invite trader 15m" in told
    assert house.room.sql("SELECT * FROM invites") == []


async def test_invite_to_ones_own_role_is_refused(house: Chat) -> None:
    """An administrator makes no administrators."""
    [told] = await house.say("/invite admin", user_id=ADMIN)
    assert told.startswith("✖ Not done · RANK")


# People


async def test_users_lists_people_and_strangers_of_today(house: Chat) -> None:
    """Everybody with their role, and whoever wrote and was not let in."""
    await house.say("hello", user_id=STRANGER)
    [told] = await house.say("/users", user_id=ADMIN)
    assert told == (
        f"People · 5\nMax ({ADMIN}) · admin\n{ANN} · trader\n{BOB} · trader\n{VIEWER} · viewer\n{BLOCKED} · blocked\n"
        f"\nWrote today, not let in\nAnn ({STRANGER})\n\n/invite trader 15m makes a link for somebody new."
    )


async def test_users_approves_a_stranger(house: Chat) -> None:
    """Two presses let in who wrote."""
    await house.say("hello", user_id=STRANGER)
    await house.say("/users", user_id=ADMIN)
    await press(house, "Ann · not let in", user_id=ADMIN)
    shown = await press(house, "Make trader", user_id=ADMIN)
    assert shown.startswith(f"Ann ({STRANGER}) may use the bot as trader.")
    assert (await house.say("/balance", user_id=STRANGER))[0].startswith("✖ Not done · NO_KEY")


async def test_users_blocks_and_unblocks(house: Chat) -> None:
    """A blocked person is a stranger until somebody lets them in again."""
    await house.say("/users", user_id=ADMIN)
    await press(house, f"{BOB}", user_id=ADMIN)
    await press(house, "Block", user_id=ADMIN)
    assert (role_of(house, BOB), await house.press("c1:x", 1, user_id=BOB)) == (None, ["You may not use this button."])
    await press(house, "Unblock as trader", user_id=ADMIN)
    assert role_of(house, BOB) == "trader"


async def test_users_offers_nothing_that_would_be_refused(house: Chat) -> None:
    """An administrator sees no buttons for the owner or another administrator, and none that make one."""
    house.room.store.transact(lambda db: people.ensure_user(db, 1011, "admin", "Mia", now_ms=START_MS))
    house.room.store.transact(lambda db: people.ensure_user(db, OWNER, "admin", "Olga", now_ms=START_MS))
    [told] = await house.say("/users", user_id=ADMIN)
    assert f"Olga ({OWNER}) · owner" in told
    labels = [key["text"] for row in list(house.telegram.shown.values())[-1][1] for key in row]
    assert [label for label in labels if label.startswith("Olga")] == []
    shown = await press(house, "Mia", user_id=ADMIN)
    keys = [key["text"] for row in list(house.telegram.shown.values())[-1][1] for key in row]
    assert (keys, "Only somebody who ranks above them" in shown) == (["‹ All people"], True)
    await house.say("/users", user_id=ADMIN)
    await press(house, f"{ANN}", user_id=ADMIN)
    keys = [key["text"] for row in list(house.telegram.shown.values())[-1][1] for key in row]
    assert keys == ["Make viewer", "Block", "‹ All people"]


async def test_users_button_of_an_admin_who_was_lowered_changes_nothing(house: Chat) -> None:
    """The buttons of a lowered administrator die with the role, and would be refused if they did not."""
    await house.say("/users", user_id=ADMIN)
    await press(house, f"{ANN}", user_id=ADMIN)
    house.room.store.transact(
        lambda db: membership.change_role(db, by=OWNER, owner=OWNER, user_id=ADMIN, role="viewer", now_ms=START_MS)
    )
    await press(house, "Block", user_id=ADMIN)
    message_id, [data] = await house.show(Button("x", "role", {"user": ANN, "role": "blocked"}), user_id=ADMIN)
    [told] = await house.press(data, message_id, user_id=ADMIN)
    assert told.startswith("You may not do that.")
    assert role_of(house, ANN) == "trader"


async def test_users_turns_pages(house: Chat) -> None:
    """Eight people a page."""
    for user_id in range(2000, 2020):
        house.room.store.transact(lambda db, user_id=user_id: people.ensure_user(db, user_id, now_ms=START_MS))
    [first] = await house.say("/users", user_id=OWNER)
    second = await press(house, "More ›")
    third = await press(house, "More ›")
    fourth = await press(house, "More ›")
    listed = [
        re.findall(r"^.*(?:trader|viewer|admin|blocked)$", page, re.MULTILINE)
        for page in (first, second, third, fourth)
    ]
    assert ([len(each) for each in listed], len({line for page in listed for line in page})) == ([8, 8, 8, 1], 25)


# Open questions of somebody whose role is lowered


@pytest.mark.parametrize("role", ["viewer", "blocked"])
async def test_question_of_a_lowered_person_is_not_answered_any_more(house: Chat, role: Any) -> None:
    """A key pasted after the role was lowered, by whichever program, is deleted and stored nowhere."""
    await house.say("/connect acme other")
    house.room.store.transact(
        lambda db: membership.change_role(
            db, by=roles.SERVER, owner=OWNER, user_id=ANN, role=role, now_ms=house.room.clock.now_ms()
        )
    )
    [told] = await house.say("the-key\nthe-secret")
    assert told.startswith("That may be part of a key, and nothing asked for one, so I deleted it.")
    assert len(house.telegram.named("deleteMessage")) == 1
    assert len(house.room.sql("SELECT * FROM accounts")) == 1


async def test_question_of_a_raised_person_goes_on(house: Chat) -> None:
    """More rights end nothing."""
    await house.say("/buy BTC/USDT")
    house.room.store.transact(
        lambda db: membership.change_role(db, by=OWNER, owner=OWNER, user_id=ANN, role="admin", now_ms=START_MS)
    )
    assert "BUY BTC/USDT" in (await house.say("0.5"))[0]


async def test_question_of_a_lowered_person_places_nothing(house: Chat) -> None:
    """The size that is typed after the role was lowered leads to no preview."""
    await house.say("/buy BTC/USDT")
    house.room.store.transact(
        lambda db: membership.change_role(db, by=OWNER, owner=OWNER, user_id=ANN, role="viewer", now_ms=START_MS)
    )
    assert (await house.say("0.5"))[0].startswith("Commands begin with a slash")
    assert house.room.sql("SELECT * FROM orders") == []


# The second factor


@pytest.fixture
def code(house: Chat, monkeypatch: pytest.MonkeyPatch) -> str:
    """The owner has a second factor, whose code is 123456."""

    def verify(_: Any, user_id: int, code: str, now_ms: int, *, vault: Any) -> None:
        if (user_id, code) != (OWNER, "123456"):
            raise UserError("That code is wrong.", code="CODE_WRONG")

    monkeypatch.setattr(second_factor, "is_on", lambda _, user_id: user_id == OWNER)
    monkeypatch.setattr(second_factor, "verify", verify)
    return "123456"


async def test_invite_needs_the_code_of_who_has_one(house: Chat, code: str) -> None:
    """Without the right code there is no link."""
    assert "authenticator app to invite somebody" in (await house.say("/invite trader", user_id=OWNER))[0]
    assert (await house.say("111111", user_id=OWNER))[0].startswith("✖ Not done · CODE_WRONG")
    assert house.room.sql("SELECT * FROM invites") == []
    await house.say(code, user_id=OWNER)
    assert len(house.room.sql("SELECT * FROM invites")) == 1


async def test_role_is_raised_with_the_code_and_lowered_without(house: Chat, code: str) -> None:
    """Lowering risk is instant; raising it asks for the code."""
    await house.say("/users", user_id=OWNER)
    await press(house, f"{ANN}")
    assert "authenticator app to give somebody more rights" in await press(house, "Make admin")
    assert role_of(house, ANN) == "trader"
    await house.say(code, user_id=OWNER)
    assert role_of(house, ANN) == "admin"
    await house.say("/users", user_id=OWNER)
    await press(house, f"{ANN}")
    await press(house, "Make viewer")
    assert role_of(house, ANN) == "viewer"
