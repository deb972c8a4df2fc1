"""/start, /help, /id."""

from __future__ import annotations

from bot.chat.commands import signals
from bot.chat.registry import Call, Command
from bot.chat.reply import Copy, Reply, say
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.signals import board

_TOPICS = ("Start", "Trade", "Look", "Accounts", "Groups", "Bot")


async def start(call: Call) -> Reply | None:
    """Greet, and say what the next step is; or follow the signal whose card led here."""
    if call.args.startswith(board.PREFIX):
        return await signals.followed(call, call.args.removeprefix(board.PREFIX))
    text = (
        Text().bold("tradewire").line().line("Trade from this chat: type, look at the preview, press Confirm.").line()
    )
    if not call.who.is_private:
        return say("Hello. Prices are answered here; orders only in our private chat.")
    if await call.accounts():
        text.line("Try:").code("/buy BTC/USDT $50").line().code("/balance").line().line()
    else:
        text.line("First connect an exchange with /connect, or trade without real money with").code("/paper on").line()
        text.line()
    text.plain("/help lists everything.")
    return Reply(text)


async def help_(call: Call) -> Reply:
    """List the commands, or explain one."""
    from bot.chat.commands import registry

    known = registry()
    commands = known.commands
    wanted = call.args.lstrip("/").lower()
    if wanted:
        if wanted not in commands:
            raise UserError(known.unknown(wanted))
        return Reply(_explained(commands[wanted]))
    text = Text()
    for topic in _TOPICS:
        text.bold(topic).line()
        for command in commands.values():
            if command.topic == topic and (call.who.is_private or command.rule.where != "private"):
                text.line(f"/{command.name} – {command.summary}")
        text.line()
    text.line("Sizes: 0.1, 0.1btc, $250, 25%, max. Prices: @ 60000, @ 60k, @ -2%, @ bid, @ ask, @ mid.")
    text.plain("/help buy explains a command.")
    return Reply(text)


async def id_(call: Call) -> Reply:
    """Tell the numeric ids."""
    text = Text().plain("You: ").code(str(call.who.user_id)).line()
    text.plain("This chat: ").code(str(call.who.chat_id))
    return Reply(text, ((Copy("Copy your id", str(call.who.user_id)),),))


def _explained(command: Command) -> Text:
    text = Text().bold(f"/{command.name} {command.usage}".rstrip()).line().line(command.summary + ".")
    if command.details:
        text.line().line(command.details)
    if command.example:
        text.line().plain("Example: ").code(command.example)
    return text


COMMANDS = (
    Command("start", start, "Say hello and see the first step", "Start", looks=True),
    Command("help", help_, "What I can do", "Start", usage="[command]", example="/help buy", looks=True),
    Command("id", id_, "Your numeric id and this chat's", "Start", looks=True),
)
