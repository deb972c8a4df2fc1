"""Codes in chat: setting up, asking before a key is added, replacing a key, and being forgotten."""

from __future__ import annotations

import time
from pathlib import Path

import pyotp
import pytest

from bot.accounts import second_factor
from bot.local.telegram import LocalTelegram
from tests.e2e.conftest import ANN, KEY, Desk

pytestmark = pytest.mark.network

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
STEP_MS = 10**11
NEW_KEY = {**KEY, "key": "bg_canarykey9876543210"}


@pytest.fixture(autouse=True)
def known_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One seed, and steps of three years: no step ends within a test."""
    monkeypatch.setattr(pyotp, "random_base32", lambda: SEED)
    monkeypatch.setattr(second_factor, "_STEP_MS", STEP_MS)


def code(later: int = 0) -> str:
    """Return the code of now, or of a step later, which counts once the one of now was used."""
    return pyotp.HOTP(SEED).at(time.time_ns() // 1_000_000 // STEP_MS + later)


def wrong_code() -> str:
    right = {code(step) for step in range(-2, 3)}
    return next(each for each in (f"{number:06d}" for number in range(9)) if each not in right)


async def gone(desk: Desk, part: str) -> None:
    """Wait until no message shows `part`, in its text or to be copied."""

    def none(telegram: LocalTelegram) -> bool:
        return not any(part in each.text for each in telegram.messages(ANN) if not each.is_deleted)

    await desk.telegram.wait(none, 10)  # type: ignore[arg-type]


def count(desk: Desk, table: str) -> int:
    assert desk.instance is not None
    query = f"SELECT count(*) FROM {table}"
    return int(desk.instance.store.transact(lambda db: db.execute(query).fetchone()[0]))


async def turn_on(desk: Desk) -> None:
    desk.say("/2fa on")
    await desk.see("Second factor", "six digits")
    desk.say(code(-1))
    await desk.see("The second factor is on now")


async def test_two_factor_is_set_up_tried_and_turned_off(desk: Desk) -> None:
    """The key is shown to be copied only and its message deleted, as is each code; a code counts once."""
    desk.say("/2fa")
    await desk.see("Your second factor is off")
    desk.say("/2fa on")
    await desk.see("Second factor", "six digits")
    desk.say(wrong_code())
    await desk.see("That code is wrong")
    used = code(-1)
    desk.say(used)
    await desk.see("The second factor is on now")
    await gone(desk, "Copy the key below")
    await gone(desk, used)
    assert not any(SEED in text for text in desk.texts())
    desk.say("/2fa test")
    await desk.see("Send the six digits", "to try it")
    desk.say(used)
    await desk.see("used already")
    desk.say(code())
    await desk.see("✓ The code is right")
    desk.say("/2fa off")
    await desk.see("to turn the second factor off")
    desk.say(code(1))
    await desk.see("was turned off by you")
    assert count(desk, "second_factor") == 0


async def test_connect_with_a_second_factor_asks_for_a_code_first(desk: Desk) -> None:
    """Without a right code the wizard does not begin, and five wrong ones lock it."""
    await turn_on(desk)
    desk.say("/connect bitget second")
    await desk.see("Send the six digits", "to add a key")
    for _ in range(5):
        desk.say(wrong_code())
    await desk.see("Too many wrong codes", "15 min")
    desk.say(code())
    await desk.see("Too many wrong codes")
    assert not any("Bitget · second" in text for text in desk.texts())
    desk.say("/cancel")


async def test_connect_with_a_second_factor_and_a_right_code_begins(desk: Desk) -> None:
    await turn_on(desk)
    desk.say("/connect bitget second")
    await desk.see("to add a key")
    desk.say(code())
    await desk.see("Bitget · second", "API key")


async def test_rotate_gives_the_account_its_new_key_and_keeps_its_orders(desk: Desk) -> None:
    """A new key of the same account shows the open order; the old key is erased; the order can still be canceled."""
    account = desk.exchange.accounts[KEY["key"]]
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("Accepted")
    desk.exchange.accounts[NEW_KEY["key"]] = account
    desk.say("/keys rotate main")
    await desk.see("Bitget · main", "new key")
    desk.say("\n".join(NEW_KEY[name] for name in ("key", "secret", "passphrase")))
    await desk.see("has its new key", "the same account at the exchange", "Delete the old key")
    del desk.exchange.accounts[KEY["key"]]
    assert (count(desk, "accounts"), count(desk, "credentials")) == (1, 3)
    desk.say("/cancel all")
    await desk.see("Cancel this order?")
    desk.press("Yes, cancel")
    await desk.see("✖ Canceled", "#1")


async def test_rotate_to_a_key_of_another_account_is_refused(desk: Desk) -> None:
    """The other account does not show the open order, so the old key stays and nothing is lost sight of."""
    desk.exchange.add_account(**NEW_KEY, balances={"USDT": 5})  # type: ignore[arg-type]
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("Accepted")
    desk.say("/keys rotate main")
    await desk.see("new key")
    desk.say("\n".join(NEW_KEY[name] for name in ("key", "secret", "passphrase")))
    await desk.see("Not connected", "another account at the exchange", "The old key stays")
    assert desk.instance is not None
    assert desk.instance.vault.open(1).key.reveal() == KEY["key"]
    assert (count(desk, "accounts"), count(desk, "credentials")) == (1, 3)


async def test_forget_me_erases_everything_but_not_the_owner(desk: Desk, tmp_path: Path) -> None:
    """The owner is pointed to the server; a trader with an open order is refused, and without one forgotten."""
    desk.say("/forgetme")
    await desk.see("The owner is named by the configuration")
    await desk.end()
    desk.settings = desk.settings.model_copy(update={"access": desk.settings.access.model_copy(update={"owner": 4242})})
    await desk.start()
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("Accepted")
    desk.say("/forgetme")
    await desk.see("Order #1 of main is not finished")
    desk.say("/cancel all")
    await desk.see("Cancel this order?")
    desk.press("Yes, cancel")
    await desk.see("✖ Canceled")
    desk.say("/forgetme")
    await desk.see("Forget you?")
    desk.press("Yes, forget me")
    await desk.see("You are forgotten")
    assert [count(desk, table) for table in ("credentials", "data_keys", "second_factor", "orders")] == [0, 0, 0, 1]
