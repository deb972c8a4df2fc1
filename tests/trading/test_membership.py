"""A change of role is one commit: what it ends, its event, and who is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot import UserError
from bot.accounts import people, roles
from bot.trading import confirm, events, membership
from bot.trading.confirm import Button, Press
from bot.trading.membership import Change
from tests.trading.conftest import ANN, BOB, START_MS, Room

OWNER, ADMIN, EVE = 1, 2, 66


@pytest.fixture
def people_in(room: Room) -> Room:
    """A room with an administrator."""
    room.store.transact(lambda db: people.ensure_user(db, ADMIN, "admin", "Max", now_ms=START_MS))
    return room


def change(room: Room, user_id: int, role: Any, by: int = ADMIN, name: str = "") -> Change:
    return room.store.transact(
        lambda db: membership.change_role(
            db, by=by, owner=OWNER, user_id=user_id, role=role, name=name, now_ms=room.clock.now_ms()
        )
    )


def told(room: Room) -> dict[int, list[str]]:
    """Chat to the notes that wait for it."""
    found: dict[int, list[str]] = {}
    for row in room.sql("SELECT chat_id, payload FROM outbox WHERE kind='note' ORDER BY id"):
        found.setdefault(row["chat_id"], []).append(json.loads(row["payload"])["text"])
    return found


def recorded(room: Room) -> list[tuple[int | None, str, dict[str, Any]]]:
    rows = room.sql("SELECT user_id, kind, detail FROM events WHERE order_id IS NULL ORDER BY id")
    return [(row["user_id"], row["kind"], json.loads(row["detail"])) for row in rows]


async def test_lowered_role_ends_previews_confirmed_orders_buttons_and_invitations(people_in: Room) -> None:
    """Nothing that was begun under the old role goes on, and what is at the exchange stays there."""
    room = people_in
    room.store.transact(lambda db: roles.set_role(db, ANN, "admin", now_ms=0))
    open_order = await room.placed(price="57000")
    waiting, confirmed = await room.propose(), await room.confirmed(price="56000")
    (data,) = room.show(waiting)
    token = room.store.transact(
        lambda db: membership.invite(db, by=ANN, owner=OWNER, role="viewer", seconds=60, now_ms=START_MS)
    )
    found = change(room, ANN, "viewer", by=OWNER)
    assert found == Change(ANN, "", "admin", "viewer", 1)
    assert [room.row(each).state for each in (open_order, waiting, confirmed)] == ["open", "expired", "not_placed"]
    assert await room.press(waiting, data) == "expired"
    assert room.sql("SELECT * FROM invites") == []
    joined = room.store.transact(
        lambda db: membership.join(db, token, user_id=EVE, name="Eve", owner=OWNER, now_ms=START_MS)
    )
    room.desk.send(confirmed)  # as if the commit came between Confirm and the request
    await room.desk.drain()
    assert (joined, len(room.exchange.placing)) == (None, 1)


async def test_lowered_role_ends_every_button(people_in: Room) -> None:
    """Also one that is bound to no order; those of others live on."""
    pressed = {}
    for user_id in (ANN, BOB):
        where = {"user_id": user_id, "chat_id": user_id, "message_id": 6, "now_ms": START_MS}
        [data] = people_in.store.transact(lambda db, where=where: confirm.mint(db, [Button("x", "balance")], **where))
        pressed[user_id] = (data, where)
    change(people_in, ANN, "viewer")
    found = [
        people_in.store.transact(lambda db, data=data, where=where: confirm.redeem(db, data, **where))
        for data, where in pressed.values()
    ]
    assert found == ["expired", Press("balance", {}, None, None)]


async def test_lowered_role_leaves_other_people_alone(people_in: Room) -> None:
    """Bob is blocked; Ann's preview can still be confirmed."""
    row = await people_in.propose()
    (data,) = people_in.show(row)
    change(people_in, BOB, "blocked")
    assert isinstance(await people_in.press(row, data), tuple)


