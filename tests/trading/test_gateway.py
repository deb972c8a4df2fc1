from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from bot import NotSent, OutcomeUnknown, UserError, WrongAccountMode
from bot.accounts import people
from bot.exchanges.transport import Departure
from bot.trading import queries
from tests.trading.conftest import MARKET, Blind, Room, new_room


def test_named_exchange_not_in_use_says_why(room: Room) -> None:
    """A person reads which exchange it is, and the reason where one is known."""
    room.gateway.unusable = {"broken": "its plugin cannot be imported"}
    for name, why in (("broken", "its plugin cannot be imported"), ("other:paper", "it is not installed")):
        with pytest.raises(UserError, match=f"{name.removesuffix(':paper')} cannot be used: {why}"):
            room.gateway.named(name)


def test_exchange_of_a_paper_account_is_the_paper_one(room: Room) -> None:
    """The switch of the account decides where a new preview is made."""
    found = [room.gateway.exchange(replace(room.account, paper=paper)).info.id for paper in (False, True)]
    assert found == ["acme", "acme:paper"]


async def test_symbols_are_read_once_an_hour(room: Room) -> None:
    """Markets are kept for an hour, then read again."""
    reads = []
    for seconds in (0, 3599, 1):
        room.clock.advance(seconds)
        await room.gateway.symbols("acme")
        reads.append(room.exchange.asked.count("/markets"))
    assert reads == [1, 1, 2]


async def test_symbols_old_list_is_better_than_none(room: Room) -> None:
    """An exchange that does not answer after an hour leaves yesterday's list; one never read leaves an error."""
    first = await room.gateway.symbols("acme")
    room.clock.advance(3600)
    room.exchange.broken["/markets"] = room.paper.broken["/markets"] = "error"
    assert await room.gateway.symbols("acme") is first
    with pytest.raises(OutcomeUnknown):
        await room.gateway.symbols("acme:paper")


async def test_account_without_facts_is_detected_once_and_kept(room: Room) -> None:
    """What kind of account it is is asked before the first use, and stored."""
    fresh = replace(room.account, facts={})
    await room.gateway.balances(fresh)
    stored = room.store.transact(lambda db: people.known_account(db, room.account.id))
    await room.gateway.balances(stored)
    assert (stored.facts, room.exchange.asked.count("/mode")) == ({"mode": "new"}, 1)


async def test_order_of_an_account_of_unknown_kind_leaves_once_that_was_asked(room: Room) -> None:
    """What is sent depends on the kind."""
    row = await room.confirmed()
    room.exchange.asked.clear()
    asked: list[list[str]] = []

    async def note(_: Departure) -> None:
        asked.append([*room.exchange.asked])

    await room.gateway.place(replace(room.account, facts={}), row.order, note)
    assert (asked, len(room.exchange.placing)) == ([["/mode"]], 1)


async def test_read_in_the_wrong_mode_is_repeated_after_detection(room: Room) -> None:
    """An account that was switched at the exchange is found out, and the question put again."""
    row = await room.placed()
    room.exchange.reads = ["MODE"]
    report = await room.gateway.order_status(room.account, row.order, "x1")
    assert (report.exchange_order_id, room.exchange.asked.count("/mode")) == ("x1", 1)


@pytest.mark.parametrize("detection", ["fine", "error", "unreachable", "POOR"])
async def test_place_in_the_wrong_mode_is_refused_and_never_repeated(room: Room, detection: str) -> None:
    """The order is not sent again; the refusal stands, and the next order knows better, if the detection worked."""
    row = await room.confirmed()
    room.exchange.broken["/mode"] = detection
    room.exchange.faults.append("mode")
    room.desk.send(row)
    await room.desk.drain()
    facts = room.store.transact(lambda db: people.known_account(db, room.account.id)).facts
    assert (room.row(row).state, room.row(row).reason, len(room.exchange.placing)) == ("rejected", "Acme says MODE.", 1)
    assert facts == {"mode": "new" if detection == "fine" else "old"}


async def test_place_in_the_wrong_mode_raises_what_the_exchange_said(room: Room) -> None:
    """A failing detection does not take the place of the refusal."""
    row = await room.confirmed()
    room.exchange.broken["/mode"] = "error"
    room.exchange.faults.append("mode")

    async def before_send(_: object) -> None:
        pass

    with pytest.raises(WrongAccountMode):
        await room.gateway.place(room.account, row.order, before_send)


async def test_find_order_without_the_hook_is_no_answer(tmp_path: Path) -> None:
    """Where nobody can look, `not found` must not be what comes back."""
    room = new_room(tmp_path, kind=Blind)
    row = await room.confirmed()
    with pytest.raises(NotSent) as caught:
        await room.gateway.find_order(room.account, row.order)
    assert caught.value.code == "UNSUPPORTED"
    await room.close()


async def test_find_order_absent_is_none_only_after_a_clean_read(room: Room) -> None:
    """`None` is what the exchange said; everything else is raised."""
    row = await room.confirmed()
    assert await room.gateway.find_order(room.account, row.order) is None
    room.exchange.reads = ["error", "unreadable"]
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await room.gateway.find_order(room.account, row.order)


async def test_optional_hooks_that_are_missing_are_empty(room: Room) -> None:
    """An exchange that lists neither orders nor fills, nor tells a key's rights, is no error."""
    gateway, account = room.gateway, room.account
    found = await gateway.open_orders(account, [MARKET]), await gateway.fills(account, [MARKET])
    assert found == ([], [])
    assert (await gateway.key_permissions(account)).can_withdraw == "unknown"


async def test_account_of_an_order_ignores_the_paper_switch(room: Room) -> None:
    """The exchange of an order is the one it was drafted for."""
    row = await room.propose()
    room.store.transact(lambda db: people.set_paper(db, room.account.id, on=True))
    account = room.store.transact(lambda db: queries.account_of(db, row))
    assert room.gateway.exchange(account).info.id == "acme"


async def test_close_lets_go_of_every_exchange(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each transport is closed."""
    closed = []

    async def close(self: object) -> None:
        closed.append(self)

    monkeypatch.setattr("bot.exchanges.transport.Transport.close", close)
    await room.gateway.close()
    assert len(closed) == 2
