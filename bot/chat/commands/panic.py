"""/panic and /resume: stop at once, go on with care."""

from __future__ import annotations

from functools import partial

from bot.accounts.roles import RANK
from bot.chat.brake import tell_admins
from bot.chat.codes import Verify, has_factor, with_code
from bot.chat.registry import Call, Command
from bot.chat.reply import Key, Reply, say
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.store.database import Connection
from bot.trading import halt, notices, queries
from bot.trading.approval import name_of
from bot.trading.confirm import Button
from bot.trading.halt import EVERYBODY
from bot.trading.law import LIVE


async def panic(call: Call) -> Reply:
    """Halt trading with the commit, and then offer to cancel what is open."""
    who, user_id = call.who, _whom(call)

    def work(db: Connection) -> halt.Halt:
        now_ms = call.services.clock.now_ms()
        found = halt.engage(db, user_id, by=name_of(db, who.user_id), by_id=who.user_id, now_ms=now_ms)
        if user_id == EVERYBODY:
            tell_admins(db, found, call.services.settings.access.owner, now_ms)
        elif user_id != who.user_id:
            notices.tell(db, chat_id=user_id, kind="note", payload={"text": str(found)}, now_ms=now_ms)
        return found

    found = await call.commit(work)
    call.services.sender.kept()
    live = await call.read(lambda db: queries.in_states(db, LIVE))
    mine = [row.id for row in live if row.user_id == who.user_id]
    text = Text().bold("Trading is halted").line(" for everybody." if user_id == EVERYBODY else ".")
    text.line("Nothing is sent from now on, confirmed or not. Canceling works.").plain(str(found))
    rows: tuple[tuple[Key, ...], ...] = ()
    if mine and who.is_private:
        orders = "open order" if len(mine) == 1 else "open orders"
        button = Button(f"Cancel my {len(mine)} {orders}", "cancel_many", {"ids": mine}, style="danger")
        rows = ((button,),)
    return Reply(text, rows)


async def resume(call: Call) -> Reply | None:
    """End a halt ten minutes from now; with a second factor, only against a code."""
    word, _, rest = call.args.lower().partition(" ")
    user_id, code = (EVERYBODY, rest.strip()) if word == "all" else (call.who.user_id, call.args.strip())
    if user_id == EVERYBODY:
        _check_rank(call)
    now_ms = call.services.clock.now_ms()
    file = call.services.store.path.with_name(halt.FILE)
    if user_id == EVERYBODY and file.exists():
        raise UserError(halt.LIFT_FILE.format(file=file))
    found = await call.read(lambda db: halt.get(db, user_id, now_ms))
    if found is None:
        others = await call.read(lambda db: halt.get(db, EVERYBODY, now_ms))
        return say(str(others) if others and user_id != EVERYBODY else "Trading is not halted.")
    if await has_factor(call):
        return await with_code(call, code, partial(_lift, call, user_id))
    return await _lift(call, user_id, lambda db: None)


async def _lift(call: Call, user_id: int, verify: Verify) -> Reply:
    def work(db: Connection) -> int | None:
        verify(db)
        now_ms, me = call.services.clock.now_ms(), call.who.user_id
        by = name_of(db, me)
        ends_ms = halt.lift(db, user_id, by=by, by_id=me, delay_ms=halt.RESUME_DELAY_MS, now_ms=now_ms)
        found = halt.get(db, user_id, now_ms)
        if found is not None:
            owner = call.services.settings.access.owner
            text = f"{by} ends a halt{' of everybody' if user_id == EVERYBODY else ''}. {found}"
            if owner and owner != me:
                notices.tell(db, chat_id=owner, kind="note", payload={"text": text}, now_ms=now_ms)
        return ends_ms

    ends_ms = await call.commit(work)
    call.services.sender.kept()
    if ends_ms is None:
        return say("Trading is not halted.")
    text = f"Trading goes on at {halt.clock(ends_ms)}. /panic keeps it halted."
    advice = "" if await has_factor(call) else " A second factor would make this safer: /2fa"
    return say(text + advice)


def _whom(call: Call) -> int:
    word = call.args.strip().lower()
    if not word or word == "me":
        return call.who.user_id
    if word != "all" and not (word.isdecimal() and len(word) < 16):
        raise UserError("Write /panic for yourself, /panic all for everybody, or /panic and a person's numeric id.")
    _check_rank(call)
    return EVERYBODY if word == "all" else int(word)


def _check_rank(call: Call) -> None:
    if RANK[call.who.role] < RANK["admin"]:
        raise UserError("Only the owner and administrators halt or free others. /panic halts you.", code="RANK")


COMMANDS = (
    Command(
        "panic",
        panic,
        "Halt trading, at once",
        "Trade",
        "[all | ID]",
        "/panic",
        runs_late=True,
        details="Nothing is sent any more: yours, or with all everybody's (owner and administrators). Open orders stay "
        "until you cancel them. /resume ends it.",
        lost="Trading is halted. /cancel all offers to cancel what is open.",
    ),
    Command(
        "resume",
        resume,
        "End a halt, ten minutes from now",
        "Trade",
        "[all] [CODE]",
        "/resume",
        details="With a second factor it takes a code. Ten minutes give you time to /panic again if it was not you.",
        lost="Trading goes on ten minutes after it; /panic keeps it halted.",
    ),
)
