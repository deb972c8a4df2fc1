"""Who is let in with an update, as what, and what somebody is told who is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from telegram import Update

from bot.accounts import roles
from bot.accounts.roles import Standing
from bot.chat.gate import Admitted, Refused, Rule, admit, age_of, sender_id, topic_of
from bot.chat.halt import Halt
from bot.chat.refusals import Refusals
from bot.chat.registry import Registry, Services
from bot.chat.reply import Link, Reply
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.trading import groups


class Admission:
    """The gate, with all that it needs to know, and its refusals.

    Attributes:
        late: Given a message that grew too old while it was looked at.
        refusals: The words, and how often they were said.

    Args:
        services: What handlers work with.
        registry: All commands.
        halt: Tells whether orders are taken.
    """

    def __init__(self, services: Services, registry: Registry, halt: Halt) -> None:
        self.late: Callable[[Update], Awaitable[None]] = _forget
        self.refusals = Refusals(services.clock, halt, services.strangers)
        self._services = services
        self._registry = registry
        self._halt = halt

    def role(self, user_id: int) -> Standing | None:
        """Return what somebody may do, as it is stored now; `None` for strangers."""
        owner = self._services.settings.access.owner
        return self._services.store.look(lambda db: roles.standing(db, user_id, owner))

    def look(self, update: Update, rule: Rule, role: Standing | None) -> Admitted | Refused:
        """Say whether a rule lets somebody of a role in. Nobody is told."""
        now_ms = self._services.clock.now_ms()
        return admit(update, rule, role=role, now_ms=now_ms, is_halted=bool(self._halt.reason))

    async def admit(self, update: Update, rule: Rule) -> Admitted | None:
        """Let somebody in, or tell them why not."""
        sender = sender_id(update)
        role = self.role(sender) if sender is not None else None
        if update.message is not None:
            self._halt.dated(age_of(update.message, self._services.clock.now_ms()))
        found = await self.with_office(self.look(update, rule, role), rule)
        if isinstance(found, Admitted):
            return found
        if found.why == "stale":
            await self.late(update)
        if found.why == "anonymous" and not self._is_known(update):
            return None
        await self._refuse(update, found, sender or 0)
        return None

    async def with_office(self, found: Admitted | Refused, rule: Rule) -> Admitted | Refused:
        """Refuse somebody who would have to administrate the group and does not."""
        if isinstance(found, Refused) or not rule.administers or found.is_private:
            return found
        services = self._services
        try:
            member = await services.members.get(
                services.sender.bot, found.chat_id, found.user_id, services.clock.monotonic()
            )
        except UserError:
            return Refused("unasked")
        return found if member.is_administrator else Refused("administrator")

    async def _refuse(self, update: Update, found: Refused, sender: int) -> None:
        message = update.message
        name = update.effective_user.full_name if update.effective_user else ""
        if message is None or not self.refusals.may_answer(found, sender, message.chat_id, name):
            return
        rows: tuple[tuple[Link, ...], ...] = ()
        if found.why == "private" and self._services.sender.bot.username:
            rows = ((Link("Open the private chat", self._private_link(message.text or "")),),)
        reply = Reply(Text().plain(self.refusals.text(found, sender)), rows)
        await self._services.sender.send(reply, chat_id=message.chat_id, user_id=sender, thread_id=topic_of(message))

    def _is_known(self, update: Update) -> bool:
        chat = update.effective_chat
        return chat is not None and self._services.store.look(lambda db: groups.find(db, chat.id)) is not None

    def _private_link(self, text: str) -> str:
        username = self._services.sender.bot.username
        asked = self._registry.link_of(text, username)
        return f"https://t.me/{username}" + (f"?start={asked}" if asked else "")


async def _forget(_: Update) -> None:
    pass
