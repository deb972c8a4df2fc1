"""Every command and every button action, listed once: handlers, /help, the menu and docs/commands.md come from here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import Vault
from bot.chat.dialogs import Dialogs
from bot.chat.gate import TRADERS, VIEWERS, Admitted, Rule
from bot.chat.reply import Reply, Sender
from bot.clock import Clock
from bot.config import Settings
from bot.contract.errors import UserError
from bot.store.database import Store
from bot.trading.desk import Desk
from bot.trading.feeds import Feeds
from bot.trading.gateway import Gateway

Topic: TypeAlias = Literal["Start", "Trade", "Look", "Accounts", "Bot"]


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
    """

    services: Services
    who: Admitted
    args: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    order_id: int | None = None
    edits: int | None = None

    async def accounts(self) -> list[AccountRow]:
        """Return the person's accounts."""
        return await self.services.store.run(lambda db: people.accounts_of(db, self.who.user_id))

    async def account(self, label: str | None = None) -> AccountRow:
        """Return the person's account of that name, or the default one.

        Raises:
            UserError: There is none.
        """

        def find(db: Any) -> AccountRow | None:
            if label is None:
                return people.default_account(db, self.who.user_id)
            return people.find_account(db, self.who.user_id, label)

        found = await self.services.store.run(find)
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
class Command:
    """A command.

    Attributes:
        name: Without the slash.
        run: Does it, and returns what to answer, if not a card.
        summary: One line for the menu and /help; at most 60 characters.
        usage: The arguments, as /help shows them.
        example: A line that works as typed.
        topic: Where /help lists it.
        rule: Who may use it, and where.
        details: More for `/help name`.
    """

    name: str
    run: Handler
    summary: str
    topic: Topic
    usage: str = ""
    example: str = ""
    rule: Rule = VIEWERS
    details: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """What a button does. `toast` is what Telegram shows at once."""

    name: str
    run: Handler
    rule: Rule = TRADERS
    toast: str = ""


@dataclass(frozen=True)
class Registry:
    """All commands and actions by name."""

    commands: dict[str, Command]
    actions: dict[str, Action]


def collect(modules: Iterable[Any]) -> Registry:
    """Gather `COMMANDS` and `ACTIONS` of the command modules. A name given twice is a mistake in the code."""
    commands: dict[str, Command] = {}
    actions: dict[str, Action] = {}
    for module in modules:
        for command in module.COMMANDS:
            assert command.name not in commands, command.name
            commands[command.name] = command
        for action in getattr(module, "ACTIONS", ()):
            assert action.name not in actions, action.name
            actions[action.name] = action
    return Registry(commands, actions)
