"""From an update to what handles it: presses, messages in time, messages that came late, and floods."""

from __future__ import annotations

from typing import Any

from telegram import Update

from bot.chat.admission import Admission
from bot.chat.answers import Answers, logged, toast
from bot.chat.gate import is_late, sender_id
from bot.chat.groups import moved_to
from bot.chat.halt import Halt
from bot.chat.inbox import Inbox, was_done
from bot.chat.late import Latecomers
from bot.chat.messages import Messages
from bot.chat.presses import Presses
from bot.chat.refusals import TOO_MANY_PRESSES, TOO_MUCH
from bot.chat.registry import Registry, Services
from bot.chat.reply import say


class Dispatcher:
    """Hands each update to what handles it.

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
        self._admission = Admission(services, registry, halt)
        answers = Answers(services)
        self._presses = Presses(services, registry, self._admission, answers)
        self._messages = Messages(services, registry, inbox, self._admission, answers)
        self._latecomers = Latecomers(services, registry, inbox, self._admission, answers)
        self._admission.late = self._latecomers.handle
        self._refused: dict[int, list[Update]] = {}

    def may_begin(self, update: Update) -> bool:
        """Say whether an update may be handled before it is stored: a press, or a command that only looks."""
        if update.message is None:
            return update.callback_query is not None
        asked = self._registry.asked(update.message.text or "", self._services.sender.bot.username)
        return asked is not None and self._registry.is_look(*asked) and not self._is_late(update)

    async def handle(self, update: Update, _: Any = None) -> None:
        """Handle one update to the end. Never raises."""
        if (moved := moved_to(update)) is not None:
            self._services.sender.moved(moved)
        if update.callback_query is not None:
            await logged(self._presses.handle(update, update.callback_query))
        elif update.message is not None and was_done(update):
            await logged(self._messages.done(update, update.message))
        elif update.message is not None and self._is_late(update):
            await logged(self._latecomers.handle(update))
        elif update.message is not None:
            await logged(self._messages.handle(update, update.message))
            await logged(self._inbox.handled(update))  # also when the answer got lost: it must not run again

    def _is_late(self, update: Update) -> bool:
        return is_late(update, self._services.clock.now_ms())

    async def refuse(self, update: Update) -> None:
        """Answer an update that is not handled, because too many of its chat wait: messages once, every press."""
        chat_id = update.effective_chat.id if update.effective_chat else 0
        if chat_id in self._refused:
            self._refused[chat_id].append(update)
            return
        self._refused[chat_id] = [update]
        try:
            await logged(self._too_much(update, chat_id))
            while refused := self._refused[chat_id]:
                self._refused[chat_id] = []
                await logged(self._inbox.handled(*refused))
                for each in refused:  # one after another: the connections are for those who wait their turn
                    if each.callback_query is not None:
                        await toast(each.callback_query, TOO_MANY_PRESSES)
        finally:
            del self._refused[chat_id]

    async def _too_much(self, update: Update, chat_id: int) -> None:
        sender = sender_id(update)
        if update.message is None or sender is None or not self._admission.refusals.is_first("flood", chat_id):
            return
        if self._admission.role(sender) is not None:
            await self._services.sender.send(say(TOO_MUCH), chat_id=chat_id, user_id=sender)
