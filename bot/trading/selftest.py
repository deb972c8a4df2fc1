"""The self-test of a key: one step after the other, reads only. Nothing is ever placed.

Every exchange takes the same steps, each made of hooks that its plugin has anyway.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from msgspec.structs import replace

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.contract.errors import AuthFailed, BotError, ExchangeError, PluginError
from bot.contract.models import KeyPermissions, Market
from bot.store.database import Connection, Store
from bot.trading.gateway import Exchange, Gateway
from bot.trading.symbols import Symbols

MAY_WITHDRAW = "MAY_WITHDRAW"
"""A right to withdraw is hinted at and not proved."""

Mark: TypeAlias = Literal["ok", "warning", "failed", "unknown"]

_OFF_MS = 1_000
_USUAL = "BTC/USDT"
_LATER = "Test the key again in a few minutes."
_REACH = "Check this server's network. The exchange may have moved, or bar this server's address or country."


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was checked.

    Attributes:
        name: What was checked.
        mark: `unknown` means that nobody could tell, which refuses nothing.
        text: The result; of a step that failed, the cause and what to do.
        refusal: `KEY_REFUSED` or `CAN_WITHDRAW` where the step proves the key unfit; `MAY_WITHDRAW` where it might be
            and its owner must look; else empty.
    """

    name: str
    mark: Mark
    text: str
    refusal: str = ""


@dataclass(slots=True)
class _Test:
    """What is tested, and the pair that the later steps look at."""

    gateway: Gateway
    store: Store
    account: AccountRow
    exchange: Exchange
    market: Market | None = None

    @property
    def title(self) -> str:
        return self.exchange.info.title

    def has(self, hook: str) -> bool:
        return hook in self.exchange.registered.hooks


async def self_test(gateway: Gateway, store: Store, account: AccountRow) -> AsyncIterator[Step]:
    """Test everything that trading with a stored key needs, as far as reading shows it, up to the first failure.

    Always asks the real exchange, also while the account trades on paper, and keeps the rights it reports.

    Yields:
        Each step as soon as it is known.

    Raises:
        UserError: The exchange is not in use here.
        VaultError: The key cannot be opened.
    """
    async for step in _run(_ALL, gateway, store, account):
        yield step


async def check_key(
    gateway: Gateway, store: Store, account: AccountRow, on_step: Callable[[Step], None] = lambda _: None
) -> tuple[Step, ...]:
    """Ask the exchange about a stored key alone, without its markets. Otherwise as `self_test`."""
    steps = []
    async for step in _run(_OF_THE_KEY, gateway, store, account):
        steps.append(step)
        on_step(step)
    return tuple(steps)


async def clock_step(exchange: Exchange) -> Step | None:
    """Measure how far the exchange's clock is from ours; `None` where it does not tell its time."""
    if "server_time" not in exchange.registered.hooks:
        return None
    await exchange.transport.measure_clock()
    offset = exchange.transport.clock.offset_ms
    if offset is None:
        return Step("clock", "unknown", f"{exchange.info.title} did not tell its time")
    if abs(offset) > _OFF_MS:
        return Step("clock", "warning", f"{offset:+d} ms, which is allowed for. Set this machine's clock right.")
    return Step("clock", "ok", f"{offset:+d} ms")


async def _run(
    parts: Iterable[tuple[str, _Part]], gateway: Gateway, store: Store, account: AccountRow
) -> AsyncIterator[Step]:
    account = replace(account, paper=False)
    test = _Test(gateway, store, account, gateway.exchange(account))
    for name, ask in parts:
        try:
            steps = await ask(test)
        except (ExchangeError, PluginError) as error:
            otherwise = _LATER if isinstance(error, ExchangeError) else "Tell the operator; a newer plugin may help."
            steps = [Step(name, "failed", _cause(error, otherwise))]
        for step in steps:
            yield step
        if any(step.mark == "failed" for step in steps):
            return


_Part: TypeAlias = Callable[[_Test], Awaitable[Sequence[Step]]]


async def _connection(test: _Test) -> Sequence[Step]:
    if not test.has("server_time"):
        return []
    try:
        await test.exchange.transport.run(test.exchange.transport.flow("server_time"))
    except ExchangeError as error:
        return [Step("connection", "failed", _cause(error, _REACH))]
    return [Step("connection", "ok", f"{test.title} answers")]


async def _clock(test: _Test) -> Sequence[Step]:
    step = await clock_step(test.exchange)
    return [] if step is None else [step]


async def _markets(test: _Test) -> Sequence[Step]:
    # Asked anew: the gateway would show an hour old list while the exchange is down.
    every = await test.exchange.transport.run(test.exchange.transport.flow("markets"))
    is_open = [market for market in every if market.status == "online"]
    if not is_open:
        return [Step("markets", "failed", f"{test.title} has no open market. Try again later.")]
    wanted = await test.store.run(lambda db: _last_pair(db, test.account.id)) or _USUAL
    known = {market.symbol: market for market in Symbols(every)}
    test.market = known.get(wanted, is_open[0])
    if test.market.status != "online":
        return [Step("markets", "warning", f"{len(is_open)} open, but {wanted} takes no orders now")]
    return [Step("markets", "ok", f"{len(is_open)} open, {test.market.symbol} among them")]


