"""Private questions asked in a group, and the links that answer them."""

from __future__ import annotations

from bot.chat import commands
from tests.chat.conftest import VIEWER, Chat
from tests.chat.groups.conftest import (
    say,
)


async def test_private_question_in_a_group_is_answered_by_a_link(club: Chat) -> None:
    """Nothing personal is said there; the link asks the same in private."""
    links = {}
    for text in ("/balance", "/order 42", "/orders BTC/USDT", "/buy BTC/USDT $50"):
        assert await say(club, text) == ["I answer that in our private chat only."]
        links[text] = club.telegram.named("sendMessage")[-1]["reply_markup"]["inline_keyboard"][0][0]["url"]
    assert links == {
        "/balance": "https://t.me/Tradewire_bot?start=ask_balance",
        "/order 42": "https://t.me/Tradewire_bot?start=ask_order_42",
        "/orders BTC/USDT": "https://t.me/Tradewire_bot?start=ask_orders",
        "/buy BTC/USDT $50": "https://t.me/Tradewire_bot",
    }


async def test_link_asks_only_what_reads_and_only_what_its_sender_may(club: Chat) -> None:
    """Anybody can write a link: it changes nothing, and it gives nobody a right."""
    [balance] = await club.say("/start ask_history")
    [plain] = await club.say("/start")
    assert balance != plain
    assert [await club.say(f"/start {args}") for args in ("ask_panic", "ask_forgetme", "ask_", "ask_nothing")] == [
        [plain]
    ] * 4
    assert await club.say("/start ask_users", user_id=VIEWER) == [
        "You may not do that. Ask the operator if you should."
    ]


def test_links_ask_these_commands_and_no_others() -> None:
    """Whoever adds a command that a link may ask is asked here whether it changes anything."""
    known = commands.registry()
    asked = {name for name in known.commands if known.linked("start", f"ask_{name}") != ("start", f"ask_{name}")}
    assert asked == {
        *("accounts", "audit", "balance", "diag", "export", "history", "ip", "order", "orders", "pnl", "status"),
        *("trade", "users", "why"),
    }
