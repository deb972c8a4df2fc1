"""The gate against the whole table: who, what, where, how and how old. Its builders make updates as Telegram does."""

from __future__ import annotations

import itertools
from typing import Any

from telegram import Bot, Update

from bot.chat.gate import (
    ADMINS,
    ANYWHERE,
    NOBODY,
    PLACING,
    TRADERS,
    VIEWERS,
    Admitted,
    Refused,
    admit,
    is_late,
    sender_id,
)
from tests.trading.conftest import ANN, START_MS

GROUP = -500
CHANNEL = {"id": -900, "type": "channel", "title": "News"}
BOTHER = {"id": 5001, "is_bot": True, "first_name": "Bother", "username": "bother_bot"}
_numbers = itertools.count(1)


def person(user_id: int = ANN, **extra: Any) -> dict[str, Any]:
    """A user."""
    return {"id": user_id, "is_bot": False, "first_name": "Ann", **extra}


def message(
    text: str = "/x",
    *,
    user_id: int = ANN,
    chat_id: int | None = None,
    kind: str = "private",
    at_ms: int = START_MS,
    **extra: Any,
) -> dict[str, Any]:
    """A message; `extra` replaces or adds fields, and `None` takes one away."""
    chat = {"id": user_id if chat_id is None else chat_id, "type": kind}
    fields = {"message_id": next(_numbers), "date": at_ms // 1000, "chat": chat, "from": person(user_id), "text": text}
    return {name: value for name, value in (fields | extra).items() if value is not None}


def update(bot: Bot | None = None, **content: Any) -> Update:
    """An update with this content, parsed by the library."""
    return Update.de_json({"update_id": next(_numbers), **content}, bot)


def press(
    data: str | None = "c1:x",
    *,
    user_id: int = ANN,
    chat_id: int | None = None,
    message_id: int = 1,
    kind: str = "private",
    at_ms: int = START_MS,
    bot: Bot | None = None,
    **extra: Any,
) -> Update:
    """A press of a button under a message of the bot."""
    shown = message(user_id=user_id, chat_id=chat_id, kind=kind, at_ms=at_ms, message_id=message_id)
    shown["from"] = BOTHER
    query = {"id": str(next(_numbers)), "from": person(user_id), "chat_instance": "1", "data": data, "message": shown}
    return update(bot, callback_query={name: value for name, value in (query | extra).items() if value is not None})


BY_A_BOT: dict[str, Any] = {"from": BOTHER}

ROLES = ("owner", "admin", "trader", "viewer", None)
RULES = {"anywhere": ANYWHERE, "viewers": VIEWERS, "traders": TRADERS, "admins": ADMINS}
CHATS = ("private", "group", "supergroup", "channel")
AGES = {"now": 0, "30 s old": 30_000, "31 s old": 31_000, "12 min old": 720_000, "from the future": -31_000}

TABLE = """
          private                              elsewhere
          anywhere viewers  traders  admins    anywhere viewers  traders  admins
owner     yes      yes      yes      yes       yes      private  private  private
admin     yes      yes      yes      yes       yes      private  private  private
trader    yes      yes      yes      role      yes      private  private  private
viewer    yes      yes      role     role      yes      private  private  private
None      stranger stranger stranger stranger  silent   silent   silent   silent
"""
"""What a person gets who writes something new."""

ORIGIN = {"type": "user", "date": 1, "sender_user": person(666)}
FORGED: dict[str, dict[str, Any]] = {
    "a bot": {"from": BOTHER},
    "an anonymous admin": {"from": person(1087968824, is_bot=True)},
    "an anonymous admin who seems a person": {"from": person(1087968824)},
    "a channel": {"from": person(136817688)},
    "Telegram": {"from": person(777000)},
    "a chat behind a person": {"sender_chat": CHANNEL},
    "nobody": {"from": None},
    "a forwarder": {"forward_origin": ORIGIN},
    "an inline bot": {"via_bot": BOTHER},
    "an editor": {"edit_date": START_MS // 1000},
}
"""Senders nobody can hold to their words: silence, always."""


def expected() -> dict[tuple[str, str, str], str]:
    """TABLE by role, chat type and rule."""
    answers = {}
    for line in TABLE.strip().splitlines()[2:]:
        role, *cells = line.split()
        for chat, (number, rule) in itertools.product(CHATS, enumerate(RULES)):
            answers[role, chat, rule] = cells[number if chat == "private" else number + 4]
    return answers


def verdict(sent: Update, rule: str, role: Any, now_ms: int = START_MS) -> str:
    """The gate's answer in one word."""
    found = admit(sent, RULES[rule], role=role, now_ms=now_ms)
    return "yes" if isinstance(found, Admitted) else found.why


def aged(answer: str, age_ms: int) -> str:
    """What a message of that age gets where a new one gets `answer`."""
    if answer in ("stranger", "silent") or abs(age_ms) <= 30_000:
        return answer
    return "stale" if age_ms > 0 else "clock"


def test_admit_new_messages_follow_the_table_and_their_age() -> None:
    """Every role, rule, kind of chat and age gives what the table says; an old message is never run."""
    answers = {
        (role, chat, rule, age): verdict(update(message=message(kind=chat)), rule, role, START_MS + age_ms)
        for role, chat, rule, (age, age_ms) in itertools.product(ROLES, CHATS, RULES, AGES.items())
    }
    assert answers == {
        (role, chat, rule, age): aged(expected()[str(role), chat, rule], age_ms)
        for role, chat, rule, (age, age_ms) in itertools.product(ROLES, CHATS, RULES, AGES.items())
    }


def test_admit_presses_follow_the_table_at_any_age() -> None:
    """A press has no time of its own: its message may be old, its button's expiry counts."""
    cases = list(itertools.product(ROLES, CHATS, RULES, AGES.values()))
    answers = [verdict(press(kind=chat, at_ms=START_MS - age_ms), rule, role) for role, chat, rule, age_ms in cases]
    assert answers == [expected()[str(role), chat, rule] for role, chat, rule, _ in cases]


def test_admit_forged_senders_are_always_met_with_silence() -> None:
    """Bots, stand-ins, forwards, inline bots and edits change nothing, whatever role the id has."""
    answers = {
        (kind, role, chat, rule, verdict(update(message=message(kind=chat, **fields)), rule, role))
        for (kind, fields), role, chat, rule in itertools.product(FORGED.items(), ROLES, CHATS, RULES)
    }
    assert {each[-1] for each in answers} == {"silent"}
    assert len(answers) == len(FORGED) * len(ROLES) * len(CHATS) * len(RULES)


def test_admit_other_kinds_of_updates_are_met_with_silence() -> None:
    """Edited messages, channel posts and everything else that is not a new message or a press do nothing."""
    kinds = ("edited_message", "channel_post", "edited_channel_post", "business_message", "edited_business_message")
    others = [update(None, **{kind: message()}) for kind in kinds]
    others.append(update(inline_query={"id": "1", "from": person(), "query": "btc", "offset": ""}))
    assert {verdict(each, "anywhere", "owner") for each in others} == {"silent"}
    assert {sender_id(each) for each in others} == {None}


def test_admit_presses_on_messages_that_cannot_be_seen_are_refused() -> None:
    """A press under an inaccessible message, an inline message or a game is nobody's."""
    gone = {"chat": {"id": ANN, "type": "private"}, "message_id": 7, "date": 0}
    presses = [
        press(message=gone),
        press(message=None, inline_message_id="abc"),
        press(None, message=None, game_short_name="chess"),
        press("c1:x", **BY_A_BOT),
    ]
    assert [(verdict(each, "anywhere", "owner"), sender_id(each)) for each in presses] == [("silent", None)] * 4


def test_admit_presses_below_messages_the_bot_did_not_write_are_refused() -> None:
    """Buttons come with the bot's own messages: not forwarded, not by an inline bot, not in a chat's name."""
    found = {}
    for name, chat, extra in (
        ("forwarded", "private", {"forward_origin": ORIGIN}),
        ("inline bot", "group", {"via_bot": BOTHER}),
        ("in a chat's name", "supergroup", {"sender_chat": CHANNEL}),
        ("a channel's own post", "channel", {"sender_chat": CHANNEL}),
        ("edited", "private", {"edit_date": START_MS // 1000}),
    ):
        shown = message(kind=chat, chat_id=ANN, **extra, **BY_A_BOT)
        found[name] = verdict(press(message=shown), "anywhere", "trader")
    assert found == {
        "forwarded": "silent",
        "inline bot": "silent",
        "in a chat's name": "silent",
        "a channel's own post": "yes",
        "edited": "yes",
    }


def test_admit_nobody_is_more_than_the_owner() -> None:
    """What has no row in the table is refused to everybody."""
    roles = ("owner", "admin", "trader", "viewer")
    assert {admit(update(message=message()), NOBODY, role=role, now_ms=START_MS) for role in roles} == {Refused("role")}


def test_admitted_names_the_numeric_sender_chat_and_message() -> None:
    """What handlers trust comes from the ids; the name is for display."""
    fields: dict[str, Any] = {"message_id": 9, "from": person(ANN, last_name="Lee")}
    sent = update(message=message(chat_id=GROUP, kind="group", **fields))
    assert admit(sent, ANYWHERE, role="viewer", now_ms=START_MS) == Admitted(
        ANN, "Ann Lee", "viewer", GROUP, 9, is_private=False
    )


def test_refused_stale_tells_the_age() -> None:
    """The answer to an old command can say how old it was."""
    found = admit(update(message=message()), ANYWHERE, role="owner", now_ms=START_MS + 720_000)
    assert (found.why, found.detail_ms) == ("stale", 720_000)  # type: ignore[union-attr]


def test_admit_while_halted_refuses_only_what_places() -> None:
    """Who may not trade hears that; who may, hears that nobody may at present; all else goes on."""
    sent = update(message=message())
    answers = {
        (role, name): admit(sent, rule, role=role, now_ms=START_MS, is_halted=True)
        for role in ("trader", "viewer")
        for name, rule in (("placing", PLACING), ("viewers", VIEWERS))
    }
    words = {key: "yes" if isinstance(found, Admitted) else found.why for key, found in answers.items()}
    assert words == {
        ("trader", "placing"): "halted",
        ("trader", "viewers"): "yes",
        ("viewer", "placing"): "role",
        ("viewer", "viewers"): "yes",
    }


def test_late_is_a_message_of_more_than_thirty_seconds() -> None:
    """A press is never late, however old its message."""
    ages = (30_000, 30_001, -60_000)
    assert [is_late(update(message=message()), START_MS + age) for age in ages] == [False, True, False]
    assert not is_late(press(at_ms=START_MS - 86_400_000), START_MS)
