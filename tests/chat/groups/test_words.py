"""Lengths, quiet hours and kinds of events as people write them."""

from __future__ import annotations

import pytest

from bot.chat.groups import read_event, read_length, read_quiet
from bot.contract.errors import UserError
from bot.trading import notices
from bot.trading.groups import Quiet
from tests.chat.conftest import Chat
from tests.chat.groups.conftest import (
    HOUR_MS,
    group_of,
)
from tests.trading.conftest import ANN, START_MS


@pytest.mark.parametrize(
    ("quiet", "hour", "expected"),
    [
        (Quiet(22 * 60, 7 * 60, "UTC"), 23, True),
        (Quiet(22 * 60, 7 * 60, "UTC"), 6, True),
        (Quiet(22 * 60, 7 * 60, "UTC"), 7, False),
        (Quiet(12 * 60, 14 * 60, "UTC"), 13, True),
        (Quiet(12 * 60, 14 * 60, "UTC"), 14, False),
        (Quiet(22 * 60, 7 * 60, "Asia/Taipei"), 15, True),
        (Quiet(22 * 60, 7 * 60, "Asia/Taipei"), 23, False),
    ],
)
def test_quiet_hours_hold_in_their_time_zone(quiet: Quiet, hour: int, expected: bool) -> None:
    """Over midnight as well."""
    midnight_ms = START_MS // 86_400_000 * 86_400_000
    assert quiet.holds(midnight_ms + hour * HOUR_MS) is expected


def test_words_are_read_or_refused() -> None:
    """What is no time, no zone and no event is refused in a sentence."""
    assert (read_length("1h"), read_length("OFF"), read_length("2d")) == (HOUR_MS, 0, 48 * HOUR_MS)
    assert read_quiet("22:00-07:00", "Europe/Berlin") == Quiet(1320, 420, "Europe/Berlin")
    assert (read_quiet("8h", ""), read_event("Fill"), read_event("errors")) == (None, "fills", "errors")
    for wrong in ("", "0h", "31d", "8", "soon"):
        with pytest.raises(UserError, match="how long"):
            read_length(wrong)
    for hours, zone in (("24:00-07:00", ""), ("07:00-07:00", "")):
        with pytest.raises(UserError, match="two different times"):
            read_quiet(hours, zone)
    for zone in ("Mars/Base", "../etc/passwd", "/etc/localtime"):
        with pytest.raises(UserError, match="no time zone"):
            read_quiet("22:00-07:00", zone)
    for wrong in ("", "s", "fees", "all"):
        with pytest.raises(UserError, match="fills, alerts, signals or errors"):
            read_event(wrong)


def test_park_and_unpark_of_a_private_chat_touch_no_group(club: Chat) -> None:
    """People block the bot, too."""
    before = group_of(club)
    club.room.store.transact(lambda db: notices.park(db, ANN))
    assert group_of(club) == before
