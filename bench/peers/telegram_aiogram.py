"""aiogram as it comes. Runs with an interpreter that has it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from aiogram import Bot, Dispatcher  # type: ignore[import-not-found]
from aiogram.client.session.aiohttp import AiohttpSession  # type: ignore[import-not-found]
from aiogram.client.telegram import TelegramAPIServer  # type: ignore[import-not-found]
from aiogram.types import Message  # type: ignore[import-not-found]

from bench.bots import serve

origin, token = sys.argv[1:]
dispatcher = Dispatcher()


@dispatcher.message()
async def hello(message: Message):
    await message.answer(message.text)


async def run():
    bot = Bot(token, session=AiohttpSession(api=TelegramAPIServer.from_base(origin)))
    await dispatcher.start_polling(bot, handle_signals=False)


serve(origin, token, run)
