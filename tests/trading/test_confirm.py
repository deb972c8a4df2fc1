from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.store.database import Store
from bot.trading import confirm
from bot.trading.confirm import PREFIX, Button, Press, Refusal
from tests.trading.conftest import ANN, BOB, CHAT, START_MS, Room

CARD = 500
HOUSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def mint(room: Room, *buttons: Button, message_id: int | None = CARD, now_ms: int = START_MS) -> list[str]:
    return room.store.transact(
        lambda db: confirm.mint(db, buttons, user_id=ANN, chat_id=CHAT, message_id=message_id, now_ms=now_ms)
    )


def redeem(room: Room, data: str, **other: int) -> Press | Refusal:
    where = {"user_id": ANN, "chat_id": CHAT, "message_id": CARD, "now_ms": START_MS} | other
    return room.store.transact(lambda db: confirm.redeem(db, data, **where))


async def test_redeem_own_button_in_time_gives_what_it_was_made_for(room: Room) -> None:
    """A press brings back the action, its payload and the order it is bound to."""
    row = await room.propose()
    (data,) = mint(room, Button("½", "scale", {"by": "0.5"}, row.id, row.params_hash))
    assert redeem(room, data) == Press("scale", {"by": "0.5"}, row.id, row.params_hash)


async def test_mint_data_fits_telegram_and_tells_nothing(room: Room) -> None:
    """Callback data has at most 64 bytes, never repeats, and the database holds only its hash."""
    data = [mint(room, Button("yes", "go", {"id": 1}))[0] for _ in range(50)]
    assert len(set(data)) == 50
    assert max(len(each.encode()) for each in data) <= 64
    stored = b"".join(row["nonce_hash"] for row in room.sql("SELECT nonce_hash FROM buttons"))
    dump = "\n".join(str(tuple(row)) for row in room.sql("SELECT * FROM buttons"))
    assert not [each for each in data if each.removeprefix(PREFIX) in dump or each.encode() in stored]


@pytest.mark.parametrize(
    ("other", "refusal"),
    [
        ({"user_id": BOB}, "not yours"),
        ({"chat_id": CHAT + 1}, "unknown"),
        ({"message_id": CARD + 1}, "unknown"),
        ({"now_ms": START_MS + 600_000}, "expired"),
        ({"now_ms": START_MS + 600_001}, "expired"),
        ({"user_id": BOB, "chat_id": CHAT + 1}, "unknown"),
        ({"user_id": BOB, "now_ms": START_MS + 600_001}, "not yours"),
    ],
)
async def test_redeem_elsewhere_or_late_is_refused_and_not_spent(
    room: Room, other: dict[str, int], refusal: Refusal
) -> None:
    """A button works for its person, in its chat, under its message, in its time; a wrong press does not use it up."""
    (data,) = mint(room, Button("yes", "go"))
    assert redeem(room, data, **other) == refusal
    assert redeem(room, data, now_ms=START_MS + 599_999) == Press("go", {}, None, None)


async def test_redeem_second_press_is_refused(room: Room) -> None:
    """A button works once, also for the same person in the same moment."""
    (data,) = mint(room, Button("yes", "go"))
    assert [redeem(room, data) for _ in range(3)] == [Press("go", {}, None, None), "used", "used"]


async def test_redeem_after_rollback_works_again(room: Room) -> None:
    """A press whose transaction failed was no press."""
    (data,) = mint(room, Button("yes", "go"))

    def fails(db: Any) -> None:
        confirm.redeem(db, data, user_id=ANN, chat_id=CHAT, message_id=CARD, now_ms=START_MS)
        raise KeyError

    with pytest.raises(KeyError):
        room.store.transact(fails)
    assert redeem(room, data) == Press("go", {}, None, None)


async def test_mint_again_on_a_message_kills_its_earlier_buttons_only(room: Room) -> None:
    """A card that is drawn anew leaves no old Confirm alive; other messages keep theirs."""
    old = mint(room, Button("yes", "go"), Button("no", "stop"))
    (elsewhere,) = mint(room, Button("yes", "go"), message_id=CARD + 1)
    (new,) = mint(room, Button("yes", "go"))
    assert [redeem(room, data) for data in (*old, new)] == ["expired", "expired", Press("go", {}, None, None)]
    assert redeem(room, elsewhere, message_id=CARD + 1) == Press("go", {}, None, None)


