"""The names that the exchanges know our orders by: where a counter begins, and what it must not give again."""

from __future__ import annotations

import secrets

import pytest
from msgspec.structs import replace

from bot import ClientId, UserError
from bot.accounts import people
from bot.trading import client_ids
from bot.trading.orders import OrderRow
from tests.trading.conftest import BOB, START_MS, Room

COUNTER = ClientId("counter")
KNOWN = "tp7uerpwpijjv5zqu22nntvldr"
""""t" and the base32 of HMAC-SHA256 of "7 1700000000000" under 32 zero bytes, cut, in small letters."""


def mint(room: Room, row: OrderRow, rule: ClientId = COUNTER) -> str:
    return room.store.transact(lambda db: client_ids.mint(db, row, rule))


def name(room: Room, row: OrderRow, client_order_id: str) -> None:
    room.sql("DROP TRIGGER IF EXISTS orders_named")
    room.sql("UPDATE orders SET client_order_id=? WHERE id=?", client_order_id, row.id)


async def test_counter_of_one_account_says_nothing_of_another(room: Room) -> None:
    """Each account of an exchange counts by itself, and the numbers of one would tell how much another trades."""
    bobs = room.store.transact(lambda db: people.add_account(db, BOB, "acme", "bobs", START_MS, facts={}))
    own = await room.propose()
    name(room, own, "7")
    columns = "user_id, exchange, symbol, side, state, params, params_hash, intent, chat_id, expires_ms, created_ms"
    room.sql(
        f"INSERT INTO orders(account_id, client_order_id, updated_ms, {columns})"
        f" SELECT ?, '500', updated_ms, {columns} FROM orders",
        bobs.id,
    )
    assert (mint(room, own), mint(room, room.row(own.id + 1))) == ("8", "501")


async def test_counter_does_not_count_the_names_of_paper_orders(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that traded on paper first, where names are text, begins at random all the same."""
    row = await room.propose()
    name(room, row, KNOWN)
    monkeypatch.setattr(secrets, "randbelow", lambda _: 4711)
    assert mint(room, row) == "4712"


@pytest.mark.parametrize(
    ("last", "floor", "following"), [("7", "100", "101"), ("100", "7", "101"), (None, "100", "101"), (None, "0", "1")]
)
async def test_counter_after_a_restored_backup_begins_above_both(
    room: Room, last: str | None, floor: str, following: str
) -> None:
    """The numbers that were given after the backup was made are not known any more; the restore sets a floor."""
    row = await room.propose()
    if last is not None:
        name(room, row, last)
    room.sql("INSERT INTO meta(key, value) VALUES (?, ?)", f"client_id_floor:{room.account.id}", floor)
    room.sql("INSERT INTO meta(key, value) VALUES (?, '900')", f"client_id_floor:{room.account.id + 1}")
    assert mint(room, row) == following


@pytest.mark.parametrize(
    ("most", "below"), [(2_147_483_646, 1_000_000_000), (1_000, 500), (999, 500), (1, 1), (2, 1), (4, 2)]
)
async def test_counter_begins_below_the_middle_and_a_thousand_million(
    room: Room, monkeypatch: pytest.MonkeyPatch, most: int, below: int
) -> None:
    """So that at least half of the numbers are left, and no number is zero."""
    row = await room.propose()
    asked: list[int] = []

    def highest(limit: int) -> int:
        asked.append(limit)
        return limit - 1

    monkeypatch.setattr(secrets, "randbelow", highest)
    first = mint(room, row, ClientId("counter", max_value=most))
    monkeypatch.setattr(secrets, "randbelow", lambda limit: 0)
    lowest = mint(room, row, ClientId("counter", max_value=most))
    assert (asked, first, lowest) == ([below], str(below), "1")


async def test_counter_gives_its_highest_number_once(room: Room) -> None:
    """The last one is as good as any; after it there is none."""
    row = await room.propose()
    name(room, row, "41")
    rule = ClientId("counter", max_value=42)
    assert mint(room, row, rule) == "42"
    name(room, row, "42")
    with pytest.raises(UserError, match="used up its order numbers"):
        mint(room, row, rule)


@pytest.mark.parametrize(("longest", "length"), [(10, 10), (25, 25), (26, 26), (27, 26), (64, 26)])
async def test_text_is_as_long_as_allowed_up_to_26(room: Room, longest: int, length: int) -> None:
    """A shorter one is the beginning of a longer one."""
    row = await room.propose()
    made = mint(room, row, ClientId("text", longest))
    assert (len(made), made) == (length, mint(room, row, ClientId("text", 26))[:length])


async def test_text_is_the_published_digest_under_the_key_of_this_instance(room: Room) -> None:
    """A known answer: another version must derive the same id, or an order in flight is lost at an update."""
    row = await room.propose()
    room.sql("DELETE FROM meta WHERE key='client_id_key'")
    for key, value in (("a_key", "11" * 32), ("client_id_key", "00" * 32)):
        room.sql("INSERT INTO meta(key, value) VALUES (?, ?)", key, value)
    known = replace(row, id=7, created_ms=1_700_000_000_000)
    assert mint(room, known, ClientId("text")) == KNOWN


async def test_text_is_another_for_each_number_time_and_key(room: Room) -> None:
    """Asked for twice it is the same; a number that an old backup gives again, and another instance, have another."""
    row = replace(await room.propose(), id=7, created_ms=1_700_000_000_000)
    rows = [row, row, replace(row, id=8), replace(row, created_ms=row.created_ms + 1)]
    made = [mint(room, each, ClientId("text")) for each in rows]
    room.sql("UPDATE meta SET value=? WHERE key='client_id_key'", "22" * 32)
    made.append(mint(room, row, ClientId("text")))
    assert (made[0] == made[1], len(set(made))) == (True, 4)