async def _price(test: _Test) -> Sequence[Step]:
    if test.market is None:
        return []
    ticker = await test.gateway.ticker(test.exchange.info.id, test.market)
    return [Step("price", "ok", f"{test.market.symbol} at {ticker.last.normalize():,f} {test.market.quote}")]


async def _signature(test: _Test) -> Sequence[Step]:
    try:
        test.account = await test.gateway.detect(test.account)
        balances = await test.gateway.balances(test.account)
    except AuthFailed as error:
        return [Step("signature", "failed", f"{test.title} refuses the key: {_cause(error)}", refusal="KEY_REFUSED")]
    except (ExchangeError, PluginError) as error:
        return [Step("signature", "failed", f"cannot be checked now: {_cause(error, _LATER)}")]
    return [Step("signature", "ok", "accepted"), Step("read", "ok", f"{len(balances)} assets")]


async def _orders(test: _Test) -> Sequence[Step]:
    if test.market is None or not test.has("open_orders"):
        return []
    found = await test.gateway.open_orders(test.account, [test.market])
    return [Step("orders", "ok", f"can be listed; open now: {len(found)}")]


async def _rights(test: _Test) -> Sequence[Step]:
    try:
        rights = await test.gateway.key_permissions(test.account)
    except (ExchangeError, PluginError) as error:
        reason = f"cannot be verified, as {test.title} did not tell the key's rights: {_cause(error)}"
        return [Step("trade", "unknown", reason), Step("withdraw", "unknown", reason)]
    await test.store.run(lambda db: people.set_rights(db, test.account.id, rights))
    return _rights_steps(test.title, rights)


async def _assumptions(test: _Test) -> Sequence[Step]:
    info = test.exchange.info
    if not info.experimental:
        return []
    count = len(info.assumptions)
    lines = [info.experimental]
    if count:
        lines = [f"these {count} assumptions are not verified:", *(f"• {each}" for each in info.assumptions)]
    if test.market is not None and test.market.min_quantity:
        lines.append(f"Begin with the smallest order: {test.market.min_quantity:f} {test.market.base}.")
    return [Step("experimental", "warning", "\n  ".join(lines))]


# Without the public steps: while one of those fails, a key that may withdraw must be found out all the same.
_OF_THE_KEY: tuple[tuple[str, _Part], ...] = (("clock", _clock), ("signature", _signature), ("rights", _rights))
_ALL: tuple[tuple[str, _Part], ...] = (
    ("connection", _connection),
    ("clock", _clock),
    ("markets", _markets),
    ("price", _price),
    ("signature", _signature),
    ("orders", _orders),
    ("rights", _rights),
    ("experimental", _assumptions),
)


def _last_pair(db: Connection, account_id: int) -> str | None:
    row = db.execute("SELECT symbol FROM orders WHERE account_id=? ORDER BY id DESC LIMIT 1", (account_id,)).fetchone()
    return None if row is None else str(row["symbol"])


def _rights_steps(title: str, rights: KeyPermissions) -> list[Step]:
    steps = [
        {
            "yes": Step("trade", "ok", "allowed; no order was sent to try it"),
            "no": Step("trade", "warning", f"not allowed: {title} will refuse orders. Allow spot trade for the key."),
            "unknown": Step("trade", "unknown", f"{title} does not tell; the first order will show"),
        }[rights.can_trade],
        {
            "yes": Step(
                "withdraw",
                "failed",
                f"This {title} key may withdraw money, which the bot never needs. Make a key without that right.",
                refusal="CAN_WITHDRAW",
            ),
            "no": Step("withdraw", "ok", "verified: the key cannot withdraw"),
            "unknown": Step(
                "withdraw", "unknown", f"cannot be verified here: see on {title}'s site that the right is off"
            ),
        }[rights.can_withdraw],
    ]
    if rights.withdraw_hint and rights.can_withdraw != "yes":
        steps[-1] = Step("withdraw", "warning", rights.withdraw_hint, MAY_WITHDRAW)
    if rights.is_ip_bound != "unknown":
        bound = rights.is_ip_bound == "yes"
        text = "bound to addresses" if bound else "works from any address. Bind it to this server's, on the exchange."
        steps.append(Step("IP", "ok" if bound else "warning", text))
    if rights.note:
        steps.append(Step("note", "warning", rights.note))
    return steps


def _cause(error: BotError, otherwise: str = "") -> str:
    """Return what happened and what to do, as sentences; `otherwise` where the exchange names no remedy."""
    remedy = (error.remedy if isinstance(error, ExchangeError) else "") or otherwise
    text = (str(error) or "it gave no reason").rstrip(".") + "."
    return f"{text} {remedy}".strip()
