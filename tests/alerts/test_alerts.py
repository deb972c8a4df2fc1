"""Alerts from the command to the message: what is stored, committed and told, and to whom."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from bot.chat.alerts import Alerts
from bot.config import AlertSettings
from bot.trading import notices
from tests.alerts.conftest import Watched
from tests.chat.conftest import VIEWER
from tests.chat.test_gate import GROUP
from tests.trading.conftest import ANN

HOUR = 3600


def buttons(watched: Watched) -> dict[str, tuple[int, str]]:
    """The buttons of the newest message: their text to message and data."""
    message_id, (_, shown) = max(watched.chat.telegram.shown.items())
    return {
        each["text"]: (message_id, each["callback_data"]) for row in shown for each in row if "callback_data" in each
    }


def allow(watched: Watched, **bounds: int) -> None:
    """Configure how many alerts there may be."""
    services = watched.chat.services
    settings = services.settings.model_copy(update={"alerts": AlertSettings(**bounds)})
    watched.chat.services = replace(services, settings=settings)
    watched.chat.restart()


async def press(watched: Watched, text: str, **fields: Any) -> str:
    """Press a button of the newest message; return what that message shows then."""
    message_id, data = buttons(watched)[text]
    await watched.chat.press(data, message_id, **fields)
    return watched.chat.telegram.texts()[-1]


async def test_price_alert_reached_is_told_once(watched: Watched) -> None:
    """The card says what waits; the first price at the level is told, with what it is; later ones are not."""
    [card] = await watched.chat.say("/alert btcusdt > 61k")
    assert card.startswith("🔔 #1 BTC/USDT > 61,000.00 · Acme\nOnce, until ")
    assert card.endswith("\nNow 60,000.00.")
    await watched.price("60999.99")
    assert await watched.told() == []
    await watched.price("61000")
    await watched.price("62000")
    [fired] = await watched.told()
    assert fired.split("\n")[0] == "🔔 BTC/USDT > 61,000.00"
    assert fired.split("\n")[1].startswith("Now 61,000.00 on Acme, ")
    assert fired.split("\n")[2:] == ["#1 waits no more."]
    assert watched.sql("SELECT ended, fired, armed FROM alerts") == [("fired", 1, 0)]


async def test_alert_and_its_message_are_one_commit(watched: Watched) -> None:
    """Where the message cannot be stored the alert still waits, here and after a restart; then both are, once."""
    await watched.chat.say("/alert btcusdt > 61k")
    with patch.object(notices, "tell", side_effect=ZeroDivisionError), pytest.raises(ZeroDivisionError):
        await watched.price("61000")
    assert watched.sql("SELECT ended, fired FROM alerts") == [("", 0)]
    await watched.alerts.step()
    assert watched.sql("SELECT ended, fired FROM alerts") == [("fired", 1)]
    assert len(await watched.told()) == 1


async def test_level_passed_while_away_fires_once_and_says_so(watched: Watched) -> None:
    """After a restart the first price beyond fires, with the time that nobody looked; the next one does not."""
    await watched.chat.say("/alert btcusdt > 61k every 1h")
    await watched.price("60500", 20)
    await watched.price("60500", 20)
    watched.restart()
    watched.clock.advance(HOUR)
    await watched.price("61500")
    await watched.price("61600")
    [fired] = await watched.told()
    assert "I saw nothing from " in fired
    assert fired.endswith("it happened in that time, I cannot say when.\n#1 fires again in 1h at the earliest.")


async def test_level_that_went_back_before_a_restart_fires_again(watched: Watched) -> None:
    """That it went back is stored, so that a crossing while away counts."""
    await watched.chat.say("/alert btcusdt > 61k every 1m")
    await watched.price("61000")
    await watched.price("60000")
    assert watched.sql("SELECT armed, fired FROM alerts") == [(1, 1)]
    watched.restart()
    await watched.price("61000", 120)
    assert watched.sql("SELECT armed, fired FROM alerts") == [(0, 2)]


async def test_level_that_stood_passed_before_a_restart_does_not_fire_again(watched: Watched) -> None:
    """What was told is not told once more because the program started anew."""
    await watched.chat.say("/alert btcusdt > 61k every 1m")
    await watched.price("61000")
    watched.restart()
    await watched.price("61000", HOUR)
    assert watched.sql("SELECT armed, fired FROM alerts") == [(0, 1)]


async def test_move_window_survives_a_restart(watched: Watched) -> None:
    """The last price seen before counts, if it is within the window."""
    await watched.chat.say("/alert btcusdt 5% 1h")
    await watched.price("60000", 20)
    await watched.price("60000", 20)
    watched.restart()
    await watched.price("63000", 1800)
    assert watched.sql("SELECT title, fired FROM alerts") == [("BTC/USDT moves 5% within 1h", 1)]


async def test_spread_alert_is_told(watched: Watched) -> None:
    """Bid and ask so far apart, in per cent of their middle."""
    [card] = await watched.chat.say("/alert spread BTC/USDT 0.5%")
    assert "BTC/USDT spread > 0.5%" in card
    assert card.endswith("Now 0.03%.")
    await watched.price("60000", bid="59900", ask="60100")
    assert await watched.told() == []
    await watched.price("60000", bid="59850", ask="60150.1")
    [fired] = await watched.told()
    assert fired.split("\n")[1].startswith("Now 0.5% on Acme")


async def test_volume_alert_where_none_is_told_is_refused(watched: Watched) -> None:
    """An exchange that tells no volume cannot be asked to watch it."""
    [said] = await watched.chat.say("/alert vol BTC/USDT 3x")
    assert "Acme does not tell the volume of BTC/USDT, so it cannot be watched." in said


async def test_volume_alert_asks_once_a_minute(watched: Watched) -> None:
    """The level is so many times the volume of now; it is asked for, since no stream tells it."""
    ticker = watched.chat.services.gateway.ticker
    volume = Decimal(100)

    async def with_volume(exchange_id: str, market: Any) -> Any:
        return replace(await ticker(exchange_id, market), base_volume_24h=volume)

    with patch.object(watched.chat.services.gateway, "ticker", with_volume):
        [card] = await watched.chat.say("/alert vol BTC/USDT 3x")
        assert "BTC/USDT volume > 300 BTC in 24 h, 3 times that of now" in card
        await watched.alerts.step()
        await watched.alerts.look()
        volume = Decimal(300)
        watched.clock.advance(59)
        await watched.alerts.step()
        await watched.alerts.look()
        await watched.alerts.step()
        assert await watched.told() == []
        watched.clock.advance(1)
        await watched.alerts.step()
        await watched.alerts.look()
    await watched.alerts.step()
    [fired] = await watched.told()
    assert "Now 300 BTC in 24 h on Acme" in fired


async def test_alert_with_an_order_leads_to_a_preview_and_places_nothing(watched: Watched) -> None:
    """The button of the fired alert is a preview with Confirm; no request places anything by itself."""
    await watched.chat.say("/alert btcusdt > 61k do buy $50 @ 60000")
    await watched.price("61000")
    await watched.told()
    assert "Preview: buy $50" in buttons(watched)
    watched.chat.room.exchange.last = "61000"
    preview = await press(watched, "Preview: buy $50")
    assert preview.startswith("BUY BTC/USDT")
    assert watched.chat.room.exchange.placing == []
    assert watched.sql("SELECT state, symbol, chat_id FROM orders") == [("proposed", "BTC/USDT", ANN)]


async def test_alert_with_an_order_of_a_viewer_is_refused(watched: Watched) -> None:
    """Who may not trade is told so at once, not when it fires."""
    [said] = await watched.chat.say("/alert btcusdt > 61k do buy $50", user_id=VIEWER)
    assert 'Orders are for traders. Send the alert without "do".' in said
    assert watched.sql("SELECT * FROM alerts") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/alert", "What shall I watch?"),
        ("/alert BTCUSTD > 61k", 'There is no pair "BTCUSTD" here. Did you mean BTC/USDT'),
        (
            "/alert BTC/USDT > 59k",
            "BTC/USDT is 60,000.00 now, above 59,000.00 already. No alert was set. To be told when it falls to "
            "59,000.00, write < instead of >.",
        ),
        ("/alert BTC/USDT < 60000", "BTC/USDT is 60,000.00 now, at 60,000.00 already. No alert was set."),
        ("/alert spread BTC/USDT 0.01%", "BTC/USDT is 0.03% now, above 0.01% already. No alert was set."),
        ("/alert BTC/USDT > 61k on kraken", "kraken cannot be used"),
        ("/alert #9 BTC/USDT > 61k", "There is no alert #9 in this chat. /alerts lists them."),
    ],
)
async def test_alert_that_cannot_be_set_gets_a_sentence(watched: Watched, text: str, said: str) -> None:
    """What was wrong, and what to do; nothing is stored."""
    [answer] = await watched.chat.say(text)
    assert said in answer
    assert watched.sql("SELECT * FROM alerts") == []


async def test_alerts_of_one_person_and_of_all_are_bounded(watched: Watched) -> None:
    """One more than may wait is refused; one that ended makes room."""
    allow(watched, per_user=2)
    for _ in range(2):
        await watched.chat.say("/alert btcusdt > 61k")
    [said] = await watched.chat.say("/alert btcusdt > 61k")
    assert "You have 2 alerts, as many as this bot allows. /alerts lists them; delete one first." in said
    await watched.price("61000")
    await watched.chat.say("/alert btcusdt > 61k")
    assert watched.sql("SELECT count(*) FROM alerts WHERE ended=''") == [(1,)]
    allow(watched, total=1)
    [said] = await watched.chat.say("/alert btcusdt > 61k", user_id=VIEWER)
    assert "All of this bot's 1 alerts are taken." in said


async def test_snoozed_alert_is_quiet_until_it_is_woken(watched: Watched) -> None:
    """By buttons: nothing is told while it sleeps; after Wake the level that stands passed is."""
    await watched.chat.say("/alert btcusdt > 61k")
    shown = await press(watched, "💤 1h")
    assert "Quiet until " in shown
    await watched.price("61000", HOUR - 10)
    assert await watched.told() == []
    await press(watched, "Wake")
    await watched.price("61000")
    assert len(await watched.told()) == 1


async def test_alert_is_listed_edited_and_deleted_by_buttons(watched: Watched) -> None:
    """The list leads to the card, the card to the line to copy, the line changes it, Delete ends it."""
    await watched.chat.say("/alert btcusdt > 61k every 1h")
    [listed] = await watched.chat.say("/alerts")
    assert listed == "Alerts · 1\n#1 BTC/USDT > 61,000.00 · every 1h"
    await press(watched, "#1")
    assert "/alert #1 BTC/USDT > 61000 every 1h" in await press(watched, "✏ Edit")
    [card] = await watched.chat.say("/alert #1 BTC/USDT < 59k")
    assert card.startswith("🔔 #1 BTC/USDT < 59,000.00 · Acme\nOnce")
    await watched.price("62000")
    assert await watched.told() == []
    assert await press(watched, "🗑 Delete") == "Alert #1 is deleted: BTC/USDT < 59,000.00."
    await watched.price("58000")
    assert (await watched.told(), len(watched.alerts.engine)) == ([], 0)


async def test_alert_set_again_waits_for_going_back_first(watched: Watched) -> None:
    """A level that stands passed does not fire at once because its button was pressed."""
    await watched.chat.say("/alert btcusdt > 61k")
    await watched.price("61000")
    await watched.told()
    await press(watched, "Again")
    await watched.price("61000")
    assert await watched.told() == []
    await watched.price("60000")
    await watched.price("61000")
    assert len(await watched.told()) == 1


async def test_alert_that_expired_says_so(watched: Watched) -> None:
    """It ends by itself, is told once, and fires no more."""
    await watched.chat.say("/alert btcusdt > 61k for 1h")
    await watched.price("61000", HOUR)
    [said] = await watched.told()
    assert "#1 has ended: it did not happen until " in said
    assert watched.sql("SELECT ended, fired FROM alerts") == [("expired", 0)]


async def test_alert_of_somebody_blocked_is_not_told(watched: Watched) -> None:
    """Who may not use the bot any more hears nothing of it."""
    await watched.chat.say("/alert btcusdt > 61k")
    watched.sql("UPDATE users SET role='blocked' WHERE id=?", ANN)
    await watched.price("61000")
    assert watched.sql("SELECT count(*) FROM outbox") == [(0,)]


async def test_alert_edited_in_the_same_moment_does_not_fire_as_it_was(watched: Watched) -> None:
    """What fired before the edit was committed is overtaken by it."""
    await watched.chat.say("/alert btcusdt > 61k")
    await watched.price("60000")
    watched.clock.advance(1)
    watched.alerts._tick(("acme", "BTCUSDT", "price"), Decimal(61000), watched.clock.now_ms())
    watched.clock.advance(1)
    await watched.chat.say("/alert #1 BTC/USDT > 70k")
    await watched.alerts.step()
    assert watched.sql("SELECT ended, fired FROM alerts") == [("", 0)]
    await watched.price("70000")
    assert len(await watched.told()) == 1


def member(watched: Watched, status: str) -> Any:
    """Let Telegram say what somebody is in a group."""

    async def get_chat_member(chat_id: int, user_id: int) -> Any:
        assert (chat_id, user_id) == (GROUP, ANN)
        return SimpleNamespace(status=status, user=SimpleNamespace(username="ann", full_name="Ann"))

    bot = watched.chat.services.sender.bot
    return patch.object(type(bot), "get_chat_member", lambda self, *args: get_chat_member(*args))


IN_GROUP = {"chat_id": GROUP, "kind": "supergroup"}


async def test_group_alert_of_its_administrator_is_told_there_and_the_order_in_private(watched: Watched) -> None:
    """The group reads that it happened; the order is offered to the person alone."""
    with member(watched, "administrator"):
        await watched.chat.say("/alert btcusdt > 61k do buy $50", **IN_GROUP)
        await watched.price("61000")
    found = {
        row[0]: json.loads(row[1])["intent"] != ""
        for row in watched.sql("SELECT chat_id, payload FROM outbox ORDER BY id")
    }
    assert found == {GROUP: False, ANN: True}


async def test_group_alert_of_a_member_is_refused(watched: Watched) -> None:
    """A role in the bot is not enough: the group's own administrators decide what is posted."""
    with member(watched, "member"):
        [said] = await watched.chat.say("/alert btcusdt > 61k", **IN_GROUP)
        [listed] = await watched.chat.say("/alerts", **IN_GROUP)
    assert "In a group, alerts are for its administrators." in said
    assert said == listed
    assert watched.sql("SELECT * FROM alerts") == []


