"""Every command and every button action, listed once: handlers, /help, the menu and docs/commands.md come from here."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias, TypeVar

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import Vault
from bot.chat import rules
from bot.chat.dialogs import Dialogs
from bot.chat.gate import NOBODY, Admitted, Rule
from bot.chat.groups import Members
from bot.chat.health import Health
from bot.chat.inbox import mark_done
from bot.chat.reply import Reply, Sender
from bot.chat.strangers import Strangers
from bot.clock import Clock
from bot.config import Settings
from bot.contract.errors import UserError
from bot.store.database import Connection, Store
from bot.trading.confirm import Button
from bot.trading.desk import Desk
from bot.trading.feeds import Feeds
from bot.trading.gateway import Gateway

LINK = "ask_"
_LONGEST_NAME = 32
_LIKENESS = 7 / 10
_LINKED = re.compile(r"[A-Za-z0-9]{1,24}")

T = TypeVar("T")
Topic: TypeAlias = Literal["Start", "Trade", "Look", "Accounts", "Groups", "Bot"]


@dataclass(frozen=True)
class Services:
    """What handlers work with."""

    settings: Settings
    clock: Clock
    store: Store
    vault: Vault
    gateway: Gateway
    desk: Desk
    feeds: Feeds
    sender: Sender
    dialogs: Dialogs
    draw: Callable[[int], Awaitable[None]]
    """Send or edit the card of an order now."""
    watch: Callable[[int], None]
    """Ask the exchange about an order at once."""
    started_ms: int
    strangers: Strangers = field(default_factory=Strangers)
    members: Members = field(default_factory=Members)
    alert_changed: Callable[[int], None] = lambda _: None
    """Watch an alert as it is stored now."""
    boards_changed: Callable[[], None] = lambda: None
    """Show a watch board that was put up or changed."""
    hook_taken: Callable[[], None] = lambda: None
    """Work off an alert that a hook has just taken in."""
    health: Health | None = None
    """How the running bot is."""


@dataclass(frozen=True, slots=True)
class Call:
    """One command or button press by an admitted person.

    Attributes:
        services: What to work with.
        who: The person, the chat and the message.
        args: What followed the command.
        payload: What the button carries.
        order_id: The order the button acts on.
        edits: The message to edit: the one whose button was pressed.
        only_looks: Whether it changes nothing, and may begin before its message is stored. It cannot commit.
    """

    services: Services
    who: Admitted
    args: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    order_id: int | None = None
    edits: int | None = None
    only_looks: bool = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads.

        Raises:
            RuntimeError: It changed something; that is undone. What changes something goes through `commit`.
        """

        def unchanged(db: Connection) -> T:
            before = db.total_changes
            found = work(db)
            if db.total_changes != before:
                raise RuntimeError("a command changed the database where it only reads")
            return found

        return await self.services.store.run(unchanged)

    async def commit(self, work: Callable[[Connection], T]) -> T:
        """Do what was asked, and note in the same transaction that it was: the message is never run again.

        A bot that dies before its answer arrived tells instead that it was done. Of a message that has several
        effects, the last one that matters goes through here, and those before it through `prepare`. For a press it
        notes nothing: spending the button was what made it happen once.
        """

        def once(db: Connection) -> T:
            found = work(db)
            mark_done(db, self.who.chat_id, self.who.message_id)
            return found

        return await self.prepare(once)

    async def prepare(self, work: Callable[[Connection], T]) -> T:
        """Commit what may as well be done twice: after a crash the message is run again from its beginning.

        Raises:
            RuntimeError: The command says of itself that it only looks; nothing was done.
        """
        if self.only_looks:
            raise RuntimeError("a command that only looks would change the database before its message is stored")
        return await self.services.store.run(work)

    async def accounts(self) -> list[AccountRow]:
        """Return the person's accounts."""
        return self.services.store.look(lambda db: people.accounts_of(db, self.who.user_id))

    async def account(self, label: str | None = None) -> AccountRow:
        """Return the person's account of that name, or the default one.

        Raises:
            UserError: There is none.
        """

        def find(db: Connection) -> AccountRow | None:
            if label is None:
                return people.default_account(db, self.who.user_id)
            return people.find_account(db, self.who.user_id, label)

        found = self.services.store.look(find)
        if found is not None:
            return found
        if label is None:
            text = "No exchange is connected yet. /connect adds your key; /paper on trades without real money."
            raise UserError(text, code="NO_KEY")
        raise UserError(f"You have no account named {label}. /accounts lists yours.", code="NO_ACCOUNT")

    def with_args(self, args: str) -> Call:
        """Return the same call with other arguments."""
        return replace(self, args=args)


