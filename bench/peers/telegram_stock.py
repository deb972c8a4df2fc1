"""python-telegram-bot as it comes: one update after another, 256 at once, or with its own rate limiter."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from telegram import Update
from telegram.ext import AIORateLimiter, ApplicationBuilder, MessageHandler, filters

from bench.bots import serve

origin, token, way = sys.argv[1:]
alerts = []


async def hello(update: Update, context):
    text = update.message.text
    if text.startswith("/alerts"):
        for number in range(int(text.split()[1])):
            alerts.append(asyncio.create_task(context.bot.send_message(1000 + number, "BTC/USDT is above 60,000")))
    elif text == "/quiet":
        while alerts:
            alerts.pop().cancel()
    else:
        await context.bot.send_message(update.effective_chat.id, text)


async def run():
    builder = ApplicationBuilder().token(token).base_url(f"{origin}/bot")
    if way != "one":
        builder.concurrent_updates(256)
    if way == "limited":
        builder.rate_limiter(AIORateLimiter())
    application = builder.build()
    application.add_handler(MessageHandler(filters.TEXT, hello))
    async with application:
        await application.start()
        await application.updater.start_polling()
        await asyncio.Event().wait()


serve(origin, token, run)
