"""/invite and /users: who is let in, and what they may do."""

from __future__ import annotations

import re

from telegram.error import TelegramError

from bot.accounts import invites, people, roles
from bot.accounts.people import Role, User
from bot.accounts.roles import RANK
from bot.chat.codes import after_code
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Copy, Key, Link, Reply, say
from bot.chat.text import Text, clean
from bot.contract.errors import UserError
from bot.redact import redactor
from bot.store.database import Connection
from bot.trading import membership
from bot.trading.confirm import Button

_PAGE = 8
_STRANGERS = 4
_LABEL = 24
_MINUTES = re.compile(r"(\d{1,3})m")


async def invite(call: Call) -> Reply | None:
    """Make a link that lets one person in, once, within minutes."""
    role, seconds = _wanted(call.args)

    async def go_on(call: Call) -> None:
        await _invite(call, role, seconds)

    return await after_code(call, "to invite somebody", go_on)


async def _invite(call: Call, role: Role, seconds: int) -> None:
    services, who = call.services, call.who
    username = services.sender.bot.username
    if not username:
        raise UserError("This bot has no username, so nobody can be sent a link to it. BotFather gives it one.")
    token = await call.commit(
        lambda db: membership.invite(
            db, by=who.user_id, owner=_owner(call), role=role, seconds=seconds, now_ms=services.clock.now_ms()
        )
    )
    redactor.register(token)
    link = f"https://t.me/{username}?start={invites.PREFIX}{token}"
    text = Text().bold(f"An invitation for one {role}").line()
    text.line(f"It works once, within {seconds // 60} minutes, for whoever opens it first. Send it to one person only.")
    text.plain("You are told who used it.")
    end = Button("Take it back", "take_back", {"invite": invites.hashed(token).hex()}, seconds=seconds, style="danger")
    share = Link("Send it to…", f"https://t.me/share/url?url=https%3A%2F%2Ft.me%2F{username}%3Fstart%3Dinv_{token}")
    try:  # not by the outbox: the link is kept nowhere
        await services.sender.deliver(
            Reply(text, ((Copy("Copy the link", link), share), (end,))), chat_id=who.chat_id, user_id=who.user_id
        )
    except TelegramError:
        await _take_back(call, invites.hashed(token))
        raise
    services.sender.kept()


def _wanted(args: str) -> tuple[Role, int]:
    words = args.lower().split()
    named = {role: role for role in roles.ROLES}
    minutes = _MINUTES.fullmatch(words[1]) if len(words) == 2 else None
    if not words or words[0] not in named or len(words) > 2 or (len(words) == 2 and minutes is None):
        raise UserError(
            "Write the role and, if you like, for how long: /invite trader 15m. Roles: viewer, trader, admin."
        )
    return named[words[0]], int(minutes[1]) * 60 if minutes else invites.MOST_SECONDS


async def take_back(call: Call) -> Reply:
    """End an invitation that nobody used."""
    if await _take_back(call, bytes.fromhex(call.payload["invite"])):
        return say("The invitation is taken back. Its link does nothing any more.")
    return say("The invitation was used or has ended. /users lists who is in.")


async def _take_back(call: Call, token_hash: bytes) -> bool:
    services, by = call.services, call.who.user_id
    now_ms = services.clock.now_ms()
    return await call.commit(lambda db: membership.take_back(db, token_hash, by=by, now_ms=now_ms))


async def users(call: Call) -> Reply:
    """List the people, and the strangers who wrote today."""
    page = int(call.payload.get("page", 0))
    owner = _owner(call)
    everybody = await call.read(lambda db: roles.everybody(db, owner))
    known = {user.id for user in everybody}
    shown = everybody[page * _PAGE : (page + 1) * _PAGE]
    text = Text().bold(f"People · {len(everybody)}").line()
    rows: list[tuple[Key, ...]] = []
    for user in shown:
        text.line(f"{_name(user.name, user.id)} · {_role(user, owner)}")
        if user.id != owner:
            rows.append((_open(user.id, user.name, user.role),))
    strangers = [each for each in call.services.strangers.newest(_STRANGERS * 4) if each.user_id not in known]
    if strangers and page == 0:
        text.line().bold("Wrote today, not let in").line()
        for each in strangers[:_STRANGERS]:
            text.line(_name(each.name, each.user_id))
            rows.append((_open(each.user_id, each.name, "not let in"),))
    turns = []
    if page:
        turns.append(Button("‹ Back", "users", {"page": page - 1}))
    if (page + 1) * _PAGE < len(everybody):
        turns.append(Button("More ›", "users", {"page": page + 1}))
    if turns:
        rows.append(tuple(turns))
    return Reply(text.line().plain("/invite trader 15m makes a link for somebody new."), tuple(rows))


