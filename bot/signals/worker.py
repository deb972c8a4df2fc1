"""Working off what hooks took in: cards for groups, previews to confirm, and orders by a rule set with a code."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from bot.accounts import people, roles
from bot.accounts.people import AccountRow
from bot.accounts.roles import RANK
from bot.clock import Clock, wait_at_most
from bot.contract.errors import BotError, UserError
from bot.signals import board, hooks
from bot.signals.hooks import FRESH_MS, Job
from bot.signals.idea import intent_of
from bot.signals.words import VALID_MS
from bot.store.database import Connection, Store
from bot.trading import allowance, limits, notices, profit, queries
from bot.trading.desk import Desk
from bot.trading.intent import Amount
from bot.trading.orders import OrderRow
from bot.trading.sending import DRIFT_TOLERANCE, in_words

log = logging.getLogger(__name__)
_AT_ONCE = 8
_LOOK_SECONDS = 5
_OWN_WORDS = "I do not place it without asking. Its preview above can be confirmed as long as it shows Confirm."
_UNPLACED = ("proposed", "expired", "rejected", "not_placed")


class Worker:
    """Works off alerts that hooks took in, and keeps the cards of signals up to date.

    An alert is begun once. What a crash interrupted is told and not begun again: better no order than two.

    Args:
        store: The database.
        desk: The way to orders.
        clock: Ours.
        told: Called after each commit that leaves something to tell.
        halted: Returns why no orders are taken at present, or nothing.
        owner: The owner's id.
    """

    def __init__(
        self,
        store: Store,
        desk: Desk,
        clock: Clock,
        told: Callable[[], None],
        *,
        halted: Callable[[], str] = lambda: "",
        owner: int | None = None,
    ) -> None:
        self._store = store
        self._desk = desk
        self._clock = clock
        self._told = told
        self._halted = halted
        self._owner = owner
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for alerts that were just taken in."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._store.run(lambda db: hooks.recover(db, self._clock.now_ms()))
        self._told()
        while True:
            self._wake.clear()
            try:
                await self.step()
            except Exception:
                log.exception("signals could not be worked off")
            await wait_at_most(self._clock, _LOOK_SECONDS, self._wake)

    async def step(self) -> None:
        """Work off what waits, and bring cards up to date."""
        while found := await self._store.run(lambda db: hooks.waiting(db, _AT_ONCE)):
            await asyncio.gather(*(self._work(each) for each in found))
        if await self._store.run(lambda db: board.refresh(db, self._clock.now_ms())):
            self._told()

    async def _work(self, event_id: int) -> None:
        job = await self._store.run(lambda db: self._begun(db, event_id))
        self._told()
        if job is None:
            return
        try:
            result = await self._order(job)
        except BotError as error:
            result = in_words(error)
        except Exception:
            log.exception("alert %s of hook %s could not be worked off", job.id, job.hook.id)
            result = "Something went wrong inside the bot; the log has the details."
        await self._store.run(lambda db: self._finish(db, job, result))
        self._told()

    def _begun(self, db: Connection, event_id: int) -> Job | None:
        """Begin an alert. One that is only shown is shown and done in the same commit."""
        job = hooks.begin(db, event_id)
        if job is None or job.hook.mode != "notify":
            return job
        self._show(db, job, _remark(job))
        return None

    def _show(self, db: Connection, job: Job, remark: str) -> None:
        hook, now_ms = job.hook, self._clock.now_ms()
        try:
            if roles.standing(db, hook.user_id, self._owner) is None:
                raise UserError("Its owner may not use the bot any more.")
            if job.idea is not None and hook.allows(job.idea.pair):
                source = f"hook {hook.name}"
                board.post(
                    db, job.idea, author=hook.user_id, source=source, chat_id=hook.chat_id, valid_ms=VALID_MS,
                    remark=remark, now_ms=now_ms,
                )  # fmt: skip
            else:
                board.post_words(db, job.text or "An alert without words.", source=hook.name, chat_id=hook.chat_id,
                                 remark=remark, now_ms=now_ms)  # fmt: skip
        except UserError as error:
            self._finish(db, job, f"Not shown. {error}")
        else:
            hooks.finish(db, job, "shown")

    async def _order(self, job: Job) -> str:
        """Lead an alert to a preview, and where its rule says so, to an order."""
        hook = job.hook
        account = await self._store.run(lambda db: self._account(db, job))
        if job.idea is None:
            raise UserError("I read no pair and side in it.")
        if not hook.allows(job.idea.pair):
            raise UserError(f"{job.idea.pair} is not among the pairs of this hook.")
        if hook.size is None:
            raise UserError(f"It has no size. Set one: /hook mode {hook.name} {hook.mode} $50")
        if reason := self._halted():
            raise UserError(reason)
        size = Amount(hook.size, "$")
        row = await self._desk.propose(
            account,
            intent_of(job.idea, size),
            chat_id=hook.user_id,
            notice=f"From hook {hook.name}. {_remark(job)}".strip(),
        )
        await self._store.run(lambda db: hooks.ordered(db, job, row.id))
        if hook.mode != "auto":
            return f"preview #{row.id}"
        try:
            row = await self._desk.confirm_with_code(row.id, hook.user_id, lambda db: self._check_rule(db, job, row.id))
        except UserError as error:
            raise UserError(f"Order #{row.id}: {error} {_OWN_WORDS}") from error
        if row.state == "confirmed":
            self._desk.send(row)
        return f"order #{row.id}"

    def _account(self, db: Connection, job: Job) -> AccountRow:
        """Return the account of the hook's row, if the hook's owner may still trade."""
        hook = job.hook
        if RANK[roles.standing(db, hook.user_id, self._owner) or "blocked"] < RANK["trader"]:
            raise UserError("Its owner may not trade any more.")
        if self._clock.now_ms() - job.at_ms > FRESH_MS:
            raise UserError("It waited for more than a minute before I could work on it, so I did nothing.")
        if hook.account_id is None:
            found = people.default_account(db, hook.user_id)
        else:
            found = people.get_account(db, hook.account_id, hook.user_id)
        if found is None:
            raise UserError("Its account is not there any more. Make another hook with /hook new.")
        return found

    def _check_rule(self, db: Connection, job: Job, order_id: int) -> None:
        """Refuse, in the transaction that confirms, what the hook's rule or the line for codes does not allow."""
        row, now_ms = queries.get(db, order_id), self._clock.now_ms()
        if all(each.id != job.hook.id for each in hooks.of_user(db, row.user_id)):
            raise UserError("The hook was ended.")
        hook = hooks.by_id(db, job.hook.id)
        if reason := self._halted():
            raise UserError(reason)
        if hook.mode != "auto" or hook.size is None or hook.day is None or not hook.pairs:
            raise UserError("The hook may not place orders any more.")
        if row.symbol not in hook.pairs:
            raise UserError(f"{row.symbol} is not among the pairs of this hook.")
        facts = allowance.facts_of(row)
        if facts.worth is None or facts.worth > hook.size * (1 + DRIFT_TOLERANCE):
            raise UserError("The order is above the size of this hook, or nobody can tell its worth.")
        used = sum(
            (profit.worth_of(each) or hook.day for each in _placed(db, job, order_id, profit.midnight(now_ms))),
            start=0 * hook.day,
        )
        if used + facts.worth > hook.day:
            raise UserError("That is more than this hook may trade in a day.")
        if allowance.needs_code(limits.read(db, row.user_id, self._desk.ceiling, now_ms), facts):
            raise UserError("It is above your line for codes.")

    def _finish(self, db: Connection, job: Job, result: str) -> None:
        hooks.finish(db, job, result)
        if result.startswith(("preview #", "order #")):
            return
        what = f"{job.idea.side} {job.idea.pair}" if job.idea else "an alert without pair and side"
        text = f"Hook {job.hook.name}: {what}. {result}"
        notices.tell(db, chat_id=job.hook.user_id, kind="note", payload={"text": text}, now_ms=self._clock.now_ms())


def _remark(job: Job) -> str:
    if not job.missed:
        return ""
    return f"{job.missed} alert{'s' if job.missed > 1 else ''} before it did not arrive: look at the chart."


def _placed(db: Connection, job: Job, order_id: int, since_ms: int) -> list[OrderRow]:
    """Return the day's orders of a hook that are or may be at the exchange."""
    found = (queries.get(db, each) for each in hooks.orders_since(db, job.hook, since_ms) if each != order_id)
    return [each for each in found if each.state not in _UNPLACED]
