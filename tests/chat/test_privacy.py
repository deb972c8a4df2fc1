"""User against user: what is not yours and what is not there are answered alike, and nothing of it is shown."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot.accounts import people
from bot.chat.gate import ADMINS
from bot.trading.confirm import Button
from bot.trading.intent import Intent
from tests.chat.conftest import Chat
from tests.trading.conftest import ANN, BOB

HERS, NOBODYS = "secretlabel", "otherlabel"
ABSENT = 987_654


@pytest.fixture
async def two(real: Chat) -> Chat:
    """Ann has an account with an open order and a preview; Bob has one of his own."""
    real.room.sql("UPDATE accounts SET label=? WHERE user_id=?", HERS, ANN)
    await real.room.placed(pair="ETH/USDT", price="2900")
    await real.room.propose()
    await real.say("/alert ETH/USDT > 90000", user_id=ANN)
    assert [row["id"] for row in real.room.sql("SELECT id FROM alerts")] == [1]
    real.room.store.transact(lambda db: people.add_account(db, BOB, "acme", "main", 0, paper=True))
    return real


COMMANDS = (
    "/order {order}", "/order #{order}", "/cancel {order}", "/cancel #{order}", "/why {order}",
    "/balance {label}", "/keys test {label}", "/keys rotate {label}", "/diag {order}",
    "/paper on {label}", "/paper off {label}",
    "/buy BTC/USDT 0.5 @ 58000 on {label}", "/sell BTC/USDT 0.5 @ 58000 on {label}",
)  # fmt: skip
ORDER_BUTTONS: dict[str, dict[str, Any]] = {
    "order": {}, "refresh": {}, "cancel": {}, "drop": {}, "again": {}, "surely_not_placed": {}, "scale": {"by": "2"},
}  # fmt: skip
"""Every button that is bound to an order, with what else it carries."""

BUTTONS: dict[str, dict[str, Any]] = {
    "cancel_many": {"ids": ["order"]},
    "late_cancel": {"args": "{order}"},
    "balance": {"args": "{label}"}, "balance_picture": {"args": "{label}"},
    "default": {"account": "account"}, "settings_default": {"account": "account"}, "test_key": {"account": "account"},
    "rotate_key": {"account": "account"}, "remove_key": {"account": "account"},
    "surely_remove_key": {"account": "account"},
    "settings_paper": {"args": "on {label}"},
    "ask": {"intent": "intent"}, "despite": {"intent": "intent", "despite": []},
    "alert_again": {"id": "alert"}, "alert_delete": {"id": "alert"}, "alert_edit": {"id": "alert"},
    "alert_show": {"id": "alert"}, "alert_snooze": {"id": "alert"},
}  # fmt: skip
"""Every button that names an order or an account in what it carries."""

CARRY_NONE = {
    "alert_list", "override", "not_wanted", "connect", "looked_at_key", "ip", "limits", "pnl_picture", "surely_forget",
}  # fmt: skip
"""Buttons that name nothing."""

ACT_IN_A_GROUP = {"group_fills", "group_level", "group_posters", "signal_cancel", "signal_post", "fills_stop"}
"""Buttons of the group's card, of a signal's author and of one's own shares; tests of groups and signals try them."""

ASK_FIRST = {"confirm", "confirm_code", "not_placed"}
"""Buttons bound to an order that read no row for their answer: Confirm, for its owner alone, and questions."""

LISTS = ("/orders", "/history", "/accounts", "/keys", "/balance", "/status", "/export", "/cancel all", "/settings")


def unnamed(texts: list[str], *names: str) -> list[str]:
    """What was said, without the names that differ."""
    return [re.sub("|".join(map(re.escape, names)), "…", text) for text in texts]


@pytest.mark.parametrize("command", COMMANDS)
async def test_command_with_anothers_number_is_answered_as_with_none(two: Chat, command: str) -> None:
    """Bob learns nothing from the difference, for there is none."""
    [order_id, *_] = [row["id"] for row in two.room.sql("SELECT id FROM orders WHERE user_id=?", ANN)]
    hers = await two.say(command.format(order=order_id, label=HERS), user_id=BOB)
    none = await two.say(command.format(order=ABSENT, label=NOBODYS), user_id=BOB)
    assert unnamed(hers, f"{order_id}", HERS) == unnamed(none, f"{ABSENT}", NOBODYS) != []