async def test_attach_binds_once(room: Room) -> None:
    """A button of a message that is not sent yet works nowhere, and it can be bound to one message only."""
    (data,) = mint(room, Button("yes", "go"), message_id=None)
    assert redeem(room, data) == "unknown"
    room.store.transact(lambda db: confirm.attach(db, [data], CARD))
    room.store.transact(lambda db: confirm.attach(db, [data], CARD + 1))
    assert redeem(room, data, message_id=CARD + 1) == "unknown"
    assert redeem(room, data) == Press("go", {}, None, None)


async def test_mint_forgets_old_buttons_after_two_days(room: Room) -> None:
    """The table stays small, and no live or recent button is forgotten."""
    mint(room, Button("old", "go", seconds=1))
    (kept,) = mint(room, Button("kept", "go", seconds=86_400 * 3), message_id=CARD + 1)
    mint(room, Button("new", "go"), message_id=CARD + 2, now_ms=START_MS + 86_400_000 * 2 + 1_001)
    assert len(room.sql("SELECT 1 FROM buttons")) == 2
    later = START_MS + 86_400_000 * 2 + 1_002
    assert redeem(room, kept, message_id=CARD + 1, now_ms=later) == Press("go", {}, None, None)


@HOUSE
@given(st.text(max_size=64))
async def test_redeem_any_text_is_unknown(room: Room, text: str) -> None:
    """Whatever is sent as callback data, it redeems nothing and raises nothing a person could see."""
    mint(room, Button("yes", "go"))
    assert redeem(room, text) == redeem(room, PREFIX + text) == "unknown"


@HOUSE
@given(st.integers(0, 24), st.characters(codec="ascii", exclude_categories=["Cc"]))
async def test_redeem_data_with_one_character_changed_is_unknown(room: Room, at: int, character: str) -> None:
    """The data of a live button with one character changed is not nearly right."""
    (data,) = mint(room, Button("yes", "go"))
    forged = data[:at] + character + data[at + 1 :]
    assert redeem(room, forged) == (Press("go", {}, None, None) if forged == data else "unknown")


@HOUSE
@given(st.sampled_from(["{}=", "{} ", "{}\n", " {}", "{}AA"]))
async def test_redeem_data_with_something_added_is_unknown(room: Room, shape: str) -> None:
    """No padding, blank or tail makes a second spelling of the same button."""
    (data,) = mint(room, Button("yes", "go"))
    assert redeem(room, shape.format(data)) == "unknown"


async def test_redeem_data_without_its_prefix_is_unknown(room: Room) -> None:
    """Only what was sent as callback data counts, not the number inside it."""
    (data,) = mint(room, Button("yes", "go"))
    assert redeem(room, data.removeprefix(PREFIX)) == "unknown"


async def test_redeem_by_many_threads_and_connections_succeeds_once(room: Room) -> None:
    """One press wins, though four connections to the same file race for it."""
    (data,) = mint(room, Button("yes", "go"))
    stores = [Store(room.path) for _ in range(4)]

    def press(number: int) -> Press | Refusal:
        return stores[number % 4].transact(
            lambda db: confirm.redeem(db, data, user_id=ANN, chat_id=CHAT, message_id=CARD, now_ms=START_MS)
        )

    with ThreadPoolExecutor(8) as pool:
        results = await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(pool, press, number) for number in range(64))
        )
    for store in stores:
        store.close()
    assert sorted(map(str, results)) == sorted([str(Press("go", {}, None, None)), *["used"] * 63])


