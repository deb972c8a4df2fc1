"""Groups as Telegram tells of them: who administrates one, that it moved or removed the bot; and how posts look."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from telegram import Bot, Chat, ChatMember, Update
from telegram.error import TelegramError

from bot.chat.notes import Drawn
from bot.chat.numbers import format_amount, format_price
from bot.chat.reply import Reply
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.store.database import Connection
from bot.trading import groups, notices, queries
from bot.trading.groups import EVENTS, Event, Quiet
from bot.trading.notices import Notice

_KEEP_SECONDS = 60
_GONE = (ChatMember.LEFT, ChatMember.BANNED)
_LENGTH = re.compile(r"(\d{1,3})(m|h|d)")
_HOURS = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a group.

    Attributes:
        name: What the group sees: `@username`, or the full name.
        is_administrator: Whether they administrate the group.
    """

    name: str
    is_administrator: bool


class Members:
    """Who is what in which group, as Telegram says. That somebody administrates one is remembered for a minute."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[float, Member]] = {}

    async def get(self, bot: Bot, chat_id: int, user_id: int, now: float) -> Member:
        """Return what somebody is in a group.

        Args:
            bot: Telegram.
            chat_id: The group.
            user_id: Who.
            now: Monotonic seconds.

        Raises:
            UserError: Telegram did not tell.
        """
        self._known = {key: found for key, found in self._known.items() if now - found[0] < _KEEP_SECONDS}
        if (chat_id, user_id) in self._known:
            return self._known[chat_id, user_id][1]
        try:
            found = await bot.get_chat_member(chat_id, user_id)
        except TelegramError as error:
            raise UserError(
                "Telegram did not say whether you administrate this group. Nothing was changed; try again shortly."
            ) from error
        name = f"@{found.user.username}" if found.user.username else found.user.full_name
        member = Member(name, found.status in (ChatMember.OWNER, ChatMember.ADMINISTRATOR))
        if member.is_administrator:
            self._known[chat_id, user_id] = now, member
        return member


def moved_to(update: Update) -> int | None:
    """Return the chat whose waiting notices an update makes tellable: one that moved, or lets the bot in again."""
    message, change = update.message, update.my_chat_member
    if message is not None and message.migrate_to_chat_id:
        return message.migrate_to_chat_id
    if message is not None and message.migrate_from_chat_id:
        return message.chat_id
    if change is not None and change.new_chat_member.status not in _GONE:
        return change.chat.id
    return None


def note(db: Connection, update: Update) -> None:
    """Follow a group that moved, and keep what belongs to one that removed the bot until it is back.

    Works in the commit that takes the update in, whatever its age and whoever sent it: only Telegram itself makes
    these. Seen twice, it changes nothing more.
    """
    message, change = update.message, update.my_chat_member
    if change is not None:
        if change.new_chat_member.status in _GONE:
            notices.park(db, change.chat.id)
        else:
            notices.unpark(db, change.chat.id)
            groups.rename(db, change.chat.id, change.chat.title or "")
    elif message is None or message.chat.type == Chat.PRIVATE:
        return
    elif message.migrate_to_chat_id:
        notices.migrate(db, message.chat_id, message.migrate_to_chat_id)
    elif message.migrate_from_chat_id:
        notices.migrate(db, message.migrate_from_chat_id, message.chat_id)
    elif message.new_chat_title:
        groups.rename(db, message.chat_id, message.new_chat_title)
    elif message.text and groups.is_away(db, message.chat_id):
        notices.unpark(db, message.chat_id)  # Telegram keeps news for a day; who was off longer missed the return


def read_event(word: str) -> Event:
    """Read the name of an event.

    Raises:
        UserError: `GROUP_EVENT`.
    """
    found = next((event for event in EVENTS if word.lower() in (event, event[:-1])), None)
    if found is None:
        raise UserError("Say which posts you mean: fills, alerts, signals or errors.", code="GROUP_EVENT")
    return found


def read_length(word: str) -> int:
    """Read a length of time such as `8h`, and return milliseconds; `off` is 0.

    Raises:
        UserError: `GROUP_TIME`.
    """
    found = _LENGTH.fullmatch(word.lower())
    length_ms = int(found[1]) * _UNIT_MS[found[2]] if found else 0
    if word.lower() != "off" and not 0 < length_ms <= _LONGEST_MS:
        raise UserError("Write how long, such as 1h, 8h or 2d, 30 days at most; or off.", code="GROUP_TIME")
    return length_ms


def read_quiet(hours: str, zone: str) -> Quiet | None:
    """Read quiet hours such as `22:00-07:00` with a time zone; UTC without one. `None` when these are no hours.

    Raises:
        UserError: `GROUP_TIME`.
    """
    found = _HOURS.fullmatch(hours)
    if found is None:
        return None
    numbers = [int(each) for each in found.groups()]
    start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(numbers[0], numbers[2]) > 23 or max(numbers[1], numbers[3]) > 59 or start == end:
        raise UserError("Write two different times of the day, such as 22:00-07:00.", code="GROUP_TIME")
    try:
        ZoneInfo(zone or "UTC")
    except (ValueError, OSError, LookupError):  # the library raises any of them for a name that is none
        raise UserError(
            f"I know no time zone {zone[:40]}. Write one such as Europe/Berlin or UTC.", code="GROUP_TIME"
        ) from None
    return Quiet(start, end, zone or "UTC")


def fill(db: Connection, notice: Notice) -> Drawn:
    """Draw somebody's fill for a group: who, which way, which pair. Size and price only where its owner allows it."""
    row = queries.get(db, notice.payload["order"])
    query = "SELECT name, amounts FROM shared_fills WHERE chat_id=? AND user_id=?"
    shared = db.execute(query, (notice.chat_id, row.user_id)).fetchone()
    mark, verb = ("🟢", "bought") if row.side == "buy" else ("🔴", "sold")
    text = Text().plain(f"{mark} {shared['name']} {verb} ")
    if not shared["amounts"] or row.average_price is None:
        text.plain(row.symbol)
    else:
        price = format_price(row.average_price, row.market.price_step)
        text.plain(f"{format_amount(row.filled)} {row.market.base} at {price} {row.market.quote}")
    if row.exchange.endswith(":paper"):
        text.plain(" (on paper)")
    return Drawn(Reply(text))


def quietly(db: Connection, notice: Notice, drawn: Drawn, now_ms: int) -> Drawn:
    """Return a post as its group wants it now: without sound, or as it is."""
    event = notice.payload.get("event")
    return replace(drawn, is_silent=True) if event and groups.is_silent(db, notice.chat_id, event, now_ms) else drawn
