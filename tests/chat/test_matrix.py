"""Everybody, everything, everywhere: each role, command, button, kind of chat and of sender through the dispatcher.

Handlers are replaced by ones that note that they ran. What ran must be what the table of `bot.chat.rules` lets run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from telegram import Update

from bot.accounts import people
from bot.accounts.roles import RANK
from bot.chat import admission, commands, rules
from bot.chat.gate import ADMINS, ANYWHERE, NOBODY, PLACING, TRADERS, VIEWERS, Admitted, Rule
from bot.chat.registry import Call, Command, Registry, collect
from bot.chat.reply import Reply, say
from bot.trading import confirm
from bot.trading.confirm import Button
from tests.chat.conftest import OWNER, STRANGER, VIEWER, Chat, new_chat
from tests.chat.test_gate import BOTHER, CHANNEL, GROUP, ORIGIN, message, person, update
from tests.trading.conftest import ANN, START_MS

ADMIN, BLOCKED = 1010, 1004
ROLES = {"owner": OWNER, "admin": ADMIN, "trader": ANN, "viewer": VIEWER, "blocked": BLOCKED, "stranger": STRANGER}
CHATS = ("private", "group", "supergroup", "channel")
SENDERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "anonymous admin": {"from": person(1087968824, is_bot=True)},
    "channel": {"from": person(136817688, is_bot=True)},
    "Telegram": {"from": person(777000)},
    "sender_chat": {"sender_chat": CHANNEL},
    "forwarded": {"forward_origin": ORIGIN},
    "via bot": {"via_bot": BOTHER},
    "edited": {"edit_date": START_MS // 1000},
    "bot user": {"from": person(5001, is_bot=True)},
    "/cmd@other": {},
}
STAND_INS = (1087968824, 136817688, 777000, 5001)
PLACES = {"private": ("private",), "anywhere": CHATS, "group": ("group", "supergroup")}
SPOKEN = {"plain"}
PRESSED = {"plain", "edited"}
"""The bot edits its own cards, so a press below an edited message counts."""

REGISTRY = commands.registry()
RULES = {("command", name): each.rule for name, each in REGISTRY.commands.items()} | {
    ("button", name): each.rule for name, each in REGISTRY.actions.items()
}


@dataclass(frozen=True, slots=True)
class Case:
    """One update of the matrix."""

    what: str
    name: str
    role: str
    chat: str
    sender: str

    @property
    def is_allowed(self) -> bool:
        """What the table says."""
        rule, senders = RULES[self.what, self.name], SPOKEN if self.what == "command" else PRESSED
        if self.what == "button" and self.chat == "channel":
            senders = senders | {"sender_chat"}  # every post of a channel is in its own name, the bot's too
        ranks = RANK.get(self.role, 0) >= RANK[rule.role]
        return self.sender in senders and ranks and self.chat in PLACES[rule.where]


def cases() -> list[Case]:
    return [
        Case(what, name, role, chat, sender)
        for (what, name), role, chat, sender in itertools.product(RULES, ROLES, CHATS, SENDERS)
    ]


@pytest.fixture
async def noting(tmp_path: Path) -> Any:
    """A chat with all commands and buttons of the bot, which do nothing but note that they ran."""
    ran: list[Any] = []

    async def note(call: Call) -> Reply:
        ran.append(call.who.user_id)
        return say("noted")

    registry = Registry(
        {name: replace(each, run=note) for name, each in REGISTRY.commands.items()},
        {name: replace(each, run=note) for name, each in REGISTRY.actions.items()},
    )
    chat = await new_chat(tmp_path, registry)
    chat.ran = ran
    db = chat.room.store.transact(lambda db: db)
    db.execute("PRAGMA synchronous=0")
    for user_id in (ADMIN, *STAND_INS):  # even with a role, nobody stands for somebody else
        chat.room.store.transact(lambda db, user_id=user_id: people.ensure_user(db, user_id, "admin", now_ms=START_MS))
    yield chat
    await chat.room.close()


async def allowed(chat: Chat, wanted: list[Case]) -> set[Case]:
    """Send the updates of the cases, one after another, and return those whose handler ran."""
    let_in = set()
    for case, sent in zip(wanted, _updates(chat, wanted), strict=True):
        chat.ran.clear()
        chat.room.clock.advance(1)
        await chat.dispatcher.handle(sent)
        if chat.ran:
            let_in.add(case)
    return let_in


def _updates(chat: Chat, wanted: list[Case]) -> Iterator[Update]:
    presses = [(case, number) for number, case in enumerate(wanted, 10_000) if case.what == "button"]
    buttons = chat.room.store.transact(lambda db: {number: _button(db, chat, case, number) for case, number in presses})
    for number, case in enumerate(wanted, 10_000):
        fields = {"message_id": number, "chat_id": _chat_id(case), "kind": case.chat, **SENDERS[case.sender]}
        now_ms = chat.room.clock.now_ms()
        if case.what == "command":
            name = f"/{case.name}@other_bot" if case.sender == "/cmd@other" else f"/{case.name}"
            said = message(name, user_id=ROLES[case.role], at_ms=now_ms, **fields)
            kind = "edited_message" if case.sender == "edited" else "message"
            yield update(chat.services.sender.bot, **{kind: said})
            continue
        shown = message(user_id=ROLES[case.role], **{**fields, "from": chat.services.sender.bot.bot.to_dict()})
        query = {"id": str(number), "from": _from(case), "chat_instance": "1", "message": shown}
        yield update(chat.services.sender.bot, callback_query={**query, "data": buttons[number]})


def _button(db: Any, chat: Chat, case: Case, number: int) -> str:
    made = [Button("x", case.name, seconds=10_000_000)]
    bound = {"user_id": _from(case)["id"], "chat_id": _chat_id(case), "message_id": number}
    [data] = confirm.mint(db, made, **bound, now_ms=chat.room.clock.now_ms())
    return "other:1" if case.sender == "/cmd@other" else data


def _from(case: Case) -> dict[str, Any]:
    found: dict[str, Any] = SENDERS[case.sender].get("from", person(ROLES[case.role]))
    return found


def _chat_id(case: Case) -> int:
    return ROLES[case.role] if case.chat == "private" else GROUP - CHATS.index(case.chat)


async def test_matrix_what_runs_is_what_the_table_says(noting: Chat) -> None:
    """Six roles, every command and button, four kinds of chat, ten kinds of sender: equal to the table throughout.

    Strangers and blocked people, who sent a sixth of it each, got one line a day.
    """
    wanted = cases()
    ran = await allowed(noting, wanted)
    assert ran == {
        case
        for case in wanted
        if case.is_allowed and (case.chat == "private" or not RULES[case.what, case.name].administers)
    }
    assert {case.role for case in ran} == {"owner", "admin", "trader", "viewer"}
    told = [each["chat_id"] for each in noting.telegram.named("sendMessage")]
    days = 1 + noting.room.clock.monotonic() // 86_400
    assert (told.count(STRANGER) <= days, told.count(BLOCKED) <= days) == (True, True)


async def test_matrix_of_groups_where_everybody_administrates_is_what_the_table_says(noting: Chat) -> None:
    """What takes an office runs for those of the group's administrators whom the table lets in."""
    ids = [*ROLES.values(), *STAND_INS]
    noting.telegram.administrators = {(GROUP - number, each) for number in range(len(CHATS)) for each in ids}
    wanted = [case for case in cases() if RULES[case.what, case.name].administers]
    ran = await allowed(noting, wanted)
    assert ran == {case for case in wanted if case.is_allowed}
    assert {case.role for case in ran if RULES[case.what, case.name].where == "group"} == {"owner", "admin", "trader"}