async def test_control_press_without_compare_and_set_wins_more_than_once(room: Room) -> None:
    """Control: reading first and marking afterwards, as a press must not do, lets several presses through."""
    (data,) = mint(room, Button("yes", "go"))
    won = []

    async def careless() -> None:
        row = await room.store.run(lambda db: db.execute("SELECT used_ms FROM buttons").fetchone())
        if row["used_ms"] is None:
            won.append(data)
            await room.store.run(lambda db: db.execute("UPDATE buttons SET used_ms=1"))

    await asyncio.gather(*(careless() for _ in range(20)))
    assert len(won) > 1


async def test_buttons_row_cannot_lose_its_owner(room: Room) -> None:
    """A button without a person or chat cannot even be stored."""
    with pytest.raises(sqlite3.IntegrityError):
        room.sql(
            "INSERT INTO buttons(nonce_hash, action, payload, chat_id, expires_ms) VALUES (x'00', 'a', '{}', 1, 1)"
        )


async def test_cancel_pressed_while_its_card_is_drawn_anew_still_works(room: Room) -> None:
    """A thumb on its way to Cancel is not ignored because a fill redrew the card; ten seconds later it is."""
    first, second = mint(room, Button("cancel", "cancel"), Button("look", "refresh"))
    mint(room, Button("cancel", "cancel"))
    seen = [redeem(room, first, now_ms=START_MS + 9_999), redeem(room, second, now_ms=START_MS + 10_000)]
    assert seen == [Press("cancel", {}, None, None), "expired"]


# The figures, each on both sides of its edge.


def look(room: Room, data: str, **other: int) -> Press | None:
    where = {"user_id": ANN, "chat_id": CHAT, "message_id": CARD, "now_ms": START_MS} | other
    return room.store.transact(lambda db: confirm.look_at(db, data, **where))


@pytest.mark.parametrize(
    ("other", "is_seen"),
    [
        ({}, True),
        ({"now_ms": START_MS + 599_999}, True),
        ({"now_ms": START_MS + 600_000}, False),
        ({"user_id": BOB}, False),
        ({"chat_id": CHAT + 1}, False),
        ({"message_id": CARD + 1}, False),
    ],
)
async def test_look_at_sees_what_redeem_would_give_and_spends_nothing(
    room: Room, other: dict[str, int], is_seen: bool
) -> None:
    """Person, chat, message and time are those of a press; looking is none."""
    row = await room.propose()
    (data,) = mint(room, Button("½", "scale", {"by": "0.5"}, row.id, row.params_hash))
    press = Press("scale", {"by": "0.5"}, row.id, row.params_hash)
    assert [look(room, data, **other) for _ in range(2)] == [press if is_seen else None] * 2
    assert redeem(room, data) == press
    assert look(room, data) is None


async def test_look_at_another_text_sees_nothing(room: Room) -> None:
    """Neither the number without its prefix, nor another number."""
    (data,) = mint(room, Button("yes", "go"))
    assert [look(room, each) for each in (data.removeprefix(PREFIX), data + "A", "")] == [None, None, None]


async def test_mint_binds_each_button_to_its_own_order_and_payload(room: Room) -> None:
    """Of several buttons under one card each brings back what it was made for, in the order they were asked for."""
    row = await room.propose()
    texts = mint(
        room, Button("a", "one", {"n": 1, "by": "0.5"}, row.id), Button("b", "two", {"n": [2]}, None, b"hash", 30)
    )
    assert [redeem(room, each) for each in texts] == [
        Press("one", {"n": 1, "by": "0.5"}, row.id, None),
        Press("two", {"n": [2]}, None, b"hash"),
    ]


async def test_mint_again_does_not_make_an_old_button_live_longer(room: Room) -> None:
    """A Cancel that has five seconds left has five seconds left after its card was drawn anew, not ten."""
    (old,) = mint(room, Button("cancel", "cancel", seconds=5))
    mint(room, Button("cancel", "cancel"))
    assert redeem(room, old, now_ms=START_MS + 5_000) == "expired"


async def test_mint_elsewhere_leaves_the_buttons_of_other_cards(room: Room) -> None:
    """The same message number in another chat is another message; a card that is not sent yet ends no other."""
    (data,) = mint(room, Button("yes", "go"))

    def other_chat(db: Any) -> None:
        confirm.mint(db, [Button("yes", "go")], user_id=ANN, chat_id=CHAT + 1, message_id=CARD, now_ms=START_MS)

    room.store.transact(other_chat)
    mint(room, Button("yes", "go"), message_id=None)
    assert redeem(room, data) == Press("go", {}, None, None)


