"""The virtual network: the way to one exchange, and to Telegram. The bot may die at either end of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from telegram.error import NetworkError

from bot import NotSent, OutcomeUnknown, Request, Response
from tests.simulation.life import Life
from tests.simulation.people import Telegram
from tests.simulation.timeline import pause
from tests.simulation.venue import Venue, reply

_PLACING, CHAT = 0.243, 0.0081
"""How likely a crash is when an order leaves or its answer comes, and at each word with Telegram, in parts of the crash
rate; an order passes 2 and 10 of them, about."""


class VirtualWire:
    """The way to one exchange. What has left arrives, also when the bot dies meanwhile."""

    def __init__(self, life: Life, venue: Venue) -> None:
        self._life, self._venue = life, venue
        self._rng = life.rng

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        if request.places:
            await pause(self._life.timeline, self._rng.uniform(0.01, 0.1))
            return await self._place(request, timeout_seconds)
        await pause(self._life.timeline, self._rng.uniform(0.02, 0.4))
        venue, life = self._venue, self._life
        if life.is_dead:
            await life.rest()
        if venue.is_down:
            if self._rng.random() < 0.5:
                raise NotSent("cannot be reached", transient=True)
            await pause(self._life.timeline, timeout_seconds)
            raise OutcomeUnknown("did not answer", transient=True)
        if not venue.is_calm and self._rng.random() < venue.trouble.failing_reads:
            return Response(503, {}, b"")
        answer = self._answer(request)
        if request.path == "/cancel" and not venue.is_calm and self._rng.random() < 0.1:
            raise OutcomeUnknown("did not answer")
        return answer

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _place(self, request: Request, timeout_seconds: float) -> Response:
        venue, life, rng = self._venue, self._life, self._rng
        if not life.passes(_PLACING):
            await life.rest()
        fate = venue.fate(request)
        if fate == "never left":
            raise NotSent("cannot be reached")
        venue.placing.append((request.json["client_id"], request.headers["key"]))
        answered: asyncio.Future[Response | None] = life.loop.create_future()

        def come(response: Response | None) -> None:
            if not life.is_dead and not answered.done():
                answered.set_result(response)

        def answer(response: Response | None) -> None:
            if response is not None or rng.random() < 0.5:  # else nothing is heard until the time is up
                life.timeline.after(rng.uniform(0.01, 0.2), lambda: come(response))

        def arrive() -> None:
            venue.under_way -= 1
            venue.receive(request, fate, answer)

        venue.under_way += 1
        life.timeline.after(rng.uniform(0.01, 0.2), arrive)
        timer = life.loop.call_later(timeout_seconds, come, None)
        try:
            response = await answered
        finally:
            timer.cancel()
        if not life.passes(_PLACING):
            await life.rest()
        if response is None:
            raise OutcomeUnknown("did not answer")
        return response

    def _answer(self, request: Request) -> Response:
        venue, owner, query = self._venue, request.headers.get("key", ""), dict(request.query)
        if request.path == "/find":
            return reply(venue.find(owner, query))
        if request.path == "/order":
            found = venue.get(owner, query["id"])
            return reply(None, code="GONE", status=400) if found is None else reply(found)
        if request.path == "/cancel":
            return reply({}) if venue.cancel(owner, request.json["id"]) else reply(None, code="GONE", status=400)
        return reply({"/price": str(venue.price), "/time": str(venue.now_ms)}.get(request.path))


class VirtualBot:
    """What the sender needs of Telegram's Bot."""

    def __init__(self, life: Life, telegram: Telegram) -> None:
        self._life, self._telegram = life, telegram

    async def send_message(self, chat_id: int, text: str, *, reply_markup: Any = None, **_: object) -> Any:
        return SimpleNamespace(message_id=await self._say(chat_id, None, text, reply_markup))

    async def edit_message_text(
        self, text: str, chat_id: int, message_id: int, *, reply_markup: Any = None, **_: object
    ) -> None:
        await self._say(chat_id, message_id, text, reply_markup)

    async def get_me(self) -> None:
        if self._telegram.is_down:
            raise NetworkError("no route")

    async def _say(self, chat_id: int, message_id: int | None, text: str, markup: Any) -> int:
        life = self._life
        if not life.passes(CHAT):
            await life.rest()
        message_id = await self._telegram.say(chat_id, message_id, text, markup)
        if not life.passes(CHAT):
            await life.rest()
        return message_id
