"""/watch: one pinned message that keeps showing prices."""

from __future__ import annotations

from telegram.error import TelegramError

from bot.chat.commands.prices import exchanges_of
from bot.chat.parse import parse_pair
from bot.chat.registry import Call, Command
from bot.chat.reply import Reply, say
from bot.contract.errors import UserError
from bot.trading import boards
from bot.trading.boards import Board

MOST_PAIRS = 10


async def watch(call: Call) -> Reply | None:
    """Put up the chat's board, change its pairs, or end it."""
    words = call.args.replace(",", " ").split()
    if not words:
        raise UserError("Which pairs? Write such as /watch BTC/USDT ETH/USDT, or /watch off.", code="SYNTAX")
    if [word.lower() for word in words] == ["off"]:
        return await _end(call)
    services, who = call.services, call.who
    exchange = (await exchanges_of(call))[0].info.id
    known = await services.gateway.symbols(exchange)
    symbols = tuple(dict.fromkeys(known.resolve(parse_pair(word)).symbol for word in words[: MOST_PAIRS * 2]))
    if len(symbols) > MOST_PAIRS:
        raise UserError(f"A board has room for {MOST_PAIRS} pairs. Name fewer.", code="SYNTAX")
    board = Board(who.chat_id, who.thread_id, None, who.user_id, exchange, symbols)
    stored = await call.commit(lambda db: boards.put(db, board))
    services.boards_changed()
    return None if stored.message_id is None else say("The board of this chat shows these pairs within 15 seconds.")


async def _end(call: Call) -> Reply:
    services, chat_id = call.services, call.who.chat_id
    message_id = await call.commit(lambda db: boards.end(db, chat_id))
    if message_id is None:
        return say("There is no board in this chat. /watch BTC/USDT puts one up.")
    try:
        await services.sender.bot.unpin_chat_message(chat_id, message_id)
    except TelegramError:
        return say("The board is ended and changes no more. I could not unpin it: unpin it yourself.")
    return say("The board is ended, unpinned, and changes no more.")


COMMANDS = (
    Command(
        "watch",
        watch,
        "One pinned message with prices that stay new",
        "Look",
        "PAIR... | off",
        "/watch BTC/USDT",
        details=(
            "Up to ten pairs with their change in 24 hours. A chat has one board; naming other pairs changes it, and "
            "it ends with /watch off or when its message is deleted. In a group, for its administrators who may use "
            "this bot."
        ),
        lost="The pinned message shows what the board of this chat is now, or that it changes no more.",
    ),
)