@pytest.mark.parametrize("action", ORDER_BUTTONS)
async def test_button_of_anothers_order_is_answered_as_a_number_that_is_not_there(two: Chat, action: str) -> None:
    """Also a button that was made for Bob and is bound to an order of Ann's says what a mistyped number gets."""
    before = _rows_of(two, ANN)
    none = unnamed(await two.say(f"/order {ABSENT}", user_id=BOB), f"{ABSENT}")
    for row in before["orders"]:
        [_, *told] = await _pressed(two, Button("x", action, ORDER_BUTTONS[action], row["id"]))
        assert unnamed(told, f"{row['id']}") == none
    await two.room.desk.drain()
    assert _rows_of(two, ANN) == before


@pytest.mark.parametrize("action", BUTTONS)
async def test_button_with_anothers_number_is_answered_as_with_none(two: Chat, action: str) -> None:
    """A button that carries a number or name of Ann's does what one does that carries nobody's."""
    before = _rows_of(two, ANN)
    [account_id] = [row["id"] for row in two.room.sql("SELECT id FROM accounts WHERE user_id=?", ANN)]
    for row in before["orders"]:
        hers = await _pressed(two, Button("x", action, _payload(action, row["id"], HERS, account_id)))
        none = await _pressed(two, Button("x", action, _payload(action, ABSENT, NOBODYS, ABSENT)))
        hers = [each.replace("alert #1 ", f"alert #{ABSENT} ") for each in hers]
        assert unnamed(hers, f"{row['id']}", HERS, f"{ABSENT}") == unnamed(none, f"{ABSENT}", NOBODYS)
        assert none
    await two.room.desk.drain()
    assert _rows_of(two, ANN) == before


@pytest.mark.parametrize("command", LISTS)
async def test_list_shows_nothing_of_another_person(two: Chat, command: str) -> None:
    """No list of Bob's has a label, a pair or an order of Ann's; and Ann's own answer shows that there is one."""
    before = _rows_of(two, ANN)
    told = "\n".join(await two.say(command, user_id=BOB))
    assert [word for word in (HERS, "ETH", "2,900", "2900") if word in told] == []
    assert _rows_of(two, ANN) == before
    assert await two.say(command, user_id=ANN) != [told]


def test_every_button_is_tried_or_carries_nothing(two: Chat) -> None:
    """A new button is listed above, or is named as one that carries no number of anybody's."""
    of_administrators = {name for name, each in two.registry.actions.items() if each.rule == ADMINS}
    assert (
        two.registry.actions.keys() - CARRY_NONE - ACT_IN_A_GROUP - ASK_FIRST - of_administrators
        == ORDER_BUTTONS.keys() | BUTTONS.keys()
    )


def _payload(action: str, order_id: int, label: str, account_id: int) -> dict[str, Any]:
    intent = Intent("buy", "BTC/USDT", account=label).to_json()
    alert = 1 if label == HERS else ABSENT
    values: dict[str, Any] = {"account": account_id, "intent": intent, "order": order_id, "alert": alert}

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [values[each] for each in value]
        return values.get(value) or value.format(order=order_id, label=label)

    return {name: filled(value) for name, value in BUTTONS[action].items()}


async def _pressed(two: Chat, button: Button) -> list[str]:
    """Let Bob press; return the toast and what was said."""
    message_id, [data] = await two.show(button, user_id=BOB)
    before = len(two.telegram.texts())
    toasts = await two.press(data, message_id, user_id=BOB)
    return [*toasts, *two.telegram.texts()[before:]]


def _rows_of(two: Chat, user_id: int) -> dict[str, list[dict[str, Any]]]:
    return {
        table: [dict(row) for row in two.room.sql(f"SELECT * FROM {table} WHERE {column}=?", user_id)]
        for table, column in (("orders", "user_id"), ("accounts", "user_id"), ("users", "id"))
    }
