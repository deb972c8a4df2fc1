"""Own fills: nobody's are shown who does not want it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot.accounts import people
from bot.chat.outbox import Outbox
from bot.contract.errors import UserError
from bot.trading import forget, reports
from tests.chat.conftest import Chat
from tests.chat.groups.conftest import (
    bought,
    posted,
    push,
    say,
    share,
    waiting,
)
from tests.chat.test_gate import GROUP
from tests.trading.conftest import ANN, BOB, START_MS
from tests.trading.test_journal import apply, report


async def test_fill_without_opt_in_is_shown_nowhere(club: Chat) -> None:
    """Nobody's trading is told who did not ask for it."""
    await bought(club)
    assert waiting(club) == []


@pytest.mark.parametrize(
    ("presses", "expected"),
    [
        (["Show my fills here"], "🟢 @ann bought BTC/USDT"),
        (["Show my fills here", "Mine with amounts and prices"], "🟢 @ann bought 0.5 BTC at 58,000.00 USDT"),
        (
            ["Show my fills here", "Mine with amounts and prices", "Mine without amounts and prices"],
            "🟢 @ann bought BTC/USDT",
        ),
    ],
)
async def test_fill_is_shown_as_its_owner_allows(club: Chat, presses: list[str], expected: str) -> None:
    """Size and price are told only after a press of their own, and no more after the next."""
    await say(club, "/group")
    for label in presses:
        await push(club, label)
    row = await club.room.placed()
    apply(club.room, row, "filled", "0.5")
    before = len(posted(club))
    await club.outbox.step()
    assert posted(club)[before:] == [(expected, None, False)]


async def test_fill_and_its_post_are_committed_together(club: Chat) -> None:
    """Killed in the middle there is neither; killed after it there are both, and the next start tells it once."""
    share(club)
    row = await club.room.placed()
    await club.outbox.step()

    class Killed(Exception):
        pass

    def killed(db: Any) -> None:
        reports.apply(db, row.id, report(row, "filled", "0.5"), START_MS)
        assert db.execute("SELECT count(*) AS n FROM outbox WHERE chat_id=?", (GROUP,)).fetchone()["n"] == 1
        raise Killed

    with pytest.raises(Killed):
        club.room.store.transact(killed)
    assert (club.room.row(row).state, waiting(club)) == ("open", [])
    apply(club.room, row, "filled", "0.5")
    assert waiting(club) == [(GROUP, None, "result", "group_fill")]
    after_restart = Outbox(club.room.store, club.services.sender, club.room.gateway, club.room.clock)
    await after_restart.step()
    await after_restart.step()
    assert posted(club) == [("🟢 @ann bought BTC/USDT", None, False)]


async def test_fill_is_told_once_however_often_the_order_is_reported(club: Chat) -> None:
    """A part, the rest, and a fee told late make one post."""
    share(club)
    row = await club.room.placed()
    for state, filled, fee in (("partially_filled", "0.2", None), ("filled", "0.5", None), ("filled", "0.5", "0.1")):
        apply(club.room, row, state, filled, fee=fee and Decimal(fee))
        await club.outbox.step()
    assert club.room.row(row).fee == Decimal("0.1")
    assert len(posted(club)) == 1


async def test_canceled_order_is_told_only_when_something_filled(club: Chat) -> None:
    """An order that ends empty is nobody's news."""
    share(club)
    row = await club.room.placed()
    apply(club.room, row, "canceled")
    assert waiting(club) == []


async def test_opt_out_takes_back_what_waits(club: Chat) -> None:
    """From the press on nothing is shown, not even what was committed before it."""
    share(club)
    await say(club, "/group")
    await bought(club)
    assert len(waiting(club)) == 1
    await push(club, "Stop showing my fills")
    before = len(posted(club))
    await club.outbox.step()
    assert (posted(club)[before:], waiting(club)) == ([], [])


async def test_opt_out_from_the_private_settings_takes_back_what_waits(club: Chat) -> None:
    """Nobody has to go back to the group to stop it."""
    share(club)
    await bought(club)
    await club.say("/settings")
    card = max(club.telegram.shown)
    keys = [key for row in club.telegram.shown[card][1] for key in row]
    [data] = [key["callback_data"] for key in keys if key["text"] == "Stop showing them in Traders"]
    await club.press(data, card)
    assert (waiting(club), club.room.sql("SELECT * FROM shared_fills")) == ([], [])


async def test_amounts_withdrawn_while_a_post_waits_are_not_told(club: Chat) -> None:
    """A post is drawn as its owner wants it when it is sent."""
    share(club, with_amounts=True)
    await bought(club)
    share(club, with_amounts=False)
    await club.outbox.step()
    assert posted(club) == [("🟢 @ann bought BTC/USDT", None, False)]


async def test_opt_in_where_only_administrators_post_is_refused_to_others(club: Chat) -> None:
    """The group decides who may have something posted; those shown before are shown no more."""
    club.room.store.transact(lambda db: people.ensure_user(db, BOB, "trader", now_ms=START_MS))
    share(club, user_id=BOB)
    share(club)
    await say(club, "/group")
    await push(club, "Let administrators post")
    assert [row["user_id"] for row in club.room.sql("SELECT user_id FROM shared_fills")] == [ANN]
    with pytest.raises(UserError, match="only its administrators"):
        share(club, user_id=BOB)


async def test_blocked_person_is_shown_no_more(club: Chat) -> None:
    """Who was blocked trades no more, and an order that fills after that is not told."""
    share(club)
    row = await club.room.placed()
    club.room.sql("UPDATE users SET role='blocked' WHERE id=?", ANN)
    apply(club.room, row, "filled", "0.5")
    assert waiting(club) == []


async def test_forgotten_person_is_shown_no_more(club: Chat) -> None:
    """The name that a group was told goes, and so does what waits."""
    share(club)
    await bought(club)
    club.room.store.transact(lambda db: forget.erase(db, ANN, START_MS))
    assert (waiting(club), club.room.sql("SELECT * FROM shared_fills")) == ([], [])
