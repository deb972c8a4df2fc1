"""From a press to what its button does: answered once, whatever becomes of it, and spent before it has an effect."""

from __future__ import annotations

from telegram import CallbackQuery, Update

from bot.chat.admission import Admission
from bot.chat.answers import Answers, incident, toast
from bot.chat.gate import ANYWHERE, Admitted, Refused
from bot.chat.registry import Call, Handler, Registry, Services
from bot.contract.errors import BotError
from bot.trading import journal
from bot.trading.orders import OrderRow

TOASTS = {
    "unknown": "This button no longer works. Send the command again.",
    "not yours": "This button belongs to someone else. Send the command yourself.",
    "used": "Pressed already: a button works once. What became of it is in this chat; of an order, in /orders.",
    "expired": "Too late: this button has expired and did nothing. Send the command again for a new one.",
}


class Presses:
    """Hands each press to the action of its button.

    Args:
        services: What handlers work with.
        registry: All actions.
        admission: Lets people in.
        answers: Runs what is left to do.
    """

    def __init__(self, services: Services, registry: Registry, admission: Admission, answers: Answers) -> None:
        self._services = services
        self._registry = registry
        self._admission = admission
        self._answers = answers

    async def handle(self, update: Update, query: CallbackQuery) -> None:
        """Answer a press, and then do what the button is for."""
        work: tuple[Handler, Call] | None = None
        alert = True
        try:
            text, work = await self._spend(update, query)
            alert = False
        except BotError as error:
            text = str(error)
        except Exception:
            text = incident()
        await toast(query, text, alert=alert)
        if work is not None:
            await self._answers.run(*work)

    async def _spend(self, update: Update, query: CallbackQuery) -> tuple[str, tuple[Handler, Call] | None]:
        """Spend a button; return what its press is answered, and what is left to do."""
        who = await self._admission.admit(update, ANYWHERE)
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
        allowed = self._admission.look(update, action.rule, who.role)
        allowed = await self._admission.with_office(allowed, action.rule)
        if isinstance(allowed, Refused):
            text = self._admission.refusals.text(allowed)
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
        return isinstance(self._admission.look(update, action.rule, who.role), Admitted)

    async def _withdraw(self, row: OrderRow, reason: str) -> None:
        """End a confirmed order whose owner may no longer trade; nothing of it was sent."""
        now_ms = self._services.clock.now_ms()
        await self._services.store.run(lambda db: journal.end(db, row.id, "not_placed", reason, now_ms))
        await self._services.draw(row.id)
