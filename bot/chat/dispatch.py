"""From an update to its handler: the gate first, one answer always, no traceback ever."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable
from typing import Any

from telegram import CallbackQuery, Update
from telegram.error import TelegramError

from bot.accounts import people
from bot.chat.gate import ANYWHERE, Admitted, Refused, Role, Rule, admit, sender_id
from bot.chat.inbox import Inbox
from bot.chat.registry import Call, Handler, Registry, Services
from bot.chat.reply import Link, Reply, say
from bot.chat.text import Text
from bot.contract.errors import BotError, UserError
from bot.trading import journal
from bot.trading.desk import in_words
from bot.trading.orders import OrderRow

log = logging.getLogger(__name__)
_DAY_SECONDS = 86_400.0
_MOST_STRANGERS_A_MINUTE = 20
_ONE_BACKLOG_SECONDS = 60.0

_SECRET = re.compile(r"[A-Za-z0-9+/=_-]{16,}")

_TOASTS = {
    "unknown": "This button no longer works. Send the command again.",
    "not yours": "This button belongs to someone else.",
    "used": "Already done ✓",
    "expired": "Too late: this button has expired. Nothing was sent.",
}


class Dispatcher:
    """Hands each update to its command, button or open question.

    Args:
        services: What handlers work with.
        registry: All commands and actions.
        inbox: Told when a message was handled.
    """

    def __init__(self, services: Services, registry: Registry, inbox: Inbox) -> None:
        self._services = services
        self._registry = registry
        self._inbox = inbox
        self._answered: dict[int, float] = {}
        self._stranger_times: list[float] = []
        self._backlog: dict[int, float] = {}

    async def handle(self, update: Update, _: Any = None) -> None:
        """Handle one update to the end. Never raises."""
        if update.callback_query is not None:
            await _logged(self._press(update, update.callback_query))
        elif update.message is not None:
            await _logged(self._message(update))
            await _logged(self._inbox.handled(update))  # also when the answer got lost: it must not run again

    async def _message(self, update: Update) -> None:
        text = (update.message.text if update.message else None) or ""
        if not text.startswith("/"):
            await self._plain(update, text)
            return
        word, *rest = text.split(maxsplit=1)
        name, _, target = word[1:].partition("@")
        if target and target.lower() != (self._services.sender.bot.username or "").lower():
            return  # meant for another bot
        command = self._registry.commands.get(name.lower())
        if command is None and self._is_awaited(update):
            await self._plain(update, text)  # a secret may begin with a slash
            return
        who = await self._admit(update, command.rule if command else ANYWHERE)
        if who is None:
            return
        if command is None or command.name != "cancel":  # which says whether there was a question
            if stopped := self._services.dialogs.stopped(who.chat_id, who.user_id):
                await self._send(who, say(stopped))
            self._services.dialogs.drop(who.chat_id, who.user_id)
        if command is None:
            if who.is_private:
                await self._send(who, say(f"There is no command /{name[:32]}. /help lists them all."))
            return
        await self._answer(command.run, Call(self._services, who, "".join(rest).strip()))

    def _is_awaited(self, update: Update) -> bool:
        sender, chat = sender_id(update), update.effective_chat
        return sender is not None and chat is not None and self._services.dialogs.is_open(chat.id, sender)

    async def _plain(self, update: Update, text: str) -> None:
        sender, chat = sender_id(update), update.effective_chat
        answer = self._services.dialogs.take(chat.id, sender) if sender and chat else None
        if answer is None and chat is not None and chat.type != chat.PRIVATE:
            return  # talk in a group is none of our business
        if answer is None and sender is not None and _looks_secret(text) and await self._role(sender) is not None:
            await self._delete_secret(update, sender)  # whenever it was written: a wizard may have ended meanwhile
            return
        who = await self._admit(update, ANYWHERE)
        if who is None:
            return
        if answer is not None:
            taken = answer

            async def run(call: Call) -> Reply | None:
                try:
                    await taken(text, call.who.message_id)
                except UserError:
                    self._services.dialogs.ask(call.who.chat_id, call.who.user_id, taken)
                    raise
                return None

            await self._answer(run, Call(self._services, who))
        else:
            await self._send(who, say("Commands begin with a slash, such as /buy BTC/USDT $50. /help lists them."))

    async def _delete_secret(self, update: Update, sender: int) -> None:
        assert update.message is not None
        chat_id, message_id = update.message.chat_id, update.message.message_id
        try:
            deleted = await self._services.sender.bot.delete_message(chat_id, message_id)
        except TelegramError:
            deleted = False
        told = "I deleted it" if deleted else "I could NOT delete it; please do, and make a new key"
        text = f"That looked like a key, and nothing asked for one, so {told}. /connect begins anew."
        await self._services.sender.send(say(text), chat_id=chat_id, user_id=sender)

    async def _press(self, update: Update, query: CallbackQuery) -> None:
        """Answer a press once, whatever became of it, and then do what the button is for."""
        work: tuple[Handler, Call] | None = None
        alert = True
        try:
            toast, work = await self._spend(update, query)
            alert = False
        except BotError as error:
            toast = str(error)
        except Exception:
            toast = _incident()
        await self._toast(query, toast, alert=alert)
        if work is not None:
            await self._answer(*work)

    async def _spend(self, update: Update, query: CallbackQuery) -> tuple[str, tuple[Handler, Call] | None]:
        """Spend a button; return what its press is answered, and what is left to do."""
        who = await self._admit(update, ANYWHERE)
        if who is None:
            return "You may not use this button.", None
        services = self._services
        found = await services.desk.press(
            query.data or "", user_id=who.user_id, chat_id=who.chat_id, message_id=who.message_id
        )
        if isinstance(found, str):
            return _TOASTS[found], None
        press, confirmed = found
        action = self._registry.actions.get(press.action)
        if action is None:
            return _TOASTS["unknown"], None  # made by another version
        allowed = admit(update, action.rule, role=who.role, now_ms=services.clock.now_ms())
        if isinstance(allowed, Refused):
            text = _refusal_text(allowed)
            if confirmed is not None:
                await self._withdraw(confirmed, text)
            return text, None
        if confirmed is not None:
            services.desk.send(confirmed)
            return f"Sending #{confirmed.id}…", None
        call = Call(services, who, payload=press.payload, order_id=press.order_id, edits=who.message_id)
        return action.toast, (action.run, call)

    async def _withdraw(self, row: OrderRow, reason: str) -> None:
        """End a confirmed order whose owner may no longer trade; nothing of it was sent."""
        now_ms = self._services.clock.now_ms()
        await self._services.store.run(lambda db: journal.end(db, row.id, "not_placed", reason, now_ms))
        await self._services.draw(row.id)

    async def _admit(self, update: Update, rule: Rule) -> Admitted | None:
        sender = sender_id(update)
        role = await self._role(sender) if sender is not None else None
        found = admit(update, rule, role=role, now_ms=self._services.clock.now_ms())
        if isinstance(found, Admitted):
            return found
        if update.message is not None and self._may_refuse(found, sender or 0, update.message.chat_id):
            text = _refusal_text(found, sender or 0)
            rows: tuple[tuple[Link, ...], ...] = ()
            if found.why == "private" and self._services.sender.bot.username:
                rows = ((Link("Open the private chat", f"https://t.me/{self._services.sender.bot.username}"),),)
            reply = Reply(Text().plain(text), rows)
            await self._services.sender.send(reply, chat_id=update.message.chat_id, user_id=sender or 0)
        return None

    async def _role(self, user_id: int) -> Role | None:
        if user_id == self._services.settings.access.owner:
            return "owner"
        user = await self._services.store.run(lambda db: people.get_user(db, user_id))
        return None if user is None or user.role == "blocked" else user.role

    def _may_refuse(self, found: Refused, user_id: int, chat_id: int) -> bool:
        """Say whether a refusal is answered: strangers once a day, a backlog once, the rest always."""
        now = self._services.clock.monotonic()
        if found.why == "stranger":
            self._stranger_times = [at for at in self._stranger_times if at > now - 60]
            is_quiet = now - self._answered.get(user_id, -_DAY_SECONDS) < _DAY_SECONDS
            if is_quiet or len(self._stranger_times) >= _MOST_STRANGERS_A_MINUTE:
                return False
            self._answered = {who: at for who, at in self._answered.items() if now - at < _DAY_SECONDS}
            self._answered[user_id] = now
            self._stranger_times.append(now)
            return True
        if found.why == "stale":
            last = self._backlog.get(chat_id, -_ONE_BACKLOG_SECONDS)
            self._backlog[chat_id] = now
            return now - last >= _ONE_BACKLOG_SECONDS
        return found.why != "silent"

    async def _answer(self, run: Handler, call: Call) -> None:
        edits = call.edits
        try:
            reply = await run(call)
        except BotError as error:
            reply, edits = refusal(in_words(error), getattr(error, "code", "")), None
        except TelegramError:
            raise
        except Exception:
            reply, edits = say(_incident()), None
        if reply is not None:
            await self._send(call.who, reply, edits)

    async def _send(self, who: Admitted, reply: Reply, edits: int | None = None) -> None:
        await self._services.sender.send(reply, chat_id=who.chat_id, user_id=who.user_id, message_id=edits)

    async def _toast(self, query: CallbackQuery, text: str, *, alert: bool = False) -> None:
        """Answer a press. Telegram forgets presses after some seconds; the card tells all the same."""
        try:
            await query.answer(text[:200], show_alert=alert)
        except TelegramError as error:
            log.info("a press could not be answered: %s", type(error).__name__)


def _looks_secret(text: str) -> bool:
    """Say whether a message can be a pasted key: long words of letters and digits that no command or pair has."""
    return any(
        _SECRET.fullmatch(word) and any(map(str.isdigit, word)) and any(map(str.isalpha, word)) for word in text.split()
    )


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except TelegramError as error:
        log.warning("an answer did not reach Telegram: %s", type(error).__name__)
    except Exception:
        log.exception("an update was not handled")


def _incident() -> str:
    """Log the error that is being handled, and return what a person is told of it."""
    reference = secrets.token_hex(3)
    log.exception("incident %s", reference)
    return f"Something went wrong inside the bot. Tell the operator this number: {reference}."


def refusal(text: str, code: str) -> Reply:
    """Return what a person reads when something was not done."""
    message = Text().bold("✖ Not done")
    if code:
        message.plain(" · ").code(code)
    return Reply(message.line().plain(text))


def _refusal_text(found: Refused, user_id: int = 0) -> str:
    if found.why == "stranger":
        return f"This is a private bot. Your Telegram id is {user_id}; its operator can let you in."
    if found.why == "stale":
        minutes = max(1, found.detail_ms // 60_000)
        return (
            f"I was away. What you sent {minutes} min ago was not run, because prices have moved. "
            "Send it again if you still want it."
        )
    if found.why == "clock":
        return "This server's clock is wrong, so I run no commands. Tell the operator to set it."
    if found.why == "private":
        return "I answer that in our private chat only."
    return "You may not do that. Ask the operator if you should."
