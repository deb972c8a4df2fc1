"""/connect and new keys: a wizard. What the person pastes is deleted at once and kept only until it is sealed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from telegram.error import TelegramError

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.chat.codes import after_code
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Reply, say
from bot.chat.text import Text
from bot.contract.errors import BotError, UserError
from bot.redact import redactor
from bot.store.database import Connection
from bot.trading.confirm import Button
from bot.trading.connect import Connected, KeyRefused, connect
from bot.trading.gateway import Exchange
from bot.trading.rekey import replace_key
from bot.trading.selftest import MAY_WITHDRAW
from bot.trading.sending import in_words

MARKS = {"ok": "✓", "warning": "⚠", "failed": "✗", "unknown": "–"}
_NAMES = {"key": "API key", "secret": "secret key", "passphrase": "passphrase of the key", "email": "e-mail address"}


_LOOKED = "looked"
_STOPPED = "Connecting was stopped; nothing was stored. Send no more of the key here; /connect begins anew."


@dataclass(frozen=True, slots=True)
class _Wizard:
    """What was given so far. Secrets: never stored, never printed."""

    exchange: Exchange
    label: str
    options: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    left_behind: bool = False
    replaces: AccountRow | None = None

    @property
    def missing(self) -> list[str]:
        return [name for name in self.exchange.info.credential_fields if name not in self.fields]


async def connect_(call: Call) -> Reply | None:
    """Begin the wizard: /connect [exchange] [label] [demo]."""
    words = call.args.lower().split()
    gateway = call.services.gateway
    choices = [found for found in gateway.exchanges.values() if found.info.credential_fields]
    if not choices and gateway.exchanges:
        return say("Everything here trades on paper, so no key is needed and none is taken. Try /buy BTC/USDT $50")
    if not choices:
        raise UserError("No exchange that needs a key is in use here. Tell the operator.", code="NO_EXCHANGE")
    if not words and len(choices) > 1:
        keys = tuple((Button(each.info.title + each.info.mark, "connect", {"args": each.info.id}),) for each in choices)
        return say("Which exchange?", *keys)
    exchange = gateway.named(words[0]) if words else choices[0]
    if not exchange.info.credential_fields:
        text = f"{exchange.info.title} needs no key. /paper on trades there without real money."
        raise UserError(text, code="NO_EXCHANGE")
    options = {"demo": "1"} if "demo" in words[1:] and exchange.info.capabilities.sandbox else {}
    if "demo" in words[1:] and not options:
        raise UserError(f"{exchange.info.title} has no demo trading. /paper on trades without real money.")
    labels = [word for word in words[1:] if word != "demo"]
    label = await call.read(lambda db: _free_label(db, call.who.user_id, labels[0] if labels else None))
    wizard = _Wizard(exchange, label, options)
    return await after_code(call, "to add a key", lambda call: _begin(call, wizard))


async def begin_rotation(call: Call, account: AccountRow) -> Reply | None:
    """Begin the wizard for a new key of an account."""
    exchange = call.services.gateway.named(account.exchange)
    if not exchange.info.credential_fields:
        raise UserError(f"{exchange.info.title} needs no key.", code="NO_EXCHANGE")
    wizard = _Wizard(exchange, account.label, dict(account.options), replaces=account)
    return await after_code(call, "to replace a key", lambda call: _begin(call, wizard))


async def _begin(call: Call, wizard: _Wizard) -> Reply:
    _ask(call, wizard)
    wants_address = any("IP address" in step for step in wizard.exchange.info.key_help)
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
    new = " · new key" if wizard.replaces else ""
    text = Text().bold(f"{info.title} · {wizard.label}{info.mark}{new}").line()
    for number, step in enumerate(info.key_help, 1):
        text.line(f"{number}. {step}")
    if info.experimental:
        text.line(f"⚠ {info.experimental}")
    text.line().line("Safer: on the server, tradewire keys add. Here, I delete each message as soon as I read it.")
    return text.plain("Now send the ").bold(_NAMES[wizard.missing[0]]).plain(". /cancel stops.")


def _ask(call: Call, wizard: _Wizard) -> _Wizard:
    async def answer(text: str, message_id: int) -> None:
        await _take(call, wizard, text, message_id)

    call.services.dialogs.ask(call.who.chat_id, call.who.user_id, answer, stopped=_STOPPED, is_secret=True)
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
    await _send(call, await _connect(call, wizard))


async def _connect(call: Call, wizard: _Wizard, *, has_looked: bool = False) -> Reply:
    text = Text()
    keys: tuple[tuple[Button, ...], ...] = ()
    try:
        done = await _stored(call, wizard, has_looked=has_looked)
    except KeyRefused as refused:
        steps, end = refused.steps, str(refused)
        if refused.code == MAY_WITHDRAW:
            text.bold("⚠ Look at the exchange first").line()
            keys = _ask_to_look(call, wizard)
        else:
            text.bold("✖ Not connected").line()
    except BotError as error:
        text.bold("✖ Not connected").line().line(f"{in_words(error)} Nothing was stored.")
        steps, end = (), ""
    else:
        info = wizard.exchange.info
        name = f"{info.title}·{done.account.label}{info.mark}"
        text.bold(f"✅ {name} has its new key" if wizard.replaces else f"✅ Connected {name}").line()
        ending = (
            "Delete the old key at the exchange."
            if wizard.replaces
            else "Try /keys test, /balance, or /buy BTC/USDT $50"
        )
        steps, end = done.steps, ending
    for step in steps:
        text.line(f"{MARKS[step.mark]} {step.name}: {step.text}")
    if wizard.left_behind:
        text.line("⚠ I could not delete every message with your key. Delete them, and make a new key to be safe.")
    return Reply(text.plain(end), keys)


async def _stored(call: Call, wizard: _Wizard, *, has_looked: bool) -> Connected:
    it, account = call.services, wizard.replaces
    if account is not None:
        return await replace_key(
            it.gateway, it.store, it.vault, it.clock, account=account, given=wizard.fields, has_looked=has_looked
        )
    return await connect(
        it.gateway,
        it.store,
        it.vault,
        it.clock,
        user_id=call.who.user_id,
        exchange_id=wizard.exchange.info.id,
        label=wizard.label,
        fields=wizard.fields,
        options=wizard.options,
        has_looked=has_looked,
    )


def _ask_to_look(call: Call, wizard: _Wizard) -> tuple[tuple[Button, ...], ...]:
    """Keep the fields in memory for a few minutes, for the button alone; a message throws them away."""

    async def answer(text: str, message_id: int) -> None:
        if text != _LOOKED or message_id:
            raise UserError("Press the button, or /cancel; then nothing is stored.")
        await _send(call, await _connect(call, wizard, has_looked=True))

    call.services.dialogs.ask(call.who.chat_id, call.who.user_id, answer, stopped=_STOPPED)
    return ((Button("I looked: Withdraw is off", "looked_at_key", style="primary"),),)


async def looked(call: Call) -> Reply:
    """Store the key whose owner looked at the exchange's site."""
    answer = call.services.dialogs.take(call.who.chat_id, call.who.user_id)
    if answer is None:
        raise UserError("That was too long ago, and nothing was stored. /connect begins anew.")
    await answer(_LOOKED, 0)
    return say("You looked at the exchange's site: the right to withdraw is off.")


async def _delete(call: Call, message_id: int) -> bool:
    try:
        return await call.services.sender.bot.delete_message(call.who.chat_id, message_id)
    except TelegramError:
        return False


async def _say(call: Call, text: Text) -> None:
    await _send(call, Reply(text))


async def _send(call: Call, reply: Reply) -> None:
    await call.services.sender.send(reply, chat_id=call.who.chat_id, user_id=call.who.user_id)


COMMANDS = (
    Command(
        "connect",
        connect_,
        "Connect an exchange with your API key",
        "Accounts",
        "[EXCHANGE] [NAME] [demo]",
        "/connect bitget main",
        details="Your key needs the rights to read and to trade, and must not be able to withdraw.",
    ),
)
ACTIONS = (Action("connect", begin), Action("looked_at_key", looked, toast="Asking the exchange…"))
