"""A ledger that matches orders against a book: the accounting inside every strict local exchange."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Literal, TypeAlias

Level: TypeAlias = tuple[Decimal, Decimal]
Money: TypeAlias = Decimal | str
ZERO = Decimal(0)
DEEP = Decimal(1_000_000)


def round_down(amount: Decimal, places: int) -> Decimal:
    """Return `amount` cut to `places` decimals."""
    return amount.quantize(Decimal(1).scaleb(-places), ROUND_DOWN)


def plain(amount: Decimal) -> str:
    """Write a number without exponent and without zeros at the end."""
    return format(amount.normalize(), "f") if amount else "0"


@dataclass(eq=False, slots=True)
class Pair:
    """One market, its rules and its order book. Tests may change any of it."""

    symbol: str
    base: str
    quote: str
    price_places: int
    quantity_places: int
    quote_places: int = 8
    min_value: Decimal = Decimal(1)
    band: Decimal = Decimal("0.05")
    max_open: int = 200
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    status: str = "online"
    last: Decimal = ZERO
    bids: list[Level] = field(default_factory=list)
    asks: list[Level] = field(default_factory=list)


@dataclass(eq=False, slots=True, kw_only=True)
class Account:
    """Balances by asset. Only a `Ledger` moves them."""

    free: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    locked: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


@dataclass(eq=False, slots=True, kw_only=True)
class Execution:
    """One fill. `fee` is positive, in the asset received."""

    id: str
    order: Order
    price: Decimal
    quantity: Decimal
    fee: Decimal
    is_maker: bool
    created_ms: int

    @property
    def pair(self) -> Pair:
        """The market."""
        return self.order.pair


@dataclass(eq=False, slots=True, kw_only=True)
class Order:
    """One order as the exchange keeps it.

    Attributes:
        quantity: Base asset ordered; zero for a market buy, which has a `budget` in quote instead.
        reserved: What is still locked for it, in the asset it pays with.
        reason: Why it was canceled: `user`, `post_only`, `ioc`, `fok` or `depth`.
        hidden: Whether reads do not show it yet.
    """

    id: str
    client_id: str
    account: Account
    pair: Pair
    side: Literal["buy", "sell"]
    kind: Literal["limit", "market"]
    time_in_force: str
    post_only: bool
    price: Decimal
    quantity: Decimal
    budget: Decimal
    created_ms: int
    updated_ms: int
    reserved: Decimal = ZERO
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    status: Literal["open", "filled", "canceled"] = "open"
    reason: str = ""
    hidden: bool = False

    @property
    def pays(self) -> str:
        """The asset it gives."""
        return self.pair.quote if self.side == "buy" else self.pair.base

    @property
    def gets(self) -> str:
        """The asset it receives, which also pays the fee."""
        return self.pair.base if self.side == "buy" else self.pair.quote

    @property
    def average_price(self) -> Decimal:
        """Quote per base over the filled part, or zero."""
        return self.value / self.filled if self.filled else ZERO

    def accepts(self, price: Decimal) -> bool:
        """Return whether it may trade at `price`."""
        if self.kind == "market":
            return True
        return price <= self.price if self.side == "buy" else price >= self.price

    def wants(self, price: Decimal) -> Decimal:
        """Return the base quantity it still takes at `price`."""
        if self.budget:
            return round_down((self.budget - self.value) / price, self.pair.quantity_places)
        return self.quantity - self.filled


@dataclass(eq=False, slots=True, kw_only=True)
class Plan:
    """An order that waits for the last price to reach `trigger`, coming from where the price was when it was placed."""

    id: str
    client_id: str
    account: Account
    pair: Pair
    side: Literal["buy", "sell"]
    kind: Literal["limit", "market"]
    trigger: Decimal
    price: Decimal
    size: Decimal
    is_size_in_quote: bool
    is_rising: bool
    created_ms: int
    updated_ms: int
    status: Literal["open", "triggered", "failed", "canceled"] = "open"
    order: Order | None = None
    hidden: bool = False


class InsufficientBalance(Exception):
    """The account has less free than the order must lock. Nothing was changed."""


class Ledger:
    """Accounts' orders matched against a book that the test sets; orders never trade with each other.

    Args:
        pairs: The markets.
        clock: Returns UTC milliseconds.
        first_id: Where order and trade ids start.

    Attributes:
        watchers: Called with each order or plan that is new or has changed, and with each market whose book was set.
    """

    def __init__(self, pairs: Iterable[Pair], clock: Callable[[], int], *, first_id: int = 1001) -> None:
        self.pairs = {pair.symbol: pair for pair in pairs}
        self.clock = clock
        self.orders: list[Order] = []
        self.plans: list[Plan] = []
        self.executions: list[Execution] = []
        self.watchers: list[Callable[[Order | Plan | Pair], None]] = []
        self._last_id = first_id - 1

    def set_price(self, symbol: str, bid: Money, ask: Money, *, depth: Money = DEEP) -> None:
        """Replace the book by one level on each side, and make `bid` the last price."""
        self.set_book(symbol, [(bid, depth)], [(ask, depth)])

    def set_book(
        self,
        symbol: str,
        bids: Iterable[tuple[Money, Money]],
        asks: Iterable[tuple[Money, Money]],
        *,
        last: Money | None = None,
    ) -> None:
        """Replace the book, best level first; fill the resting orders it crosses and fire the plans it reaches."""
        pair = self.pairs[symbol]
        pair.bids = [(Decimal(price), Decimal(quantity)) for price, quantity in bids]
        pair.asks = [(Decimal(price), Decimal(quantity)) for price, quantity in asks]
        if last is not None:
            pair.last = Decimal(last)
        elif pair.bids:
            pair.last = pair.bids[0][0]
        for order in self.orders:
            if order.status == "open" and order.pair is pair:
                self._match(order, is_maker=True)
        for plan in self.plans:
            reached = pair.last >= plan.trigger if plan.is_rising else pair.last <= plan.trigger
            if plan.status == "open" and plan.pair is pair and reached:
                self._trigger(plan)
        self._tell(pair)

    def place(
        self,
        account: Account,
        pair: Pair,
        side: Literal["buy", "sell"],
        kind: Literal["limit", "market"],
        *,
        price: Decimal = ZERO,
        quantity: Decimal = ZERO,
        budget: Decimal = ZERO,
        time_in_force: str = "gtc",
        post_only: bool = False,
        client_id: str = "",
    ) -> Order:
        """Lock the funds and match at once: the rest rests (`gtc`) or is canceled (`ioc`); `fok` fills whole or not.

        Args:
            account: Who pays.
            pair: The market.
            side: `buy` or `sell`.
            kind: A `limit` order has `price` and `quantity`, a market buy `budget`, a market sell `quantity`.
            price: Quote per base.
            quantity: In base.
            budget: In quote.
            time_in_force: `gtc`, `ioc` or `fok`; without meaning for market orders.
            post_only: Cancel the whole order if any of it would fill at once.
            client_id: The caller's name for it.

        Raises:
            InsufficientBalance: Less is free than the order can cost.
        """
        now, id_ = self.clock(), self._new_id()
        order = Order(
            id=id_,
            client_id=client_id or id_,
            account=account,
            pair=pair,
            side=side,
            kind=kind,
            time_in_force=time_in_force,
            post_only=post_only,
            price=price,
            quantity=quantity,
            budget=budget,
            created_ms=now,
            updated_ms=now,
        )
        order.reserved = budget or (quantity * price if side == "buy" else quantity)
        if account.free[order.pays] < order.reserved:
            raise InsufficientBalance
        account.free[order.pays] -= order.reserved
        account.locked[order.pays] += order.reserved
        self.orders.append(order)
        self._tell(order)
        available = sum((depth for level, depth in self._levels(order) if order.accepts(level)), ZERO)
        if post_only and available:
            self._finish(order, "canceled", "post_only")
        elif time_in_force == "fok" and kind == "limit" and available < quantity:
            self._finish(order, "canceled", "fok")
        else:
            self._match(order, is_maker=False)
            if order.status == "open" and kind == "market":
                self._finish(order, "canceled", "depth")
            elif order.status == "open" and time_in_force == "ioc":
                self._finish(order, "canceled", "ioc")
        return order

    def place_plan(
        self,
        account: Account,
        pair: Pair,
        side: Literal["buy", "sell"],
        kind: Literal["limit", "market"],
        *,
        trigger: Decimal,
        size: Decimal,
        price: Decimal = ZERO,
        is_size_in_quote: bool = False,
        client_id: str = "",
    ) -> Plan:
        """Keep an order until the last price reaches `trigger`. Locks nothing before."""
        now, id_ = self.clock(), self._new_id()
        plan = Plan(
            id=id_,
            client_id=client_id or id_,
            account=account,
            pair=pair,
            side=side,
            kind=kind,
            trigger=trigger,
            price=price,
            size=size,
            is_size_in_quote=is_size_in_quote,
            is_rising=trigger > pair.last,
            created_ms=now,
            updated_ms=now,
        )
        self.plans.append(plan)
        self._tell(plan)
        return plan

    def cancel(self, order: Order) -> None:
        """Cancel an open order and free what it had locked."""
        if order.status == "open":
            self._finish(order, "canceled", "user")

    def cancel_plan(self, plan: Plan) -> None:
        """Cancel a plan that waits."""
        if plan.status == "open":
            plan.status, plan.updated_ms = "canceled", self.clock()
            self._tell(plan)

    def fill(self, order: Order, quantity: Money, price: Money | None = None) -> None:
        """Fill `quantity` of a resting order as maker, at its own price unless `price` is given."""
        wanted = Decimal(quantity)
        at = order.price if price is None else Decimal(price)
        if order.status != "open" or not ZERO < wanted <= order.quantity - order.filled or not order.accepts(at):
            raise ValueError(f"order {order.id} cannot fill {quantity} at {at}: it is {order.status}")
        self._execute(order, wanted, at, is_maker=True)

    def _tell(self, changed: Order | Plan | Pair) -> None:
        for watcher in self.watchers:
            watcher(changed)

    def _new_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)

    def _levels(self, order: Order) -> list[Level]:
        return order.pair.asks if order.side == "buy" else order.pair.bids

    def _match(self, order: Order, *, is_maker: bool) -> None:
        levels = self._levels(order)
        while order.status == "open" and levels and order.accepts(levels[0][0]):
            price, depth = levels[0]
            quantity = min(depth, order.wants(price))
            if not quantity:
                break
            self._execute(order, quantity, order.price if is_maker else price, is_maker=is_maker)
            levels[:1] = [(price, depth - quantity)] if depth > quantity else []
        if order.status == "open" and order.budget and levels:
            self._finish(order, "filled")  # the rest of the budget buys less than one lot

    def _execute(self, order: Order, quantity: Decimal, price: Decimal, *, is_maker: bool) -> None:
        value = quantity * price
        paid, received = (value, quantity) if order.side == "buy" else (quantity, value)
        released = quantity * order.price if order.side == "buy" and order.kind == "limit" else paid
        fee = received * (order.pair.maker_fee if is_maker else order.pair.taker_fee)
        account = order.account
        account.locked[order.pays] -= released
        account.free[order.pays] += released - paid
        account.free[order.gets] += received - fee
        order.reserved -= released
        order.filled += quantity
        order.value += value
        order.fee += fee
        order.updated_ms = self.clock()
        self.executions.append(
            Execution(
                id=self._new_id(),
                order=order,
                price=price,
                quantity=quantity,
                fee=fee,
                is_maker=is_maker,
                created_ms=order.updated_ms,
            )
        )
        self._tell(order)
        if order.filled == order.quantity or order.value == order.budget:
            self._finish(order, "filled")

    def _finish(self, order: Order, status: Literal["filled", "canceled"], reason: str = "") -> None:
        order.account.locked[order.pays] -= order.reserved
        order.account.free[order.pays] += order.reserved
        order.reserved = ZERO
        order.status, order.reason, order.updated_ms = status, reason, self.clock()
        self._tell(order)

    def _trigger(self, plan: Plan) -> None:
        pair, plan.updated_ms = plan.pair, self.clock()
        levels = pair.asks if plan.side == "buy" else pair.bids
        price = plan.price or (levels[0][0] if levels else pair.last)
        quantity = round_down(plan.size / price, pair.quantity_places) if plan.is_size_in_quote else plan.size
        budget = ZERO
        if plan.side == "buy" and plan.kind == "market":
            budget = plan.size if plan.is_size_in_quote else round_down(plan.size * price, pair.quote_places)
            quantity = ZERO
        try:
            plan.order = self.place(
                plan.account, pair, plan.side, plan.kind, price=plan.price, quantity=quantity, budget=budget
            )
        except InsufficientBalance:
            plan.status = "failed"
        else:
            plan.status = "triggered"
        self._tell(plan)
