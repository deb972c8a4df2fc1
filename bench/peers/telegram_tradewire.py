"""The bot's own application and order of updates, before any command: with its inbox, without, or with its pacer."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from telegram import Update
from telegram.ext import TypeHandler

from bench.bots import serve
from bot.chat.app import _application
from bot.chat.inbox import Inbox, InOrder
from bot.chat.pacer import Pacer
from bot.clock import SystemClock
from bot.config import Settings
from bot.store.database import Store

origin, token, way = sys.argv[1:]
clock = SystemClock()
pacer = Pacer(clock)
alerts = []


class Forgetful:
    """An inbox that commits nothing, as other bots have none."""

    async def take(self, updates):
        return updates


async def say(bot, chat_id, text, lane):
    if way == "paced":
        await pacer.turn(chat_id, lane)
    await bot.send_message(chat_id, text)


async def hello(update: Update, context):
    text = update.message.text
    if text.startswith("alerts"):
        for number in range(int(text.split()[1])):
            work = say(context.bot, 1000 + number, "BTC/USDT is above 60,000", "alert")
            alerts.append(asyncio.create_task(work))
    elif text == "quiet":
        while alerts:
            alerts.pop().cancel()
    else:
        await say(context.bot, update.effective_chat.id, text, "result")


async def run():
    settings = Settings.model_validate({"telegram": {"token": token, "base_url": f"{origin}/bot"}})
    application = _application(settings, InOrder(clock))
    application.add_handler(TypeHandler(Update, hello))
    await application.initialize()
    await application.start()
    offset = None
    with TemporaryDirectory() as directory:
        inbox = Inbox(Store(Path(directory) / "bench.db"), clock) if way == "durable" else Forgetful()
        while True:
            updates = await application.bot.get_updates(offset=offset, timeout=10)
            for update in await inbox.take(updates):
                await application.update_queue.put(update)
            if updates:
                offset = updates[-1].update_id + 1


serve(origin, token, run)