async def user(call: Call) -> Reply:
    """Show one person, and what the asker may make of them."""
    return await _card(call, call.payload["user"], call.payload.get("name", ""))


async def set_role(call: Call) -> Reply | None:
    """Give a person the role of the button. Taking rights away needs no code."""
    found = await call.read(lambda db: people.get_user(db, call.payload["user"]))
    if membership.is_lowered(found.role if found else None, call.payload["role"]):
        return await _set_role(call)
    return await after_code(call, "to give somebody more rights", _set_role)


async def _set_role(call: Call) -> Reply:
    services, payload = call.services, call.payload
    change = await call.commit(
        lambda db: membership.change_role(
            db,
            by=call.who.user_id,
            owner=_owner(call),
            user_id=payload["user"],
            role=payload["role"],
            name=payload.get("name", ""),
            now_ms=services.clock.now_ms(),
        )
    )
    services.sender.kept()
    return await _card(call, change.user_id, change.name, change.in_words)


async def _card(call: Call, user_id: int, name: str, news: str = "") -> Reply:
    def look(db: Connection) -> tuple[User | None, tuple[Role, ...]]:
        found = next((each for each in roles.everybody(db) if each.id == user_id), None)
        own = roles.giver(db, call.who.user_id, _owner(call))
        is_above = found is None or RANK[found.role] < RANK[own or "blocked"]
        return found, roles.may_give(own) if is_above and user_id != _owner(call) else ()

    found, may_give = await call.read(look)
    text = Text().line(news) if news else Text()
    name = found.name if found else name
    text.bold(name or "No name").line().plain("Id: ").code(str(user_id)).line()
    text.line(f"Role: {_role(found, _owner(call)) if found else 'not let in'}")
    values = {"user": user_id, "name": name}
    role = found.role if found else None
    gives = tuple(
        Button(f"{'Unblock as' if role == 'blocked' else 'Make'} {each}", "role", {**values, "role": each})
        for each in may_give
        if each != role
    )
    rows: list[tuple[Key, ...]] = [(key,) for key in gives]
    if may_give and role != "blocked":
        rows.append((Button("Block", "role", {**values, "role": "blocked"}, style="danger"),))
    elif not may_give:
        text.plain("Only somebody who ranks above them can change that.")
    return Reply(text, (*rows, (Button("‹ All people", "users"),)))


def _open(user_id: int, name: str, role: str) -> Button:
    label = f"{clean(name)[:_LABEL] or user_id} · {role}"
    return Button(label, "user", {"user": user_id, "name": name})


def _name(name: str, user_id: int) -> str:
    return f"{name} ({user_id})" if name else str(user_id)


def _role(user: User, owner: int | None) -> str:
    return "owner" if user.id == owner else user.role


def _owner(call: Call) -> int | None:
    return call.services.settings.access.owner


COMMANDS = (
    Command(
        "invite",
        invite,
        "Make a link that lets one person in",
        "Bot",
        "ROLE [MINUTES]",
        "/invite trader 15m",
        details="Roles: viewer, trader, admin; yours must be higher. The link works once, within 15 minutes at most.",
        lost="If you did not see the link, nobody did: it ends by itself, and /invite makes another.",
    ),
    Command("users", users, "Who may use the bot: let in, change, block", "Bot", looks=True),
)
ACTIONS = (
    Action("users", users),
    Action("user", user),
    Action("role", set_role),
    Action("take_back", take_back),
)