async def test_alert_of_another_chat_cannot_be_changed(watched: Watched) -> None:
    """A number is no key: only the chat it was set in shows it."""
    await watched.chat.say("/alert btcusdt > 61k")
    [said] = await watched.chat.say("/alert #1 BTC/USDT > 62k", user_id=VIEWER)
    assert "There is no alert #1 in this chat." in said
    assert watched.sql("SELECT title FROM alerts") == [("BTC/USDT > 61,000.00",)]


async def test_ten_alerts_of_one_pair_share_one_subscription(watched: Watched) -> None:
    """However many wait, the pair is followed once, and an idle board is polled."""
    for _ in range(10):
        await watched.chat.say("/alert btcusdt > 61k")
    kept: list[list[str]] = []
    keep = watched.chat.services.feeds.prices.keep

    async def noting(exchange_id: str, markets: Any) -> None:
        kept.append([market.symbol for market in markets])
        await keep(exchange_id, markets)

    with patch.object(watched.chat.services.feeds.prices, "keep", noting):
        await watched.alerts.step()
        await watched.alerts.look()
        await watched.alerts.look()
    assert kept == [["BTC/USDT"]]


async def test_price_that_no_stream_tells_is_polled(watched: Watched) -> None:
    """Without a socket the price is asked for, and fires as any other."""
    await watched.chat.say("/alert btcusdt > 61k")
    await watched.alerts.step()
    await watched.alerts.look()
    watched.chat.room.exchange.last = "61000"
    prices = watched.chat.services.feeds.prices
    prices.step()
    asking = prices._boards["acme"].asking
    assert asking is not None
    await asking
    await watched.alerts.step()
    assert len(await watched.told()) == 1


