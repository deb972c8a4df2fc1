"""From an update to its handler: the gate first, one answer always, no traceback ever."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any

from telegram import CallbackQuery, Message, Update
from telegram.error import TelegramError

from bot.accounts import invites, roles
from bot.accounts.roles import RANK, Standing
from bot.chat import strays
from bot.chat.gate import ANYWHERE, VIEWERS, Admitted, Refused, Rule, admit, age_of, is_late, sender_id, topic_of
from bot.chat.groups import moved_to
from bot.chat.halt import Halt
from bot.chat.inbox import Inbox, was_done
from bot.chat.late import Asked, Backlog, summary
from bot.chat.refusals import INVITATION_OVER, TOO_MANY_PRESSES, TOO_MUCH, Refusals
from bot.chat.registry import Call, Handler, Registry, Services, split_command
from bot.chat.remedies import refusal
from bot.chat.reply import Link, Reply, say
from bot.chat.strays import Strays
from bot.chat.text import Text
from bot.contract.errors import BotError, UserError
from bot.redact import redactor
from bot.trading import groups, journal, membership
from bot.trading.orders import OrderRow
from bot.trading.sending import in_words

log = logging.getLogger(__name__)
_CHATS_AT_ONCE = 8

TOASTS = {
    "unknown": "This button no longer works. Send the command again.",
    "not yours": "This button belongs to someone else. Send the command yourself.",
    "used": "Pressed already: a button works once. What became of it is in this chat; of an order, in /orders.",
    "expired": "Too late: this button has expired and did nothing. Send the command again for a new one.",
}


class Dispatcher:
    """Hands each update to its command, button or open question.

    Args:
        services: What handlers work with.
        registry: All commands and actions.
        inbox: Told when a message was handled.
        halt: Tells whether orders are taken.
    """

    def __init__(self, services: Services, registry: Registry, inbox: Inbox, halt: Halt) -> None:
        self._services = services
        self._registry = registry
        self._inbox = inbox
        self._halt = halt
        self._refusals = Refusals(services.clock, halt, services.strangers)
        self._strays = Strays(services.sender, services.dialogs)
        self._backlog = Backlog(services.clock)
        self._refused: dict[int, list[Update]] = {}
        self._asked_as: dict[tuple[int, int], Standing] = {}

    async def handle(self, update: Update, _: Any = None) -> None:
        """Handle one update to the end. Never raises."""
        if (moved := moved_to(update)) is not None:
            self._services.sender.moved(moved)
        if update.callback_query is not None:
            await _logged(self._press(update, update.callback_query))
        elif update.message is not None and was_done(update):
            await _logged(self._done(update, update.message))
        elif update.message is not None and is_late(update, self._services.clock.now_ms()):
            await _logged(self._late(update))
        elif update.message is not None:
            await _logged(self._message(update))
            await _logged(self._inbox.handled(update))  # also when the answer got lost: it must not run again

    async def _done(self, update: Update, message: Message) -> None:
        """Tell of a command that had its effect and lost its answer when the bot stopped. It is not run again."""
        split = self._split(message.text or "")
        command = self._registry.commands.get(split[0]) if split else None
        name, hint = (command.name, command.lost) if command else ("command", "")
        at = f"{message.date:%H:%M} UTC"
        text = f"I was stopped right after I did your /{name} of {at}, so my answer may be missing. It was done once: "
        await self._inbox.tell_done(update, f"{text}do not send it again. {hint}".strip())
        self._services.sender.kept()

    async def refuse(self, update: Update) -> None:
        """Answer an update that is not handled, because too many of its chat wait: messages once, every press."""
        chat_id = update.effective_chat.id if update.effective_chat else 0
        if chat_id in self._refused:
            self._refused[chat_id].append(update)
            return
        self._refused[chat_id] = [update]
        try:
            await _logged(self._too_much(update, chat_id))
            while refused := self._refused[chat_id]:
                self._refused[chat_id] = []
                await _logged(self._inbox.handled(*refused))
                for each in refused:  # one after another: the connections are for those who wait their turn
                    if each.callback_query is not None:
                        await self._toast(each.callback_query, TOO_MANY_PRESSES)
        finally:
            del self._refused[chat_id]

    async def _too_much(self, update: Update, chat_id: int) -> None:
        sender = sender_id(update)
        if update.message is None or sender is None or not self._refusals.is_first("flood", chat_id):
            return
        if await self._role(sender) is not None:
            await self._services.sender.send(say(TOO_MUCH), chat_id=chat_id, user_id=sender)

    async def _late(self, update: Update) -> None:
        gate = asyncio.Semaphore(_CHATS_AT_ONCE)

        async def one(updates: Sequence[Update]) -> None:
            async with gate:
                await _logged(self._catch_up(updates))
                await _logged(self._inbox.handled(*updates))

        await asyncio.gather(*(one(each) for each in await self._backlog.gather(update, sender_id(update) or 0)))

    async def _catch_up(self, updates: Sequence[Update]) -> None:
        """Answer what one person sent to one chat while the bot was away: one message in private, none in a group."""
        sender, chat = sender_id(updates[0]), updates[0].effective_chat
        assert chat is not None
        role = await self._role(sender) if sender is not None else None
        if role is None:
            await self._admit(updates[-1], ANYWHERE)
            return
        if chat.type != chat.PRIVATE:
            return
        asked: list[Asked] = []
        deleted: list[bool] = []
        for update in updates:
            assert update.message is not None
            found = self._asked(update, role)
            if found is not None:
                asked.append(found)
            elif self._strays.may_be_secret(chat.id, sender or 0, update.message.text or "", came_late=True):
                deleted.append(await self._strays.delete(chat.id, update.message.message_id))
        if [each.command.runs_late for each in asked] == [True] and len(updates) == 1:
            await self._answer(asked[0].command.run, asked[0].call)
            return
        assert updates[0].message is not None
        reply = await summary(asked, oldest_ms=age_of(updates[0].message, self._services.clock.now_ms()))
        if deleted:
            text = Text().line(strays.late(deleted)).line()
            reply = replace(reply, text=text if len(deleted) == len(updates) else text.add(reply.text))
        await self._services.sender.send(reply, chat_id=chat.id, user_id=sender or 0)

    def _asked(self, update: Update, role: Standing) -> Asked | None:
        """Return a late command that its sender might have given in time."""
        message = update.message
        assert message is not None
        text = message.text or ""
        split = self._split(text) if text.startswith("/") else None
        command = self._registry.commands.get(split[0]) if split else None
        if split is None or command is None:
            return None
        age_ms = age_of(message, self._services.clock.now_ms())
        then_ms = self._services.clock.now_ms() - age_ms
        who = admit(update, command.rule, role=role, now_ms=then_ms)
        return Asked(command, Call(self._services, who, split[1]), age_ms) if isinstance(who, Admitted) else None

    def _split(self, text: str) -> tuple[str, str] | None:
        split = split_command(text, self._username)
        return self._registry.linked(*split) if split is not None else None

    @property
    def _username(self) -> str:
        return self._services.sender.bot.username or ""

    async def _message(self, update: Update) -> None:
        text = (update.message.text if update.message else None) or ""
        if not text.startswith("/"):
            await self._plain(update, text)
            return
        split = self._split(text)
        if split is None:
            return  # meant for another bot
        name, args = split
        if name == "start" and args.startswith(invites.PREFIX) and not await self._invited(update, args):
            return
        command = self._registry.commands.get(name)
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
                await self._send(who, say(self._registry.unknown(name)))
            return
        await self._answer(command.run, Call(self._services, who, args))

    def _is_awaited(self, update: Update) -> bool:
        sender, chat, dialogs = sender_id(update), update.effective_chat, self._services.dialogs
        if sender is None or chat is None:
            return False
        return dialogs.is_open(chat.id, sender) or dialogs.is_wary(chat.id, sender)

    async def _invited(self, update: Update, args: str) -> bool:
        """Let a stranger in by an invitation; say whether the message goes on as an ordinary /start."""
        services, sender, message = self._services, sender_id(update), update.message
        now_ms = services.clock.now_ms()
        found = admit(update, VIEWERS, role="viewer", now_ms=now_ms)
        if sender is None or message is None or not isinstance(found, Admitted) or await self._role(sender) is not None:
            return True
        token, owner = args.removeprefix(invites.PREFIX), services.settings.access.owner
        role = await services.store.run(
            lambda db: membership.join(db, token, user_id=sender, name=found.name, owner=owner, now_ms=now_ms)
        )
        if role is not None:
            services.sender.kept()
            await self._send(found, say(f"Welcome. You may use this bot as {role}."))
            return True
        if services.strangers.may_answer(sender, found.name, services.clock.monotonic()):
            await self._send(found, say(INVITATION_OVER))
        return False

    async def _plain(self, update: Update, text: str) -> None:
        sender, chat = sender_id(update), update.effective_chat
        answer = self._services.dialogs.take(chat.id, sender) if sender and chat else None
        if answer is None and chat is not None and chat.type != chat.PRIVATE:
            return  # talk in a group is none of our business
        if sender and chat and update.message is not None:
            role = await self._role(sender)
            asked_as = self._asked_as.pop((chat.id, sender), None)
            is_void = answer is not None and RANK[role or "blocked"] < RANK[asked_as or "viewer"]
            answer = None if is_void else answer
            is_stray = answer is None and self._strays.may_be_secret(chat.id, sender, text)
            if is_stray and (is_void or role is not None):
                await self._strays.remove(chat.id, sender, update.message.message_id)
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
            query.data or "",
            user_id=who.user_id,
            chat_id=who.chat_id,
            message_id=who.message_id,
            may_send=self._may_confirm(update, who),
        )
        if isinstance(found, str):
            return TOASTS[found], None
        press, confirmed = found
        if confirmed is not None and confirmed.state == "sending":
            return f"Sending #{confirmed.id}…", None
        action = self._registry.actions.get(press.action)
        if action is None:
            return TOASTS["unknown"], None  # made by another version
        is_halted = bool(self._halt.reason)
        allowed = admit(update, action.rule, role=who.role, now_ms=services.clock.now_ms(), is_halted=is_halted)
        if isinstance(allowed, Admitted):
            allowed = await self._with_office(allowed, action.rule)
        if isinstance(allowed, Refused):
            text = self._refusals.text(allowed)
            if confirmed is not None:
                await self._withdraw(confirmed, text)
            return text, None
        if confirmed is not None:
            services.desk.send(confirmed)
            return f"Sending #{confirmed.id}…", None
        edits = None if press.payload.get("stays") else who.message_id  # other buttons of the message still count
        call = Call(services, who, payload=press.payload, order_id=press.order_id, edits=edits)
        return action.toast, (action.run, call)

    def _may_confirm(self, update: Update, who: Admitted) -> bool:
        action = self._registry.actions.get("confirm")
        if action is None or action.rule.administers:
            return False
        now_ms, is_halted = self._services.clock.now_ms(), bool(self._halt.reason)
        return isinstance(admit(update, action.rule, role=who.role, now_ms=now_ms, is_halted=is_halted), Admitted)

    async def _withdraw(self, row: OrderRow, reason: str) -> None:
        """End a confirmed order whose owner may no longer trade; nothing of it was sent."""
        now_ms = self._services.clock.now_ms()
        await self._services.store.run(lambda db: journal.end(db, row.id, "not_placed", reason, now_ms))
        await self._services.draw(row.id)

    async def _admit(self, update: Update, rule: Rule) -> Admitted | None:
        sender = sender_id(update)
        role = await self._role(sender) if sender is not None else None
        now_ms = self._services.clock.now_ms()
        if update.message is not None:
            self._halt.dated(age_of(update.message, now_ms))
        found = admit(update, rule, role=role, now_ms=now_ms, is_halted=bool(self._halt.reason))
        if isinstance(found, Admitted):
            found = await self._with_office(found, rule)
        if isinstance(found, Admitted):
            return found
        if found.why == "stale":
            await self._late(update)  # it grew too old while it was looked at
        name = update.effective_user.full_name if update.effective_user else ""
        if found.why == "anonymous" and not await self._is_known(update):
            return None
        if update.message is not None and self._refusals.may_answer(found, sender or 0, update.message.chat_id, name):
            text = self._refusals.text(found, sender or 0)
            rows: tuple[tuple[Link, ...], ...] = ()
            if found.why == "private" and self._services.sender.bot.username:
                rows = ((Link("Open the private chat", self._private_link(update.message.text or "")),),)
            reply = Reply(Text().plain(text), rows)
            await self._services.sender.send(
                reply, chat_id=update.message.chat_id, user_id=sender or 0, thread_id=topic_of(update.message)
            )
        return None

    async def _with_office(self, who: Admitted, rule: Rule) -> Admitted | Refused:
        """Refuse somebody who would have to administrate the group and does not."""
        if not rule.administers or who.is_private:
            return who
        services = self._services
        try:
            found = await services.members.get(
                services.sender.bot, who.chat_id, who.user_id, services.clock.monotonic()
            )
        except UserError:
            return Refused("unasked")
        return who if found.is_administrator else Refused("administrator")

    async def _is_known(self, update: Update) -> bool:
        chat = update.effective_chat
        return chat is not None and await self._services.store.run(lambda db: groups.find(db, chat.id)) is not None

    def _private_link(self, text: str) -> str:
        asked = self._registry.link_of(text, self._username)
        return f"https://t.me/{self._username}" + (f"?start={asked}" if asked else "")

    async def _role(self, user_id: int) -> Standing | None:
        owner = self._services.settings.access.owner
        return await self._services.store.run(lambda db: roles.standing(db, user_id, owner))

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
        if self._services.dialogs.is_open(call.who.chat_id, call.who.user_id):
            self._asked_as[call.who.chat_id, call.who.user_id] = call.who.role  # who ranks lower later is not heard
        if reply is not None:
            await self._send(call.who, reply, edits)

    async def _send(self, who: Admitted, reply: Reply, edits: int | None = None) -> None:
        await self._services.sender.send(
            reply, chat_id=who.chat_id, user_id=who.user_id, message_id=edits, thread_id=who.thread_id
        )

    async def _toast(self, query: CallbackQuery, text: str, *, alert: bool = False) -> None:
        """Answer a press. Telegram forgets presses after some seconds; the card tells all the same."""
        try:
            await query.answer(redactor.redact(text)[:200], show_alert=alert)
        except TelegramError as error:
            log.info("a press could not be answered: %s", type(error).__name__)


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
