"""/group, /route, /mute: what is posted in a group, how loud, where, and whose fills."""

from __future__ import annotations

from typing import Any

from telegram.error import TelegramError

from bot.accounts.roles import RANK
from bot.chat.groups import Member, read_event, read_length, read_quiet
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Key, Reply, say
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.store.database import Connection
from bot.trading import groups
from bot.trading.confirm import Button
from bot.trading.groups import EVENTS, LEVELS, Event, Group
from bot.trading.halt import clock

_SHOWN = {None: "not shown", False: "shown without amounts and prices", True: "shown with amounts and prices"}
_LOOK = "/group shows what is posted here now."
_MUTE_USAGE = "Write /mute 8h, /mute 8h fills, /mute off, or quiet hours: /mute 22:00-07:00 Europe/Berlin."


async def group(call: Call) -> Reply:
    """Show how this group is set up, or let it be posted to."""
    word, chat_id, services = call.args.lower(), call.who.chat_id, call.services
    by: dict[str, Any] = {"by": call.who.user_id, "owner": services.settings.access.owner}
    now_ms = services.clock.now_ms()
    if word == "allow":
        title = await _title(call)
        await call.commit(lambda db: groups.allow(db, chat_id, title, **by, now_ms=now_ms))
    elif word == "forbid":
        await call.commit(lambda db: groups.forbid(db, chat_id, **by, now_ms=now_ms))
        return say("Nothing is posted here any more, and how this group was set up is forgotten.")
    elif word:
        raise UserError("Write /group, or /group allow or forbid as an administrator of the bot.", code="GROUP_USAGE")
    return await _card(call)


async def route(call: Call) -> Reply:
    """Post an event in the topic where this was written."""
    word, _, here = call.args.partition(" ")
    event = read_event(word)
    if here.strip().lower() != "here":
        raise UserError(f"Write /route {event} here, in the topic where they shall be posted.", code="GROUP_USAGE")
    chat_id, thread_id, now_ms = call.who.chat_id, call.who.thread_id, call.services.clock.now_ms()
    await call.commit(lambda db: groups.route(db, chat_id, event, thread_id, by=call.who.user_id, now_ms=now_ms))
    return say(f"{event.capitalize()} are posted here from now on.")


async def mute(call: Call) -> Reply:
    """Post nothing for a while, or say when posts make no sound."""
    words = call.args.split()
    chat_id, by, now_ms = call.who.chat_id, call.who.user_id, call.services.clock.now_ms()
    if not words or len(words) > 2:
        raise UserError(_MUTE_USAGE, code="GROUP_USAGE")
    quiet, ends_quiet = read_quiet(words[0], [*words, ""][1]), [word.lower() for word in words] == ["quiet", "off"]
    if quiet is not None or ends_quiet:
        await call.commit(lambda db: groups.set_quiet(db, chat_id, quiet, by=by, now_ms=now_ms))
        return say(f"From {quiet}, posts make no sound." if quiet else "No quiet hours any more.")
    length_ms = read_length(words[0])
    event = read_event(words[1]) if len(words) == 2 else None
    until_ms = now_ms + length_ms if length_ms else 0
    await call.commit(lambda db: groups.mute(db, chat_id, event, until_ms, by=by, now_ms=now_ms))
    what = event.capitalize() if event else "All posts"
    return say(f"{what}: none until {clock(until_ms)}." if until_ms else f"{what}: not muted.")


async def check_may_post(call: Call, chat_id: int) -> None:
    """Refuse who may not have something posted in a group, as it was set up with /group.

    Raises:
        UserError: `GROUP_ADMIN`, or the group is not one that is posted to.
    """
    found = await call.read(lambda db: groups.get(db, chat_id))
    if found.posters == "administrators" and not (await _member(call, chat_id)).is_administrator:
        raise UserError("In this group only its administrators may have something posted.", code="GROUP_ADMIN")


async def set_level(call: Call) -> Reply:
    """Say how loud an event is posted."""
    event, level = call.payload["event"], call.payload["level"]
    await _change(call, groups.set_level, event, level)
    return await _card(call)


async def set_posters(call: Call) -> Reply:
    """Say who may have something posted."""
    await _change(call, groups.set_posters, call.payload["posters"])
    return await _card(call)


async def set_fills(call: Call) -> Reply:
    """Show the presser's own fills here, or no more."""
    chat_id, user_id, amounts = call.who.chat_id, call.who.user_id, call.payload["amounts"]
    now_ms = call.services.clock.now_ms()
    if amounts is None:
        await call.commit(lambda db: groups.unshare(db, chat_id, user_id, now_ms))
        return await _card(call)
    member = await _member(call, call.who.chat_id)
    await call.commit(
        lambda db: groups.share(
            db,
            chat_id,
            user_id,
            member.name,
            with_amounts=amounts,
            is_administrator=member.is_administrator,
            now_ms=now_ms,
        )
    )
    return await _card(call)