Handler: TypeAlias = Callable[[Call], Awaitable[Reply | None]]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a late command is answered with: how things are `now`, and the button that asks for it anew, if any."""

    now: str
    yes: Button | None


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        name: Without the slash.
        run: Does it, and returns what to answer, if not a card.
        summary: One line for the menu and /help; at most 60 characters.
        usage: The arguments, as /help shows them.
        example: A line that works as typed.
        topic: Where /help lists it.
        rule: Who may use it, and where: its row in `bot.chat.rules`, given by `collect`.
        details: More for `/help name`.
        looks: It changes nothing. It begins before its message is stored, and a lone one that came late is run, too.
        runs_late: A lone one that came late is run though it does more than look: it asks, or only takes a risk away.
        offer: Offers a late one anew. Without it and what it says above, its sender is told that it was not run.
        lost: What to do when it was done and its answer got lost: where to look, as a sentence.
    """

    name: str
    run: Handler
    summary: str
    topic: Topic
    usage: str = ""
    example: str = ""
    rule: Rule = NOBODY
    details: str = ""
    looks: bool = False
    runs_late: bool = False
    offer: Callable[[Call], Awaitable[Offer]] | None = None
    lost: str = ""

    @property
    def may_run_late(self) -> bool:
        """Whether a lone one that came late is run all the same."""
        return self.looks or self.runs_late


@dataclass(frozen=True, slots=True)
class Action:
    """What a button does. `toast` is what Telegram shows at once; `rule` is its row in `bot.chat.rules`."""

    name: str
    run: Handler
    rule: Rule = NOBODY
    toast: str = ""


@dataclass(frozen=True)
class Registry:
    """All commands and actions by name."""

    commands: dict[str, Command]
    actions: dict[str, Action]

    def unknown(self, name: str) -> str:
        """Return what somebody is told who asked for a command that there is not."""
        near = get_close_matches(name, self.commands, n=1, cutoff=_LIKENESS)
        meant = f" Did you mean /{near[0]}?" if near else ""
        return f"There is no command /{name[:_LONGEST_NAME]}.{meant} /help lists them all."

    def asked(self, text: str, username: str | None) -> tuple[str, str] | None:
        """Return name and arguments of a command, or `None` for other words and what is meant for another bot."""
        split = split_command(text, username or "") if text.startswith("/") else None
        return None if split is None else self.linked(*split)

    def is_look(self, name: str, args: str) -> bool:
        """Say whether a command changes nothing. /start may, by what follows it: an invitation, a signal."""
        command = self.commands.get(name)
        return command is not None and command.looks and not (name == "start" and args)

    def linked(self, name: str, args: str) -> tuple[str, str]:
        """Return the question that a link from a group stands for; any other command as it is. See `link_of`."""
        asked, _, of = args.removeprefix(LINK).partition("_")
        command = self.commands.get(asked) if name == "start" and args.startswith(LINK) else None
        return (asked, of) if command is not None and _is_linkable(command) else (name, args)

    def link_of(self, text: str, username: str) -> str:
        """Return what follows `?start=` to ask in private what a message asked in a group; empty when there is nothing.

        Anybody can write such a link, so it only ever stands for a command that may run late too.
        """
        split = split_command(text, username) if text.startswith("/") else None
        command = self.commands.get(split[0]) if split else None
        if split is None or command is None or not _is_linkable(command):
            return ""
        return f"{LINK}{split[0]}_{split[1]}" if _LINKED.fullmatch(split[1]) else f"{LINK}{split[0]}"


def _is_linkable(command: Command) -> bool:
    """Say whether a link may ask it: what may run late, and is not answered in groups, as /panic is."""
    return command.may_run_late and command.rule.where == "private"


def split_command(text: str, username: str) -> tuple[str, str] | None:
    """Return name and arguments of a command, or `None` when it is meant for another bot."""
    word, *rest = text.split(maxsplit=1)
    name, _, target = word[1:].partition("@")
    if target and target.lower() != username.lower():
        return None
    return name.lower(), "".join(rest).strip()


def collect(modules: Iterable[Any]) -> Registry:
    """Gather `COMMANDS` and `ACTIONS` of the command modules, each with its rule from the table.

    A name given twice is a mistake in the code. One without a row in the table is for nobody.
    """
    commands: dict[str, Command] = {}
    actions: dict[str, Action] = {}
    for module in modules:
        for command in module.COMMANDS:
            assert command.name not in commands, command.name
            commands[command.name] = replace(command, rule=rules.COMMANDS.get(command.name, NOBODY))
        for action in getattr(module, "ACTIONS", ()):
            assert action.name not in actions, action.name
            actions[action.name] = replace(action, rule=rules.ACTIONS.get(action.name, NOBODY))
    return Registry(commands, actions)
