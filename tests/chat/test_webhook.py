"""Whether Telegram sends to us: set, watched, and given back at the end; the owner hears of each trouble once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from telegram import WebhookInfo
from telegram.error import BadRequest, NetworkError, TelegramError

from bot.chat.halt import HALTED, OPEN_AGAIN, TWO_PROGRAMS, Halt
from bot.chat.webhook import CONNECTIONS, UPDATES, Watch, receive
from bot.config import Telegram
from tests.fakes import FakeClock

URL, SECRET = "https://bot.example.org/telegram", "a" * 32
SETTINGS = Telegram.model_validate({"mode": "webhook", "webhook_url": URL, "webhook_secret": SECRET})
SET = ("set", URL, UPDATES, CONNECTIONS, SECRET, False)


@dataclass
class FakeBot:
    """Telegram as far as a webhook goes."""

    url: str = ""
    pending: int = 0
    error: str = ""
    failures: list[TelegramError] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    was_set: asyncio.Event = field(default_factory=asyncio.Event)

    async def set_webhook(self, url: str, **options: Any) -> None:
        """Take the address, or fail as arranged."""
        if self.failures:
            raise self.failures.pop(0)
        keys = ("allowed_updates", "max_connections", "secret_token", "drop_pending_updates")
        self.calls.append(("set", url, *(options[key] for key in keys)))
        self.url = url
        self.was_set.set()

    async def get_webhook_info(self) -> WebhookInfo:
        """Tell how it is."""
        return WebhookInfo(
            self.url,
            has_custom_certificate=False,
            pending_update_count=self.pending,
            last_error_message=self.error or None,
        )

    async def delete_webhook(self, *, drop_pending_updates: bool) -> None:
        """Give it back."""
        self.calls.append(("delete", drop_pending_updates))


@dataclass
class Signs:
    """The signs of life that the loop gives."""

    seen: list[float | str] = field(default_factory=list)

    def polling(self, seconds: float) -> None:
        """Note when it comes round again."""
        self.seen.append(seconds)

    def answered(self) -> None:
        """Note an answer of Telegram."""
        self.seen.append("answered")


@dataclass
class Bench:
    """A watch, its clock and what the owner was told."""

    bot: FakeBot = field(default_factory=FakeBot)
    clock: FakeClock = field(default_factory=FakeClock)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.halt = Halt(self.clock)
        self.watch = Watch(self.bot, SETTINGS, self.halt, self.tell)  # type: ignore[arg-type]

    async def tell(self, text: str) -> None:
        self.told.append(text)

    async def look(self) -> None:
        """Look, and let the time pass until the next look."""
        self.clock.advance(await self.watch.look())


async def test_first_look_sets_the_webhook_and_the_next_do_not() -> None:
    """Address, secret, kinds of updates and connections; nothing that waits is thrown away."""
    bench = Bench()
    for _ in range(3):
        await bench.look()
    assert (bench.bot.calls, bench.told) == ([SET], [])


async def test_webhook_taken_away_again_and_again_halts_until_it_stays() -> None:
    """Somebody else with the token: orders wait, the owner is told once, and trading opens when it is over."""
    bench = Bench()
    for _ in range(3):
        await bench.look()
        bench.bot.url = "https://thief.example/x"
        await bench.look()
    assert (bench.halt.reason, bench.told) == (TWO_PROGRAMS, [HALTED])
    for _ in range(3):
        await bench.look()
    assert (bench.halt.reason, bench.told) == ("", [HALTED, OPEN_AGAIN])
    assert bench.bot.calls == [SET] * 4


async def test_webhook_taken_away_once_is_set_again() -> None:
    """A bot that polled by mistake for a moment does not stop trading."""
    bench = Bench()
    await bench.look()
    bench.bot.url = ""
    await bench.look()
    await bench.look()
    assert (bench.halt.reason, bench.told, bench.bot.calls) == ("", [], [SET] * 2)


async def test_address_that_telegram_refuses_is_told_once() -> None:
    """The reason is Telegram's own, with the key to change."""
    bench = Bench(FakeBot(failures=[BadRequest("bad webhook: unknown host") for _ in range(2)]))
    for _ in range(2):
        with pytest.raises(BadRequest):
            await bench.watch.look()
    await bench.look()
    assert bench.told == [
        "Telegram refuses [telegram] webhook_url, https://bot.example.org/telegram: bad webhook: unknown host."
    ]
    assert bench.bot.calls == [SET]


async def test_delivery_that_fails_is_told_once_each_time() -> None:
    """Told when it begins and not again before it worked in between; an old error with nothing waiting is none."""
    bench = Bench(FakeBot(error="Wrong response from the webhook: 502 Bad Gateway"))
    for pending in (0, 2, 3, 0, 1):
        bench.bot.pending = pending
        await bench.look()
    assert [text.split(". ")[1][:6] for text in bench.told] == ["2 wait", "1 wait"]
    assert bench.told[0] == (
        "Telegram cannot deliver messages to https://bot.example.org/telegram: Wrong response from the webhook: 502 "
        "Bad Gateway. 2 wait and are not lost. Look at the proxy in front of me and at [web] in the configuration."
    )


async def test_receive_tries_again_and_gives_the_webhook_back_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is away for a moment is waited for; at the end Telegram keeps what comes."""
    monkeypatch.setattr("bot.chat.webhook._PAUSES", (0.0,))
    bench = Bench(FakeBot(failures=[NetworkError("away"), NetworkError("away")]))
    signs = Signs()
    task = asyncio.create_task(receive(bench.watch, bench.bot, signs, bench.bot.stop))  # type: ignore[arg-type]
    await asyncio.wait_for(bench.bot.was_set.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.bot.calls == [SET, ("delete", False)]
    assert signs.seen[:6] == [20.0, 0.0, 20.0, 0.0, 20.0, "answered"]