async def test_group_alert_is_told_in_the_topic_it_was_set_in(watched: Watched) -> None:
    """Where the group has no set-up of its own."""
    with member(watched, "administrator"):
        await watched.chat.say("/alert btcusdt > 61k", message_thread_id=42, is_topic_message=True, **IN_GROUP)
    await watched.price("61000")
    assert watched.sql("SELECT chat_id, thread_id, lane FROM outbox") == [(GROUP, 42, "alert")]


async def test_group_that_became_a_supergroup_keeps_its_alerts(watched: Watched) -> None:
    """They are told in the new chat."""
    with member(watched, "creator"):
        await watched.chat.say("/alert btcusdt > 61k", **IN_GROUP)
    watched.chat.room.store.transact(lambda db: notices.migrate(db, GROUP, -1001))
    await watched.price("61000")
    assert watched.sql("SELECT chat_id FROM outbox") == [(-1001,)]


async def test_many_alerts_at_once_are_committed_in_pieces(watched: Watched) -> None:
    """An order's commit never waits for all of them."""
    await watched.chat.say("/alert btcusdt > 61k")
    names = "user_id, exchange, symbol, exchange_symbol, kind, at, title, back_percent, window_ms, intent, expires_ms"
    for number in range(1, 100):
        watched.sql(
            f"INSERT INTO alerts(chat_id, changed_ms, {names}) SELECT ?, changed_ms, {names} FROM alerts WHERE id=1",
            ANN + number % 50,
        )
    watched.restart()
    sizes = []
    store_all = Alerts._store_all

    def noting(self: Alerts, db: Any, **work: Any) -> None:
        sizes.append(len(work["fired"]))
        store_all(self, db, **work)

    with patch.object(Alerts, "_store_all", noting), patch("bot.chat.alerts._AT_ONCE", 50):
        await watched.price("61000")
    assert (sizes, watched.sql("SELECT count(*) FROM alerts WHERE ended='fired'")) == ([50, 50], [(100,)])
