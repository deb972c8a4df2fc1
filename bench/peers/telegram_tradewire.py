"""The bot's own way from Telegram to a handler and back: with its inbox, without, or with its pacer."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from telegram import Update

from bench.bots import serve
from bot.chat.app import make_bot
from bot.chat.halt import Halt
from bot.chat.inbox import Inbox, InOrder, read_update
from bot.chat.pacer import Pacer
from bot.chat.polling import Polling
from bot.chat.telegram_request import make_request
from bot.clock import SystemClock
from bot.config import Settings
from bot.store.database import Store

origin, token, way = sys.argv[1:]
clock = SystemClock()
pacer = Pacer(clock)
settings = Settings.model_validate({"telegram": {"token": token, "base_url": f"{origin}/bot"}})
polls = make_request(settings.telegram, at_once=1)
bot = make_bot(settings, polls)
alerts = []


class Forgetful:
    """An inbox that commits nothing, as other bots have none."""

    async def take(self, found, bot):
        return [read_update(data, bot) for data in found]

    async def handled(self, update):
        pass


async def say(chat_id, text, lane):
    if way == "paced":
        await pacer.turn(chat_id, lane)
    await bot.send_message(chat_id, text)


async def hello(update: Update):
    text = update.message.text
    if text.startswith("/alerts"):
        for number in range(int(text.split()[1])):
            alerts.append(asyncio.create_task(say(1000 + number, "BTC/USDT is above 60,000", "alert")))
    elif text == "/quiet":
        while alerts:
            alerts.pop().cancel()
    else:
        await say(update.effective_chat.id, text, "result")


async def run():
    order = InOrder(clock)
    health = SimpleNamespace(polling=lambda seconds: None, answered=lambda: None)
    with TemporaryDirectory() as directory:
        inbox = Inbox(Store(Path(directory) / "bench.db"), clock) if way == "durable" else Forgetful()

        async def handle(update):
            await hello(update)
            await inbox.handled(update)

        order.handle = handle
        inbox.may_begin, inbox.begin = (lambda update: True), order.put
        await bot.initialize()
        polling = Polling(polls, bot, inbox, order.put, halt=Halt(clock), health=health, tell_owner=None)
        await polling.receive(asyncio.Event())


serve(origin, token, run)
