"""/keys: what is known of the keys; testing, changing and removing them."""

from __future__ import annotations

from contextlib import suppress

from telegram.error import TelegramError

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.chat.commands.accounts import has_key, title_of, uses_keys
from bot.chat.commands.connect import MARKS, begin_rotation
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Key, Reply, say
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.store.database import Connection
from bot.trading import queries
from bot.trading.confirm import Button
from bot.trading.connect import remove_key
from bot.trading.law import DOUBTFUL, LIVE
from bot.trading.selftest import self_test

_EDIT_SECONDS = 1  # Telegram's own pace, so that a test leaves the chat's burst to orders
_AGE_WARNING_MS = 90 * 86_400_000


async def keys(call: Call) -> Reply | None:
    """List the keys with what is known of their rights, test one, or replace one."""
    words = call.args.lower().split()
    if words[:1] == ["test"]:
        await _test(call, await call.account(words[1] if words[1:] else None))
        return None
    if words[:1] == ["rotate"]:
        return await begin_rotation(call, await call.account(words[1] if words[1:] else None))
    rows = [row for row in await call.accounts() if uses_keys(call, row)]
    if not rows:
        await call.account()
        return say("No key is stored here. /connect adds one.")
    text = Text().bold("Keys").line()
    buttons: list[tuple[Key, ...]] = []
    for row in rows:
        text.line(f"{title_of(call, row)} · {badge(row, call.services.clock.now_ms())}")
        buttons.append(
            (
                Button(f"Test {row.label}", "test_key", {"account": row.id}),
                Button("New key", "rotate_key", {"account": row.id}),
                Button(f"Remove {row.label}", "remove_key", {"account": row.id}, style="danger"),
            )
        )
    return Reply(text, tuple(buttons))


def badge(row: AccountRow, now_ms: int) -> str:
    """Return what is known of a key, in a few words."""
    withdraw = {"no": "🔒 cannot withdraw", "yes": "⛔ can withdraw"}.get(
        str(row.rights.get("can_withdraw")), "⚠ withdraw right not verified"
    )
    old = " · older than 90 days, make a new one" if now_ms - row.created_ms > _AGE_WARNING_MS else ""
    return withdraw + old


async def test_key(call: Call) -> None:
    """Test the key of a button."""
    await _test(call, await _own(call, call.payload["account"]))


async def rotate_key(call: Call) -> Reply | None:
    """Replace the key of a button."""
    return await begin_rotation(call, await _own(call, call.payload["account"]))


async def _test(call: Call, row: AccountRow) -> None:
    """Test a key, and tick off the steps in one message as they are done."""
    if not await has_key(call, row):
        raise UserError(f"{row.label} has no key to test. /connect adds one.", code="NO_KEY")
    services, who, message_id = call.services, call.who, call.edits
    text = Text().bold(f"Testing {title_of(call, row)}").line()

    async def show() -> int | None:
        return await services.sender.send(Reply(text), chat_id=who.chat_id, user_id=who.user_id, message_id=message_id)

    due = services.clock.monotonic()
    async for step in self_test(services.gateway, services.store, row):
        text.line(f"{MARKS[step.mark]} {step.name}: {step.text}")
        now = services.clock.monotonic()
        if now >= max(due, services.sender.pacer.ready_at(who.chat_id, "result")):
            with suppress(TelegramError):  # the end tells all of it
                message_id = await show() or message_id
            due = now + _EDIT_SECONDS
    await show()


async def ask_to_remove(call: Call) -> Reply:
    """Ask before a key is erased."""
    row = await _own(call, call.payload["account"])
    sure = Button("Yes, erase it", "surely_remove_key", {"account": row.id}, seconds=60, style="danger")
    return say(f"Erase the key {row.label}? It cannot be undone here.", (sure,))


async def surely_remove_key(call: Call) -> Reply:
    """Erase a key."""
    row = await _own(call, call.payload["account"])

    def work(db: Connection) -> None:
        live = queries.in_states(db, ("confirmed", *LIVE, *DOUBTFUL), row.id)
        if live:
            raise UserError(f"Order #{live[0].id} of {row.label} is not finished; without the key I lose sight of it.")
        remove_key(db, row, call.services.clock.now_ms())

    await call.commit(work)
    return say(f"The key {row.label} is erased here. Delete it at the exchange too.")


async def _own(call: Call, account_id: int) -> AccountRow:
    found = await call.read(lambda db: people.get_account(db, account_id, call.who.user_id))
    if found is None:
        raise UserError("There is no such account. /accounts lists yours.", code="NO_ACCOUNT")
    return found


COMMANDS = (
    Command(
        "keys",
        keys,
        "Your keys: rights, test, new key, remove",
        "Accounts",
        "[test | rotate [ACCOUNT]]",
        "/keys test",
        details="rotate gives an account a new key: its orders stay, and the old key is erased.",
    ),
)
ACTIONS = (
    Action("test_key", test_key, toast="Asking the exchange…"),
    Action("rotate_key", rotate_key),
    Action("remove_key", ask_to_remove),
    Action("surely_remove_key", surely_remove_key),
)
