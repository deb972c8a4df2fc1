"""Updates that nobody well-meaning sends: every kind that Telegram has, with every trick of text that we know of."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.chat.conftest import OWNER, STRANGER, VIEWER
from tests.trading.conftest import ANN, BOB

BLOCKED = 1004
PEOPLE = (OWNER, ANN, BOB, VIEWER, BLOCKED, STRANGER, 777000, 136817688, 1087968824, 9, 2**52, 0, -5)
CHATS = ((0, "private"), (-100, "group"), (-1001234567890, "supergroup"), (-1009876543210, "channel"))
MARKUP = (
    "<b>x</b>",
    "*x* _y_ [z](tg://user?id=1)",
    "</pre><a href='tg://user?id=1'>x</a>",
    "`x` ||y|| \\_",
    "&lt;&#x41;&quot;",
    "{0} %s ${HOME} {{7*7}}",
    '=HYPERLINK("https://evil.example","x")',
)
INVISIBLE = (
    "\u202e00006 TDSU/CTB yub/",
    "BTC\u200b/\u200dUSDT\ufeff",
    "\u2066BTC\u2069",
    "\x00\x01\x1b[2J\x7f",
    "\ud83d\ude00"[:1],
    "a\u0301" * 300,
    "\u0412\u0422\u0421/USDT",  # Cyrillic
    "\U000e0041\U000e0042",
)
NUMBERS = (
    "1_000",
    "\u0661\u0662\u0663",
    "\uff11\uff12\uff13",
    "NaN",
    "sNaN",
    "Infinity",
    "-Infinity",
    "1e999999",
    "1e-999999",
    "0x10",
    "--5",
    "+5",
    "-5",
    "-0",
    "1" * 5000,
    "0." + "0" * 5000 + "1",
    "\u00bd",
    "\u2460",
    "\u4e03",
    "1\u00a0000",
    "1'000",
    "9" * 400 + "%",
)
SQL = (
    "'; DROP TABLE orders; --",
    '" OR 1=1 --',
    "1); DELETE FROM users; --",
    "' UNION SELECT value FROM meta --",
    "%' ESCAPE '\\",
)
PATHS = (
    "../../etc/passwd",
    "file:///etc/passwd",
    "C:\\x",
    "http://169.254.169.254/",
    "$(reboot)",
    "`id`",
    "| cat /etc/passwd",
)
TEXTS = (
    *MARKUP,
    *INVISIBLE,
    *NUMBERS,
    *SQL,
    *PATHS,
    "",
    " ",
    "\n" * 50,
    "x" * 4096,
    "/",
    "//",
    "/ ",
    "@",
    "#",
    "42",
    "all",
)
USUAL = ("/buy BTC/USDT 0.5 @ 58000", "/sell BTC/USDT 0.5 @ 62000", "/buy BTC/USDT 0.01", "/orders", "/cancel all")
TOKENS = ("c1:", "c1:AAAA", "c1:" + "A" * 22, "c1:" + "_" * 61, "confirm:1", "", "x" * 64, "c1:\u202e", "inv_x")
KINDS = (
    "message",
    "callback_query",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
)
"""Every kind of update of the Bot API; the bot asks for the first two only, and must stand all of them."""


class Hostile:
    """Makes updates as Telegram's JSON. The same choices make the same updates.

    Args:
        random: Where the choices come from.
        commands: Names of the bot's commands.
        words: Words that mean something in their arguments.
    """

    def __init__(self, random: Random, commands: tuple[str, ...], words: tuple[str, ...]) -> None:
        self._random = random
        self._commands = commands
        self._words = words
        self._number = 0

    def update(self, now_ms: int, real: tuple[str, int] | None = None) -> dict[str, Any]:
        """Return one update; `real` is the data of a button that exists and its message."""
        pick, self._number = self._random, self._number + 1
        if pick.random() < 0.08:
            return {"update_id": self._number, "message": self._usual(now_ms // 1000)}
        kind = KINDS[0] if pick.random() < 0.6 else pick.choice(KINDS)
        return {"update_id": self._number, kind: self._content(kind, now_ms // 1000, real)}

    def _content(self, kind: str, now: int, real: tuple[str, int] | None) -> dict[str, Any]:
        user, pick = self._user(), self._random
        chat = self._chat(user)
        message = self._message(user, chat, now)
        member = {"user": self._user(), "status": "member"}
        boost = {
            "boost_id": "x",
            "add_date": now,
            "expiration_date": now,
            "source": {"source": "premium", "user": user},
        }
        match kind:
            case "callback_query":
                data, message_id = real if real and pick.random() < 0.3 else (self._data(), message["message_id"])
                shown = {**message, "message_id": message_id}
                shown |= {} if pick.random() < 0.9 else {"date": 0}
                place = pick.choice(({"message": shown}, {"message": shown}, {"inline_message_id": "x"}, {}))
                return {"id": "7", "from": user, "chat_instance": "x", "data": data, **place}
            case "business_connection":
                return {"id": "x", "user": user, "user_chat_id": 1, "date": now, "is_enabled": True}
            case "deleted_business_messages":
                return {"business_connection_id": "x", "chat": chat, "message_ids": [1]}
            case "message_reaction":
                old = [{"type": "emoji", "emoji": "\U0001f44d"}]
                return {
                    "chat": chat,
                    "message_id": 1,
                    "user": user,
                    "date": now,
                    "old_reaction": [],
                    "new_reaction": old,
                }
            case "message_reaction_count":
                return {"chat": chat, "message_id": 1, "date": now, "reactions": []}
            case "inline_query":
                return {"id": "x", "from": user, "query": self._text(), "offset": ""}
            case "chosen_inline_result":
                return {"result_id": "x", "from": user, "query": self._text()}
            case "shipping_query":
                names = ("country_code", "state", "city", "street_line1", "street_line2", "post_code")
                address = dict.fromkeys(names, "x")
                return {"id": "x", "from": user, "invoice_payload": self._text(), "shipping_address": address}
            case "pre_checkout_query":
                money = {"currency": "USD", "total_amount": 1}
                return {"id": "x", "from": user, "invoice_payload": self._text(), **money}
            case "purchased_paid_media":
                return {"from": user, "paid_media_payload": self._text()}
            case "poll":
                flags = {"is_closed": False, "is_anonymous": True, "allows_multiple_answers": False}
                flags |= {"allows_revoting": False, "members_only": False}
                return {"id": "x", "question": "x", "options": [], "total_voter_count": 0, "type": "regular", **flags}
            case "poll_answer":
                return {"poll_id": "x", "user": user, "option_ids": [0], "option_persistent_ids": ["x"]}
            case "my_chat_member" | "chat_member":
                left = {"user": self._user(), "status": "left"}
                return {"chat": chat, "from": user, "date": now, "old_chat_member": left, "new_chat_member": member}
            case "chat_join_request":
                return {"chat": chat, "from": user, "user_chat_id": 1, "date": now}
            case "chat_boost":
                return {"chat": chat, "boost": boost}
            case "removed_chat_boost":
                return {"chat": chat, "boost_id": "x", "remove_date": now, "source": boost["source"]}
        return message

    def _usual(self, now: int) -> dict[str, Any]:
        """Return what a well-meaning person writes, so that there is something to be hostile to."""
        ann = {"id": ANN, "is_bot": False, "first_name": "Ann"}
        chat = {"id": ANN, "type": "private"}
        text = self._random.choice(USUAL)
        return {"message_id": 10_000 + self._number, "date": now, "chat": chat, "from": ann, "text": text}

    def _user(self) -> dict[str, Any]:
        pick = self._random
        user_id = pick.choice((ANN, ANN, *PEOPLE)) if pick.random() < 0.95 else pick.randrange(1, 2**40)
        name = pick.choice(("Ann", *MARKUP, *INVISIBLE[:3]))
        return {"id": user_id, "is_bot": user_id == 9, "first_name": name, "username": pick.choice(("ann", "x" * 32))}

    def _chat(self, user: dict[str, Any]) -> dict[str, Any]:
        chat_id, kind = self._random.choice((CHATS[0], CHATS[0], *CHATS))
        return {"id": chat_id or user["id"], "type": kind, "title": self._random.choice(MARKUP)}

    def _message(self, user: dict[str, Any], chat: dict[str, Any], now: int) -> dict[str, Any]:
        pick, text = self._random, self._text()
        message: dict[str, Any] = {
            "message_id": 10_000 + self._number,
            "date": now + pick.choice((0, 0, 0, 0, -31, -86_400, 31, -now)),
            "chat": chat,
            "from": user,
            "text": text,
        }
        trick = pick.randrange(14)
        if trick == 0:
            message["sender_chat"] = chat
        elif trick == 1:
            message["forward_origin"] = {"type": "hidden_user", "date": now, "sender_user_name": "x"}
        elif trick == 2:
            message["via_bot"] = {"id": 8, "is_bot": True, "first_name": "x"}
        elif trick == 3:
            message["edit_date"] = now
        elif trick == 4:
            del message["from"]
        elif trick == 5:
            del message["text"]
            message["caption"] = text
        elif trick == 6:
            length = pick.choice((0, 1, 10**9, -1))
            message["entities"] = [{"type": "bot_command", "offset": pick.choice((0, 5, -1)), "length": length}]
        elif trick == 7:
            message["reply_to_message"] = {**message, "message_id": 1}
        elif trick == 8:
            del message["text"]
            message["new_chat_members"] = [user]
        return message

    def _text(self) -> str:
        pick = self._random
        kind = pick.random()
        if kind < 0.2:
            return pick.choice(TEXTS)
        if kind < 0.3:
            return "".join(
                chr(pick.choice((pick.randrange(32, 127), pick.randrange(0xD7FF)))) for _ in range(pick.randrange(60))
            )
        name = pick.choice(self._commands) if pick.random() < 0.95 else pick.choice(TEXTS)
        name += pick.choice(("", "", "", "", "@Tradewire_bot", "@other", " ", "\n"))
        parts = [
            pick.choice(self._words) if pick.random() < 0.7 else pick.choice(TEXTS) for _ in range(pick.randrange(6))
        ]
        return f"/{name} " + pick.choice((" ", " ", "\n", "\t")).join(parts)

    def _data(self) -> str:
        pick = self._random
        return pick.choice(TOKENS) if pick.random() < 0.5 else pick.choice(TEXTS)[:64]