async def test_matrix_with_default_allow_differs(noting: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: a gate that admits everybody lets every one of the roles' plain messages and presses through."""

    def admit(sent: Update, *_: Any, **__: Any) -> Admitted:
        assert sent.effective_user is not None
        assert sent.effective_message is not None
        at = sent.effective_message
        return Admitted(sent.effective_user.id, "", "owner", at.chat_id, at.message_id, is_private=True)

    monkeypatch.setattr(admission, "admit", admit)
    wanted = [case for case in cases() if case.name in ("buy", "users", "confirm") and case.chat == "private"]
    ran = await allowed(noting, wanted)
    wrong = {case for case in ran if not case.is_allowed}
    assert {(case.what, case.role) for case in wrong} == set(itertools.product(("command", "button"), ROLES))


@pytest.mark.parametrize("kind", [each for each in SENDERS if each not in PRESSED and each != "/cmd@other"])
async def test_matrix_notices_a_gate_that_takes_one_kind_of_sender(
    noting: Chat, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Control: each kind of sender that is refused is refused by the gate, and would be heard without it."""
    monkeypatch.setattr("bot.chat.gate.sender_id", lambda sent: sent.effective_user.id)
    monkeypatch.setattr(admission, "sender_id", lambda sent: sent.effective_user.id)
    monkeypatch.setattr("bot.chat.gate._is_ours", lambda _: True)

    monkeypatch.setattr(noting.dispatcher._admission, "role", lambda _: "owner")
    wanted = [Case(what, "ip", "owner", "private", kind) for what in ("command", "button")]
    assert await allowed(noting, wanted) == set(wanted)


# The table itself


def test_rules_every_command_and_button_has_a_row() -> None:
    """What was added without saying who may use it is for nobody, and fails here."""
    assert {each for each, rule in RULES.items() if rule == NOBODY} == set()


def test_rules_collect_takes_them_from_the_table_alone() -> None:
    """A rule written beside a command counts for nothing: the table has the last word, and without a row nobody may."""

    async def run(call: Call) -> None:
        """Nothing."""

    class Module:
        COMMANDS = (
            Command("users", run, "", "Bot", rule=ANYWHERE),
            Command("unheard_of", run, "", "Bot", rule=ANYWHERE),
        )

    assert [each.rule for each in collect([Module]).commands.values()] == [ADMINS, NOBODY]


def test_rules_of_what_moves_money_or_gives_rights_are_strict() -> None:
    """The rows that matter most, said once more: orders, keys and people, in private chats only."""
    strict: dict[Rule, tuple[str, ...]] = {
        PLACING: ("buy", "sell", "trade"),
        TRADERS: ("cancel", "connect", "keys"),
        VIEWERS: ("balance", "orders", "order", "history", "export", "accounts"),
        ADMINS: ("invite", "users"),
    }
    assert {name: rules.COMMANDS[name] for names in strict.values() for name in names} == {
        name: rule for rule, names in strict.items() for name in names
    }
    buttons: dict[Rule, tuple[str, ...]] = {
        PLACING: ("ask", "confirm", "scale", "again", "override", "despite"),
        TRADERS: ("cancel", "cancel_many", "connect", "remove_key", "surely_remove_key", "settings_paper"),
        ADMINS: ("users", "user", "role", "take_back"),
    }
    assert {name: rules.ACTIONS[name] for names in buttons.values() for name in names} == {
        name: rule for rule, names in buttons.items() for name in names
    }


def test_rules_nobody_outranks_the_owner() -> None:
    """The rule of what has no row is out of everybody's reach."""
    assert max(RANK[role] for role in ("owner", "admin", "trader", "viewer")) < RANK[NOBODY.role]
