"""Every hook a plugin may implement. A flow yields requests and returns its result; see `bot.contract.wire.Flow`.

An implementation may name fewer parameters than its specification. Plugins open no socket, read no clock, sleep, log
and touch no file: the core does all of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pluggy

from bot.contract.errors import ExchangeError
from bot.contract.models import (
    Account,
    Balance,
    Candle,
    ExchangeInfo,
    Fill,
    Interval,
    KeyPermissions,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    Ticker,
)
from bot.contract.streams import Event, Stream
from bot.contract.wire import Credentials, Flow, Request, Response

PROJECT = "tradewire"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

REQUIRED = ("exchange_info", "sign", "map_error", "place_order", "balances", "markets", "ticker")
"""Hooks that every exchange plugin implements."""


@hookspec(firstresult=True)
def exchange_info() -> ExchangeInfo:
    """Return what is constant about the exchange. Asked once, at registration."""


@hookspec
def configure(settings: Mapping[str, Any]) -> None:
    """Take what the operator set for this plugin. Called once, at registration; the only hook that a guard may own.

    Args:
        settings: The section `[plugins.<name>]` of the configuration, by the name that `tradewire plugins` shows; empty
            without one.

    Raises:
        UserError: Which key is wrong and what it accepts. The plugin is not used, and a bot that needs it not started.
    """


@hookspec(firstresult=True)
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    """Return `request` with what authenticates it added to its headers, query or JSON body.

    Pure. The only hook that sees credentials; nobody may wrap it, and the text that is signed never leaves it.
    `request.target` and `request.body` are the exact bytes that will be sent. `credentials.secret.hmac` makes an HMAC
    without revealing the secret.

    Args:
        request: As the flow yielded it, each `TIMESTAMP` filled in.
        credentials: The account's keys.
        timestamp: The exchange's time, in its `timestamp_unit`, strictly increasing.
    """


@hookspec(firstresult=True)
def map_error(request: Request, response: Response) -> ExchangeError | None:
    """Return the error that `response` means, or `None` for a success. Pure; asked about every reply.

    Exchanges may refuse with HTTP 200. Return a `Rejected` kind only when the answer is documented as "not
    executed"; a refused duplicate client id means that the order exists: `OutcomeUnknown`.
    """


@hookspec(firstresult=True)
def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    """Place one order and return the exchange's acknowledgement.

    Called once per confirmed order; it is in the journal as `sending` before the first byte leaves. Exactly one of
    the requests has `places=True`, and it must carry `order.client_order_id`.

    Args:
        account: Whose order it is. Exchanges use its facts and options; guards use all of it.
        order: Already rounded to lot and tick size.

    Raises:
        Rejected: Thrown in by the core when `map_error` proves that the order was not executed.
        OutcomeUnknown: Thrown in when nobody can tell. Let it pass: the core looks for the order, it never re-sends.
    """


@hookspec(firstresult=True)
def balances(account: Account) -> Flow[list[Balance]]:
    """Return the account's assets that are not zero."""


@hookspec(firstresult=True)
def markets() -> Flow[list[Market]]:
    """Return every spot market of the exchange, also those that are halted. Needs no account."""


@hookspec(firstresult=True)
def ticker(market: Market) -> Flow[Ticker]:
    """Return the market's price. Needs no account."""


@hookspec(firstresult=True)
def order_book(market: Market) -> Flow[OrderBook]:
    """Return the best levels of the market's book. Needs no account."""


@hookspec(firstresult=True)
def candles(market: Market, interval: Interval, start_ms: int, end_ms: int) -> Flow[list[Candle]]:
    """Return how the market's price went, oldest first. Needs no account.

    Args:
        market: Which market.
        interval: How long each candle is. Days begin at midnight UTC where the exchange can do that.
        start_ms: When the first candle begins at the earliest.
        end_ms: When the last begins at the latest, usually now; at most 200 intervals later.

    Returns:
        The candles, the one of now included. Those without trades may be left out.
    """


@hookspec(firstresult=True)
def server_time() -> Flow[int]:
    """Return the exchange's time in UTC milliseconds. Needs no account."""


@hookspec(firstresult=True)
def detect(account: Account) -> Flow[Mapping[str, str]]:
    """Return facts about the account that the other hooks need.

    Asked when a key is connected and again after `WrongAccountMode`; the core keeps the answer in `account.facts`.
    """


@hookspec(firstresult=True)
def key_permissions(account: Account) -> Flow[KeyPermissions]:
    """Return what the key may do, as far as the exchange reports it."""


@hookspec(firstresult=True)
def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    """Look for an order by `order.client_order_id`, wherever the exchange could show it.

    Returns:
        The order, or `None` when by-client-id look-up, open orders and history were all read cleanly and none has
        it. An error in any of them must be raised: it is not an answer. Several orders that could be it:
        `OutcomeUnknown` with the code `AMBIGUOUS`, which a person then settles.
    """


@hookspec(firstresult=True)
def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    """Return what the exchange says of one order now."""


@hookspec(firstresult=True)
def open_orders(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    """Return all open orders, stop orders included.

    Args:
        account: Whose orders.
        markets: The markets to ask about, for exchanges that list by market only; others may list all.
    """


@hookspec(firstresult=True)
def order_history(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    """Return the newest finished orders, newest first. `markets` as in `open_orders`."""


@hookspec(firstresult=True)
def fills(account: Account, markets: Sequence[Market], exchange_order_id: str) -> Flow[list[Fill]]:
    """Return the newest fills, newest first.

    Args:
        account: Whose fills.
        markets: As in `open_orders`.
        exchange_order_id: Only this order's fills; empty for all.
    """


@hookspec(firstresult=True)
def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    """Ask for one order to be canceled. A request, not a fact: the core reads the order afterwards.

    Raises:
        OrderNotFound: Thrown in by the core; the order may be filled or canceled already.
    """


@hookspec(firstresult=True)
def cancel_all(account: Account, market: Market) -> Flow[None]:
    """Ask for all open orders of one market to be canceled."""


@hookspec(firstresult=True)
def public_stream(markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
    """Return the sockets that tell the prices of `markets`. Needs no account."""


@hookspec(firstresult=True)
def private_stream(account: Account) -> Flow[Sequence[Stream]]:
    """Return the sockets that tell when the account's orders change. May send requests first, for a listen key."""


@hookspec(firstresult=True)
def read_frame(data: str | bytes) -> Sequence[Event]:
    """Return what one frame of a socket means; empty for what does not matter. Pure; decompresses where needed.

    Must not raise on frames it does not know: an exchange adds kinds of frames without notice.
    """
