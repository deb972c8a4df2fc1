"""How long a person waits for an answer: alone, among hundreds, and while alerts are being sent."""

from __future__ import annotations

import os
import sys

from bench.rounds import Client, medians, server, started, table, write

PEERS = os.environ.get("TRADEWIRE_AIOGRAM_PYTHON", "")
CHATS = (10, 256, 1000)
ALERTS = 400
STOCK = "python-telegram-bot, one at a time"
LIMITED = "python-telegram-bot, AIORateLimiter"


def main(*, smoke: bool) -> None:
    """Measure, and write the tables. See bench/README.md."""
    own = [sys.executable, "-m"]
    with server("bench.bot_api") as origin:
        answers = _answers(_named(origin, "1", _bots(own)), smoke=smoke)
        alerts = _alerts(_named(origin, "2", _limited(own)), smoke=smoke)
    print(answers, alerts, sep="\n")
    if not smoke:
        write("telegram", answers)
        write("telegram alerts", alerts)


def _bots(own: list[str]) -> dict[str, list[str]]:
    found = {
        "raw sockets": [*own, "bench.peers.telegram_raw", "{origin}", "{token}"],
        "tradewire, no inbox": [*own, "bench.peers.telegram_tradewire", "{origin}", "{token}", "forgetful"],
        "tradewire, with its inbox": [*own, "bench.peers.telegram_tradewire", "{origin}", "{token}", "durable"],
        "tradewire, the whole bot": [*own, "bench.peers.telegram_whole", "{origin}", "{token}"],
        STOCK: [*own, "bench.peers.telegram_stock", "{origin}", "{token}", "one"],
        "python-telegram-bot, 256 at once": [*own, "bench.peers.telegram_stock", "{origin}", "{token}", "many"],
    }  # fmt: skip
    if PEERS:
        found["aiogram"] = [PEERS, "bench/peers/telegram_aiogram.py", "{origin}", "{token}"]
    return found


def _limited(own: list[str]) -> dict[str, list[str]]:
    found = {"tradewire": [*own, "bench.peers.telegram_tradewire", "{origin}", "{token}", "paced"]}
    if PEERS:
        found[LIMITED] = [PEERS, "bench/peers/telegram_stock.py", "{origin}", "{token}", "limited"]
    return found


def _named(origin: str, prefix: str, commands: dict[str, list[str]]) -> dict[str, list[str]]:
    """Fill in where the Bot API is, and a token that is each bot's own."""
    made = {}
    for number, (name, command) in enumerate(commands.items()):
        token = f"{prefix}0000000{number}:{'bench' * 7}"
        made[name] = [part.format(origin=origin, token=token) for part in command]
    return made


def _answers(commands: dict[str, list[str]], *, smoke: bool) -> str:
    with started(commands) as clients:
        rounds = 1 if smoke else 5
        alone = medians(clients, rounds, kind="alone", number=3 if smoke else 300)
        crowds = CHATS[:1] if smoke else CHATS
        bursts = {chats: medians(clients, rounds, kind="burst", number=chats) for chats in crowds}
    rows = [
        [
            name,
            f"{alone[name] / alone[STOCK]:.2f}",
            *(f"{found[name] / found[STOCK]:.2f}" for found in bursts.values()),
            f"{alone[name] * 1e6:,.0f} us",
            *(f"{found[name]:,.0f}/s" for found in bursts.values()),
        ]
        for name in alone
    ]
    many = [f"{chats} chats" for chats in bursts]
    head = ["bot", "update to reply", *(f"replies/s, {each}" for each in many), "(median, one)"]
    return (
        "## From an update to its reply\n\n"
        f"Ratios to {STOCK}. One core for Bot API and bot, five alternating rounds, medians. One: a command, 5 ms "
        "after the reply to the last. Many: commands of all chats at once. The command is /id, which only looks: its "
        "reply does not wait until the inbox is on the disk; Telegram is told of its arrival when it is. The whole bot "
        "looks up who asks and what they may, and has its loops beside it; all others say the command back.\n\n"
        f"{table([*head, *(f'({each})' for each in many)], rows)}"
    )


def _alerts(commands: dict[str, list[str]], *, smoke: bool) -> str:
    number, rounds = (10, 1) if smoke else (ALERTS, 3)
    with started(commands) as clients:
        took = medians(clients, rounds, kind="alerts", number=number)
        worst = {client.name: _worst(client) for client in clients}
    base = took.get(LIMITED)
    rows = [
        [name, f"{base / took[name]:,.0f}" if base else "-", f"{took[name] * 1e3:,.1f} ms", f"{worst[name]:.0f}"]
        for name in took
    ]
    head = ["bot", "times as fast", "reply after", "messages in the worst second"]
    return (
        f"## A reply while {number} alerts wait\n\n"
        "Each with its own limiter as it comes; Telegram's limit is about 30 messages a second. One core, three "
        f"alternating rounds, medians; the worst second is of the last round.\n\n{table(head, rows)}"
    )


def _worst(client: Client) -> float:
    return client.ask(kind="worst", number=0)
