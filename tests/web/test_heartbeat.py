from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from bot.chat.health import Report
from bot.web.heartbeat import EVERY_SECONDS, beat

URL = "https://monitor.example/ping/canary-7f3a91c0-canary"


class Vitals:
    """A bot with these problems at each look; the last look ends the test."""

    def __init__(self, *problems: str) -> None:
        self._problems = list(problems)

    async def report(self) -> Report:
        if not self._problems:
            raise asyncio.CancelledError
        problem = self._problems.pop(0)
        return Report((problem,) if problem else (), 0, None, 0, None, ())


class Paces:
    """A clock that notes how long is slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def beats(answer: Any, *problems: str) -> tuple[list[str], list[float]]:
    """Return the addresses that were called, and the pauses."""
    asked: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        found = answer(request)
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]

    vitals: Any = Vitals(*problems)
    clock: Any = Paces()
    with pytest.raises(asyncio.CancelledError):
        await beat(URL, vitals, clock, httpx.MockTransport(reply))
    return asked, clock.slept


async def test_beat_calls_each_minute_while_the_bot_is_well_and_only_then() -> None:
    """Silence is the message: a bot that is not well does not call."""
    asked, slept = await beats(lambda _: httpx.Response(200), "", "the disk is full", "")
    assert (asked, slept) == ([URL, URL], [EVERY_SECONDS] * 3)


async def test_beat_follows_no_redirect() -> None:
    """The address is a secret and is told to no other host."""
    elsewhere = {"location": "https://elsewhere.example/"}
    asked, _ = await beats(lambda _: httpx.Response(302, headers=elsewhere), "")
    assert asked == [URL]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: httpx.Response(404), "the monitor answered with HTTP status 404"),
        (lambda request: httpx.ConnectError(f"no way to {request.url}"), "cannot be reached (ConnectError)"),
    ],
)
async def test_beat_that_fails_is_logged_once_without_the_address(
    caplog: pytest.LogCaptureFixture, answer: Any, words: str
) -> None:
    """A monitor that is away for a night is one line, and its secret is not in it."""
    caplog.set_level(logging.INFO, "bot")
    await beats(answer, "", "", "")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("bot")]
    assert ([words in line for line in lines], any("canary" in line for line in lines)) == ([True], False)