async def test_mint_again_ends_a_button_whatever_becomes_of_the_clock(room: Room) -> None:
    """A clock that is set back does not bring an ended Confirm to life."""
    (old,) = mint(room, Button("yes", "go"))
    mint(room, Button("yes", "go"))
    assert [redeem(room, old, now_ms=now_ms) for now_ms in (START_MS - 10**9, 0, START_MS)] == ["expired"] * 3


TWO_DAYS_MS = 2 * 86_400_000


@pytest.mark.parametrize(("past_ms", "answer"), [(-1, "expired"), (1, "unknown")])
async def test_mint_keeps_ended_buttons_for_two_days(room: Room, past_ms: int, answer: Refusal) -> None:
    """Until then an old button says what became of it; afterwards it is nobody's."""
    (old,) = mint(room, Button("old", "go", seconds=1))
    now_ms = START_MS + 1_000 + TWO_DAYS_MS + past_ms
    mint(room, Button("new", "go"), message_id=CARD + 1, now_ms=now_ms)
    assert redeem(room, old, now_ms=now_ms) == answer


async def test_attach_binds_what_it_names_and_nothing_else(room: Room) -> None:
    """Two cards that wait for their messages do not get each other's."""
    first, second, other = mint(room, Button("a", "a"), Button("b", "b"), Button("c", "c"), message_id=None)
    room.store.transact(lambda db: confirm.attach(db, [first, second], CARD))
    assert [redeem(room, each) for each in (first, second, other)] == [
        Press("a", {}, None, None),
        Press("b", {}, None, None),
        "unknown",
    ]


async def test_end_all_ends_the_unused_buttons_of_one_person(room: Room) -> None:
    """Who loses their rights presses in vain, for good; a used button still says so, others keep theirs."""
    used, unused = mint(room, Button("used", "go"), Button("unused", "go"))
    redeem(room, used)
    bobs = room.store.transact(
        lambda db: confirm.mint(
            db, [Button("yes", "go")], user_id=BOB, chat_id=CHAT, message_id=CARD + 1, now_ms=START_MS
        )
    )
    room.store.transact(lambda db: confirm.end_all(db, ANN, START_MS))
    assert [redeem(room, each) for each in (used, unused)] == ["used", "expired"]
    assert redeem(room, unused, now_ms=0) == "expired"
    assert redeem(room, bobs[0], user_id=BOB, message_id=CARD + 1) == Press("go", {}, None, None)


async def test_mint_again_does_not_keep_what_has_ended_for_longer(room: Room) -> None:
    """A card that is drawn anew every day does not collect its buttons of last week."""
    (old,) = mint(room, Button("yes", "go"))
    for days in (0, 1):
        mint(room, Button("yes", "go"), now_ms=START_MS + days * 86_400_000)
    later_ms = START_MS + TWO_DAYS_MS + 1
    mint(room, Button("yes", "go"), message_id=CARD + 1, now_ms=later_ms)
    assert redeem(room, old, now_ms=later_ms) == "unknown"


async def test_end_all_does_not_keep_what_has_ended_for_longer(room: Room) -> None:
    """Nor does another loss of rights."""
    (old,) = mint(room, Button("yes", "go"))
    for days in (0, 1):
        room.store.transact(lambda db, days=days: confirm.end_all(db, ANN, START_MS + days * 86_400_000))
    later_ms = START_MS + TWO_DAYS_MS + 1
    mint(room, Button("yes", "go"), message_id=CARD + 1, now_ms=later_ms)
    assert redeem(room, old, now_ms=later_ms) == "unknown"


async def test_redeem_half_a_letter_is_unknown(room: Room) -> None:
    """Forged data may hold what no text can be stored with."""
    assert [redeem(room, PREFIX + "\ud800"), look(room, PREFIX + "\udfff")] == ["unknown", None]
