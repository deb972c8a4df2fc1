"""/status, /why and /ip."""

from __future__ import annotations

from bot.chat.commands.keys import badge
from bot.chat.health import Report
from bot.chat.reasons import REASONS
from bot.chat.registry import Action, Call, Command
from bot.chat.render import summary
from bot.chat.reply import Copy, Reply
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.exchanges import address
from bot.exchanges.streams import StreamState
from bot.store.database import Connection
from bot.trading import queries
from bot.trading.law import DOUBTFUL, LIVE


async def status(call: Call) -> Reply:
    """Show how the bot and the ways to the exchanges are."""
    text = Text()
    for account in await call.accounts():
        exchange = call.services.gateway.exchanges.get(account.exchange + (":paper" if account.paper else ""))
        if exchange is None:
            text.bold(f"{account.exchange}·{account.label}").line(" ✗ not in use here")
            continue
        transport = exchange.transport
        offset = transport.clock.offset_ms
        skew = "not measured" if offset is None else f"{offset:+d} ms"
        text.bold(f"{exchange.info.title}·{account.label}{exchange.info.mark}").line()
        text.line(f"clock {skew} · limits {transport.limiter.remaining_percent()}% free")
        stream = call.services.feeds.state(account.id, exchange.info.id)
        if stream is not None:
            text.line(_stream(stream))
        if exchange.info.credential_fields:
            text.line(badge(account, call.services.clock.now_ms()))
        if transport.last_error:
            text.line(f"last trouble: {transport.last_error}")

    def count(db: Connection) -> tuple[int, int, int]:
        waiting = db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        live, doubtful = (
            sum(row.user_id == call.who.user_id for row in queries.in_states(db, states)) for states in (LIVE, DOUBTFUL)
        )
        return live, doubtful, waiting

    live, doubtful, waiting = await call.read(count)
    for name, problem in call.services.gateway.unusable.items():
        text.line(f"⚠ {name} is off: {problem}")
    if call.services.health is not None:
        text.line(_bot(await call.services.health.report()))
    minutes = (call.services.clock.now_ms() - call.services.started_ms) // 60_000
    text.line(f"{live} of your orders open, {doubtful} in doubt, {waiting} messages waiting")
    text.plain(f"Up {minutes // 1440} d {minutes // 60 % 24} h {minutes % 60} min")
    return Reply(text)


def _bot(report: Report) -> str:
    if report.problems:
        return "⚠ " + " ".join(report.problems)
    heard = "" if report.heard_seconds is None else f"Telegram ✓ heard {report.heard_seconds} s ago · "
    commands = report.stored.inbox if report.stored else 0
    return f"{heard}Database ✓ {report.commits} commits · {commands} commands at work"


def _stream(stream: StreamState) -> str:
    if not stream.is_open:
        return f"stream ✗ {stream.problem} · the bot asks instead"
    return f"stream ✓ heard {stream.heard_seconds or 0} s ago"


async def why(call: Call) -> Reply:
    """Explain an order's state or a code."""
    wanted = call.args.strip().lstrip("#")
    if not wanted:
        raise UserError("Why what? /why 42 explains an order, /why NO_FUNDS a code.")
    if wanted.isdecimal() and len(wanted) < 16:
        try:
            row = await call.read(lambda db: queries.get_own(db, int(wanted), call.who.user_id))
        except UserError:
            return Reply(_coded(call, wanted))
        text = Text().bold(summary(row)).line()
        return Reply(text.plain(row.reason or "Nothing went wrong with it."))
    return Reply(_coded(call, wanted))


def _coded(call: Call, wanted: str) -> Text:
    text = Text()
    if wanted.upper() in REASONS:
        text.bold(wanted.upper()).line().line(REASONS[wanted.upper()])
    for exchange in call.services.gateway.exchanges.values():
        row = exchange.info.errors.get(wanted)
        if row is not None and not exchange.info.id.endswith(":paper"):
            text.bold(f"{exchange.info.title} {wanted}").line().line(f"{row.cause}. {row.remedy}")
    if not text.text:
        raise UserError(f"I know neither an order nor a code {wanted[:32]}.")
    return text


async def ip(call: Call) -> Reply:
    """Tell which address to enter where an exchange binds a key to addresses."""
    exchanges = call.services.gateway.exchanges
    sections = call.services.settings.exchanges.items()
    found = address.addresses({exchanges[name].info.title: each for name, each in sections if name in exchanges})
    text = Text()
    for line in found.lines:
        text.line(line)
    # A private address has no such button: entered at an exchange, it would lock the key's owner out.
    return Reply(text, tuple((Copy(f"Copy {each}", each),) for each in found.public))


async def ip_beside(call: Call) -> None:
    """Tell it below the wizard: a command would end the wizard, and the key pasted next would stay in the chat."""
    await call.services.sender.send(await ip(call), chat_id=call.who.chat_id, user_id=call.who.user_id)


COMMANDS = (
    Command("status", status, "How the bot and the exchanges are", "Bot", looks=True),
    Command("why", why, "Explain an order or a code", "Bot", "NUMBER | CODE", "/why NO_FUNDS", looks=True),
    Command(
        "ip",
        ip,
        "The address this server sends from",
        "Bot",
        looks=True,
        details="Exchanges can bind a key to addresses. Enter this one there, and the key is of no use elsewhere.",
    ),
)
ACTIONS = (Action("ip", ip_beside),)