@pytest.mark.parametrize(("before", "role"), [("viewer", "trader"), ("trader", "trader")])
async def test_raised_or_same_role_ends_nothing(people_in: Room, before: Any, role: Any) -> None:
    """Only lost rights end what was begun."""
    people_in.store.transact(lambda db: roles.set_role(db, ANN, before, now_ms=0))
    row = await people_in.propose()
    change(people_in, ANN, role)
    assert people_in.row(row).state == "proposed"


async def test_change_is_an_event_and_told_to_owner_and_person(people_in: Room) -> None:
    """Who, from what, to what and by whom stands in the one chain; the blocked person is not told."""
    change(people_in, EVE, "viewer", name="Eve")
    change(people_in, EVE, "trader", by=OWNER)
    change(people_in, EVE, "blocked", by=roles.SERVER)
    assert recorded(people_in) == [
        (EVE, "role", {"role": "viewer", "was": "stranger", "by": "2"}),
        (EVE, "role", {"role": "trader", "was": "viewer", "by": "1"}),
        (EVE, "role", {"role": "blocked", "was": "trader", "by": "the server"}),
    ]
    assert told(people_in) == {
        OWNER: [
            "Eve (66) may use the bot as viewer. Changed by 2.",
            "Eve (66) is blocked. Changed by the server.",
        ],
        EVE: [
            "You may now use this bot as viewer. /help lists everything.",
            "You may now use this bot as trader. /help lists everything.",
        ],
    }
    assert people_in.store.transact(events.verify_chain) is None


async def test_change_to_the_same_role_is_no_news(people_in: Room) -> None:
    """A second press of the same button is neither recorded nor told."""
    change(people_in, BOB, "trader")
    assert (recorded(people_in), told(people_in)) == ([], {})


async def test_change_refused_leaves_no_trace(people_in: Room) -> None:
    """Of a refusal there is neither role, event, notice nor ended preview."""
    row = await people_in.propose()
    before = people_in.sql("SELECT count(*) AS n FROM events")[0]["n"]
    people_in.store.transact(lambda db: roles.set_role(db, ANN, "admin", now_ms=0))
    with pytest.raises(UserError):
        change(people_in, ANN, "viewer")
    assert (people_in.row(row).state, told(people_in)) == ("proposed", {})
    assert people_in.sql("SELECT count(*) AS n FROM events")[0]["n"] == before


async def test_change_that_fails_late_is_undone_as_a_whole(people_in: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Role, buttons, previews and event are one commit: without the last, nothing of it happened."""
    row = await people_in.propose()
    (data,) = people_in.show(row)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(events, "record", broken)
    with pytest.raises(RuntimeError):
        change(people_in, ANN, "blocked")
    monkeypatch.undo()
    assert isinstance(await people_in.press(row, data), tuple)


async def test_join_makes_the_person_records_it_and_tells_owner_and_maker(people_in: Room) -> None:
    """The invitation and its use are two events; a long name is cut."""
    token = people_in.store.transact(
        lambda db: membership.invite(db, by=ADMIN, owner=OWNER, role="trader", seconds=900, now_ms=START_MS)
    )
    role = people_in.store.transact(
        lambda db: membership.join(db, token, user_id=EVE, name="Eve" * 50, owner=OWNER, now_ms=START_MS)
    )
    user = people_in.store.transact(lambda db: people.get_user(db, EVE))
    name = ("Eve" * 50)[:64]
    assert (role, user) == ("trader", people.User(EVE, "trader", name, None))
    assert recorded(people_in) == [
        (ADMIN, "invited", {"role": "trader", "seconds": 900}),
        (EVE, "role", {"role": "trader", "was": "stranger", "by": "2", "invited": True}),
    ]
    used = f"{name} (66) may use the bot as trader. They used an invitation of 2."
    assert told(people_in) == {OWNER: ["2 made an invitation for a trader.", used], ADMIN: [used]}


async def test_change_of_somebody_with_open_orders_says_so(people_in: Room) -> None:
    """Whoever blocks a person learns what is left at the exchange."""
    await people_in.placed()
    assert change(people_in, ANN, "blocked").in_words == (
        f"{ANN} is blocked. Their unfinished orders stay at the exchange: 1."
    )
