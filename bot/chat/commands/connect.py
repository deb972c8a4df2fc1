"""/connect: a key wizard. What the person pastes is deleted at once and kept only until it is sealed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from telegram.error import TelegramError

from bot.accounts import people
from bot.chat.commands.accounts import MARKS
from bot.chat.gate import TRADERS
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Reply, say
from bot.chat.text import Text
from bot.contract.errors import BotError, UserError
from bot.redact import redactor
from bot.store.database import Connection
from bot.trading.confirm import Button
from bot.trading.connect import KeyRefused, connect
from bot.trading.desk import in_words
from bot.trading.gateway import Exchange

_NAMES = {"key": "API key", "secret": "secret key", "passphrase": "passphrase of the key", "email": "e-mail address"}


_STOPPED = "Connecting was stopped; nothing was stored. Send no more of the key here; /connect begins anew."


@dataclass(frozen=True, slots=True)
class _Wizard:
    """What was given so far. Secrets: never stored, never printed."""

    exchange: Exchange
    label: str
    options: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    left_behind: bool = False

    @property
    def missing(self) -> list[str]:
        return [name for name in self.exchange.info.credential_fields if name not in self.fields]


async def connect_(call: Call) -> Reply | None:
    """Begin the wizard: /connect [exchange] [label] [demo]."""
    words = call.args.lower().split()
    gateway = call.services.gateway
    choices = [found for found in gateway.exchanges.values() if found.info.credential_fields]
    if not choices:
        raise UserError("No exchange that needs a key is in use here. Tell the operator.", code="NO_EXCHANGE")
    if not words and len(choices) > 1:
        keys = tuple((Button(each.info.title, "connect", {"args": each.info.id}),) for each in choices)
        return say("Which exchange?", *keys)
    exchange = gateway.named(words[0]) if words else choices[0]
    if not exchange.info.credential_fields:
        text = f"{exchange.info.title} needs no key. /paper on trades there without real money."
        raise UserError(text, code="NO_EXCHANGE")
    options = {"demo": "1"} if "demo" in words[1:] and exchange.info.capabilities.sandbox else {}
    if "demo" in words[1:] and not options:
        raise UserError(f"{exchange.info.title} has no demo trading. /paper on trades without real money.")
    labels = [word for word in words[1:] if word != "demo"]
    label = await call.services.store.run(lambda db: _free_label(db, call.who.user_id, labels[0] if labels else None))
    wizard = _ask(call, _Wizard(exchange, label, options))
    wants_address = any("IP address" in step for step in exchange.info.key_help)
    return Reply(_welcome(wizard), ((Button("This server's IP address", "ip"),),) if wants_address else ())


async def begin(call: Call) -> Reply | None:
    """Begin with the exchange whose button was pressed."""
    return await connect_(call.with_args(call.payload["args"]))


def _free_label(db: Connection, user_id: int, wanted: str | None) -> str:
    if wanted is None:
        return people.next_label(db, user_id)
    people.check_label(db, user_id, wanted)
    return wanted


def _welcome(wizard: _Wizard) -> Text:
    info = wizard.exchange.info
    text = Text().bold(f"{info.title} · {wizard.label}").line()
    for number, step in enumerate(info.key_help, 1):
        text.line(f"{number}. {step}")
    if info.experimental:
        text.line(f"⚠ {info.experimental}")
    text.line().line("Safer: on the server, tradewire keys add. Here, I delete each message as soon as I read it.")
    return text.plain("Now send the ").bold(_NAMES[wizard.missing[0]]).plain(". /cancel stops.")


def _ask(call: Call, wizard: _Wizard) -> _Wizard:
    async def answer(text: str, message_id: int) -> None:
        await _take(call, wizard, text, message_id)

    call.services.dialogs.ask(call.who.chat_id, call.who.user_id, answer, stopped=_STOPPED)
    return wizard


async def _take(call: Call, wizard: _Wizard, text: str, message_id: int) -> None:
    """Read one message: one field, or several on a line each."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        redactor.register(line)
    deleted = await _delete(call, message_id)
    given = dict(zip(wizard.missing, lines, strict=False))
    wizard = replace(wizard, fields={**wizard.fields, **given}, left_behind=wizard.left_behind or not deleted)
    if wizard.missing:
        _ask(call, wizard)
        gone = "Deleted your message. " if deleted else "I could NOT delete your message; please do. "
        await _say(call, Text().plain(f"{gone}Now the ").bold(_NAMES[wizard.missing[0]]).plain("."))
        return
    await _say(call, await _connect(call, wizard))


async def _connect(call: Call, wizard: _Wizard) -> Text:
    services = call.services
    text = Text()
    try:
        done = await connect(
            services.gateway,
            services.store,
            services.vault,
            services.clock,
            user_id=call.who.user_id,
            exchange_id=wizard.exchange.info.id,
            label=wizard.label,
            fields=wizard.fields,
            options=wizard.options,
        )
    except KeyRefused as refused:
        text.bold("✖ Not connected").line()
        steps, end = refused.steps, str(refused)
    except BotError as error:
        return text.bold("✖ Not connected").line().plain(f"{in_words(error)} Nothing was stored.")
    else:
        text.bold(f"✅ Connected {wizard.exchange.info.title}·{done.account.label}").line()
        steps, end = done.steps, "Try /balance, or /buy BTC/USDT $50"
    for step in steps:
        text.line(f"{MARKS[step.mark]} {step.name}: {step.text}")
    if wizard.left_behind:
        text.line("⚠ I could not delete every message with your key. Delete them, and make a new key to be safe.")
    return text.plain(end)


async def _delete(call: Call, message_id: int) -> bool:
    try:
        return await call.services.sender.bot.delete_message(call.who.chat_id, message_id)
    except TelegramError:
        return False


async def _say(call: Call, text: Text) -> None:
    await call.services.sender.send(Reply(text), chat_id=call.who.chat_id, user_id=call.who.user_id)


COMMANDS = (
    Command(
        "connect",
        connect_,
        "Connect an exchange with your API key",
        "Accounts",
        "[EXCHANGE] [NAME] [demo]",
        "/connect bitget main",
        TRADERS,
        "Your key needs the rights to read and to trade, and must not be able to withdraw.",
    ),
)
ACTIONS = (Action("connect", begin),)