async def stop_fills(call: Call) -> Reply:
    """Show the presser's fills no more in a group, asked for in the private chat."""
    chat_id, now_ms = call.payload["chat"], call.services.clock.now_ms()
    await call.commit(lambda db: groups.unshare(db, chat_id, call.who.user_id, now_ms))
    return say("Your fills are not shown there any more.")


async def _change(call: Call, change: Any, *values: object) -> None:
    now_ms, chat_id, by = call.services.clock.now_ms(), call.who.chat_id, call.who.user_id
    await call.commit(lambda db: change(db, chat_id, *values, by=by, now_ms=now_ms))


async def _card(call: Call) -> Reply:
    chat_id, user_id = call.who.chat_id, call.who.user_id

    def look(db: Connection) -> tuple[Group, int, bool | None]:
        own = {share.chat_id: share.with_amounts for share in groups.shares(db, user_id)}
        return groups.get(db, chat_id), groups.shared_by(db, chat_id), own.get(chat_id)

    found, shared, own = await call.read(look)
    member, now_ms = await _member(call, call.who.chat_id), call.services.clock.now_ms()
    text = Text().bold(found.title or "This group").line()
    for event in EVENTS:
        text.line(_described(found, event, now_ms))
    text.line(f"Quiet hours: {f'{found.quiet}, without sound' if found.quiet else 'none'}")
    text.line(f"Who may have something posted: {found.posters}")
    text.line(f"People who show their fills: {shared}").line()
    text.line(f"Your own fills: {_SHOWN[own]}.")
    rows: list[tuple[Key, ...]] = []
    if member.is_administrator:
        text.line("In a topic, /route fills here. For a while, /mute 8h. At night, /mute 22:00-07:00 Europe/Berlin.")
        keys = [_level_button(found, event) for event in EVENTS]
        rows += [(keys[0], keys[1]), (keys[2], keys[3])]
        other = "administrators" if found.posters == "traders" else "traders"
        rows.append((Button(f"Let {other} post", "group_posters", {"posters": other}),))
    else:
        text.line("Administrators of the group who are traders of the bot change this; you decide on your own fills.")
    return Reply(text, (*rows, *_own_buttons(own)))


def _described(found: Group, event: Event, now_ms: int) -> str:
    route = found.routes[event]
    words = f"{event.capitalize()}: {route.level}"
    if route.thread_id is not None:
        words += f", in topic {route.thread_id}"
    return f"{words}, muted until {clock(route.muted_until_ms)}" if route.muted_until_ms > now_ms else words


def _level_button(found: Group, event: Event) -> Button:
    following = LEVELS[(LEVELS.index(found.routes[event].level) + 1) % len(LEVELS)]
    return Button(f"{event.capitalize()}: {following}", "group_level", {"event": event, "level": following})


def _own_buttons(own: bool | None) -> tuple[tuple[Key, ...], ...]:
    if own is None:
        return ((Button("Show my fills here", "group_fills", {"amounts": False}),),)
    words = "without" if own else "with"
    return (
        (Button(f"Mine {words} amounts and prices", "group_fills", {"amounts": not own}),),
        (Button("Stop showing my fills", "group_fills", {"amounts": None}),),
    )


async def _member(call: Call, chat_id: int) -> Member:
    services = call.services
    return await services.members.get(services.sender.bot, chat_id, call.who.user_id, services.clock.monotonic())


async def _title(call: Call) -> str:
    if RANK[call.who.role] < RANK["admin"]:
        return ""  # refused below, by the rows
    try:
        return (await call.services.sender.bot.get_chat(call.who.chat_id)).title or ""
    except TelegramError:
        return ""  # told again whenever it changes


COMMANDS = (
    Command(
        "group",
        group,
        "What is posted in this group",
        "Groups",
        "[allow | forbid]",
        "/group",
        details="Own fills are shown only by whoever wants theirs shown, and without amounts unless they say so. "
        "Administrators of the bot write /group allow to let a group be posted to at all.",
        lost=_LOOK,
    ),
    Command(
        "route",
        route,
        "Post in this topic",
        "Groups",
        "fills | alerts | signals | errors here",
        "/route fills here",
        lost=_LOOK,
    ),
    Command(
        "mute",
        mute,
        "Post nothing for a while, or silently at night",
        "Groups",
        "1h | 8h | off [EVENT]",
        "/mute 8h fills",
        details="/mute 22:00-07:00 Europe/Berlin sets quiet hours, in which posts make no sound; /mute quiet off ends "
        "them. What is muted is not posted later either.",
        lost=_LOOK,
    ),
)
ACTIONS = (
    Action("group_level", set_level),
    Action("group_posters", set_posters),
    Action("group_fills", set_fills),
    Action("fills_stop", stop_fills),
)
