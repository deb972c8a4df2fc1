"""From a message to its command, to the open question it answers, or to a hint."""

from __future__ import annotations

from telegram import Message, Update

from bot.accounts import invites
from bot.accounts.roles import RANK
from bot.chat.admission import Admission
from bot.chat.answers import Answers
from bot.chat.gate import ANYWHERE, VIEWERS, Admitted, admit, sender_id
from bot.chat.inbox import Inbox
from bot.chat.refusals import INVITATION_OVER
from bot.chat.registry import Call, Registry, Services
from bot.chat.reply import Reply, say
from bot.chat.strays import Strays
from bot.contract.errors import UserError
from bot.trading import membership


class Messages:
    """Hands each message to what it is meant for.

    Args:
        services: What handlers work with.
        registry: All commands.
        inbox: Told of what was done before the bot stopped.
        admission: Lets people in.
        answers: Runs commands.
    """

    def __init__(
        self, services: Services, registry: Registry, inbox: Inbox, admission: Admission, answers: Answers
    ) -> None:
        self._services = services
        self._registry = registry
        self._inbox = inbox
        self._admission = admission
        self._answers = answers
        self._strays = Strays(services.sender, services.dialogs)

    async def handle(self, update: Update, message: Message) -> None:
        """Do what a message that came in time asks for."""
        text = message.text or ""
        if not text.startswith("/"):
            await self._plain(update, message, text)
            return
        asked = self._registry.asked(text, self._services.sender.bot.username)
        if asked is None:
            return  # meant for another bot
        name, args = asked
        if name == "start" and args.startswith(invites.PREFIX) and not await self._invited(update, args):
            return
        command = self._registry.commands.get(name)
        if command is None and self._is_awaited(update):
            await self._plain(update, message, text)  # a secret may begin with a slash
            return
        who = await self._admission.admit(update, command.rule if command else ANYWHERE)
        if who is None:
            return
        if command is None or command.name != "cancel":  # which says whether there was a question
            if stopped := self._services.dialogs.stopped(who.chat_id, who.user_id):
                await self._answers.send(who, say(stopped))
            self._services.dialogs.drop(who.chat_id, who.user_id)
        if command is not None:
            only_looks = self._registry.is_look(name, args)
            await self._answers.run(command.run, Call(self._services, who, args, only_looks=only_looks))
        elif who.is_private:
            await self._answers.send(who, say(self._registry.unknown(name)))

    async def done(self, update: Update, message: Message) -> None:
        """Tell of a command that had its effect and lost its answer when the bot stopped. It is not run again."""
        asked = self._registry.asked(message.text or "", self._services.sender.bot.username)
        command = self._registry.commands.get(asked[0]) if asked else None
        name, hint = (command.name, command.lost) if command else ("command", "")
        at = f"{message.date:%H:%M} UTC"
        text = f"I was stopped right after I did your /{name} of {at}, so my answer may be missing. It was done once: "
        await self._inbox.tell_done(update, f"{text}do not send it again. {hint}".strip())
        self._services.sender.kept()

    def _is_awaited(self, update: Update) -> bool:
        sender, chat, dialogs = sender_id(update), update.effective_chat, self._services.dialogs
        if sender is None or chat is None:
            return False
        return dialogs.is_open(chat.id, sender) or dialogs.is_wary(chat.id, sender)

    async def _invited(self, update: Update, args: str) -> bool:
        """Let a stranger in by an invitation; say whether the message goes on as an ordinary /start."""
        services, sender = self._services, sender_id(update)
        now_ms = services.clock.now_ms()
        found = admit(update, VIEWERS, role="viewer", now_ms=now_ms)
        if sender is None or not isinstance(found, Admitted) or self._admission.role(sender) is not None:
            return True
        token, owner = args.removeprefix(invites.PREFIX), services.settings.access.owner
        role = await services.store.run(
            lambda db: membership.join(db, token, user_id=sender, name=found.name, owner=owner, now_ms=now_ms)
        )
        if role is not None:
            services.sender.kept()
            await self._answers.send(found, say(f"Welcome. You may use this bot as {role}."))
            return True
        if services.strangers.may_answer(sender, found.name, services.clock.monotonic()):
            await self._answers.send(found, say(INVITATION_OVER))
        return False

    async def _plain(self, update: Update, message: Message, text: str) -> None:
        sender, chat = sender_id(update), message.chat
        answer = self._services.dialogs.take(chat.id, sender) if sender else None
        if answer is None and chat.type != chat.PRIVATE:
            return  # talk in a group is none of our business
        if sender:
            role, asked_as = self._admission.role(sender), self._answers.asked_as(chat.id, sender)
            is_void = answer is not None and RANK[role or "blocked"] < RANK[asked_as or "viewer"]
            answer = None if is_void else answer
            is_stray = answer is None and self._strays.may_be_secret(chat.id, sender, text)
            if is_stray and (is_void or role is not None):
                await self._strays.remove(chat.id, sender, message.message_id)
                return
        who = await self._admission.admit(update, ANYWHERE)
        if who is None:
            return
        if answer is None:
            hint = "Commands begin with a slash, such as /buy BTC/USDT $50. /help lists them."
            await self._answers.send(who, say(hint))
            return
        taken = answer

        async def run(call: Call) -> Reply | None:
            try:
                await taken(text, call.who.message_id)
            except UserError:
                self._services.dialogs.ask(call.who.chat_id, call.who.user_id, taken)
                raise
            return None

        await self._answers.run(run, Call(self._services, who))
