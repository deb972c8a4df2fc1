"""What the plugins send against what ccxt 4.5.90 would send for the same wish. Needs an interpreter that has ccxt.

All that differs stands in `DIFFERENCES`, with the reason; what is not listed there must be equal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import pytest

from bot import Account, Base, Credentials, Flow, Market, Order, Quote, Secret

PYTHON = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
needs_ccxt = pytest.mark.skipif(not PYTHON, reason="TRADEWIRE_CCXT_PYTHON does not name an interpreter that has ccxt")

NOW_MS = 1_700_000_000_123
ORDER_ID = "482075019769610240"
KEY, SECRET, PASSPHRASE, EMAIL = "key0123456789abcdef", "secret0123456789ABCDEF", "pass2024", "user@example.com"
CREDENTIALS = Credentials(Secret(KEY), Secret(SECRET), Secret(PASSPHRASE), Secret(EMAIL))

PLACING = ("limit buy", "limit sell", "market buy", "market sell")
READING = ("open orders", "balances", "order by id")
EVERY = (*PLACING, "cancel", *READING)


@dataclass(frozen=True)
class Sent:
    """One request as it would go over the wire."""

    method: str
    url: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Exchange:
    """One exchange, and the world of it that an account lives in.

    Attributes:
        plugin: The package, which is also what the test needs installed.
        ccxt_class: ccxt's name of it.
        market: What is traded.
        client_id: Our order id, and ccxt's name of the parameter that carries it.
        market_buy: The size of the market buy, in the unit that the exchange takes.
        facts: What `detect` found.
        lists_by_pair: Whether the exchange lists open orders of one pair only.
        is_valid: Says whether a request's signature is right.
    """

    plugin: str
    ccxt_class: str
    market: Market
    client_id: tuple[str, Any]
    market_buy: Base | Quote
    facts: dict[str, str]
    lists_by_pair: bool
    is_valid: Callable[[Sent], bool]


def bitget_is_valid(sent: Sent) -> bool:
    """Time, method, target and body, nothing in between; base64 of SHA-256."""
    url = urlsplit(sent.url)
    target = f"{url.path}?{url.query}" if url.query else url.path
    text = f"{NOW_MS}{sent.method}{target}{sent.body}"
    wanted = base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256)).decode()
    seen = [sent.headers.get(name) for name in ("access-key", "access-passphrase", "access-timestamp", "access-sign")]
    return seen == [KEY, PASSPHRASE, str(NOW_MS), wanted]


def bitrue_is_valid(sent: Sent) -> bool:
    """The query and then the body, without the signature at the end; hexadecimal SHA-256."""
    text, _, signature = (urlsplit(sent.url).query + sent.body).rpartition("&signature=")
    wanted = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    is_now = ("timestamp", str(NOW_MS)) in parse_qsl(text)
    return is_now and (sent.headers.get("x-mbx-apikey"), signature) == (KEY, wanted)


def bitopro_is_valid(sent: Sent) -> bool:
    """Only a payload is signed, hexadecimal SHA-384: the body of a POST, and the time with all else."""
    payload = sent.headers.get("x-bitopro-payload", "")
    wanted = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha384).hexdigest()
    text = base64.b64decode(payload)
    fields = json.loads(text)
    tells_time = fields["timestamp" if sent.method == "POST" else "nonce"] == NOW_MS
    is_body = sent.method != "POST" or text == sent.body.encode()
    seen = (sent.headers.get("x-bitopro-apikey"), sent.headers.get("x-bitopro-signature"))
    return tells_time and is_body and seen == (KEY, wanted)


def market(exchange_symbol: str, symbol: str = "BTC/USDT") -> Market:
    base, _, quote = symbol.partition("/")
    return Market(
        symbol=symbol,
        exchange_symbol=exchange_symbol,
        base=base,
        quote=quote,
        price_step=Decimal("0.01"),
        quantity_step=Decimal("0.000001"),
        quote_step=Decimal("0.01"),
    )


BITGET = Exchange(
    plugin="tradewire_bitget",
    ccxt_class="bitget",
    market=market("BTCUSDT"),
    client_id=("clientOrderId", "tw-0001"),
    market_buy=Quote(Decimal(50)),
    facts={"mode": "classic"},
    lists_by_pair=False,
    is_valid=bitget_is_valid,
)
EXCHANGES = {
    "bitget classic": BITGET,
    "bitget unified": replace(BITGET, facts={"mode": "unified"}),
    "bitrue": Exchange(
        plugin="tradewire_bitrue",
        ccxt_class="bitrue",
        market=market("BTCUSDT"),
        client_id=("clientOrderId", "tw-0001"),
        market_buy=Base(Decimal("0.001")),
        facts={},
        lists_by_pair=True,
        is_valid=bitrue_is_valid,
    ),
    "bitopro": Exchange(
        plugin="tradewire_bitopro",
        ccxt_class="bitopro",
        market=market("btc_twd", "BTC/TWD"),
        client_id=("clientId", 1234567),
        # ccxt calls this number an amount of BTC and sends it as it is; BitoPro reads TWD. The wire is the same.
        market_buy=Quote(Decimal(500)),
        facts={},
        lists_by_pair=False,
        is_valid=bitopro_is_valid,
    ),
}

# Differences

Difference: TypeAlias = tuple[str, tuple[str, ...], object, object, str]
"""Part of the request, the operations it differs in, ours, ccxt's, and why; `None` where one does not send it."""

BITGET_HEADERS: tuple[Difference, ...] = (
    ("header x-channel-api-code", EVERY, None, "p4sve", "ccxt's own rebate code; not needed and not ours"),
    ("header locale", EVERY, "en-US", None, "asks for refusals in English"),
    ("header content-type", READING, "application/json", None, "documented for every request; harmless with GET"),
)
DIFFERENCES: dict[str, tuple[Difference, ...]] = {
    "bitget classic": (
        *BITGET_HEADERS,
        ("body force", PLACING, "gtc", "GTC", "the documented spelling; ignored for market orders"),
        ("body requestTime", PLACING, str(NOW_MS), None, "with the next: Bitget refuses the order when it comes late"),
        ("body receiveWindow", PLACING, "5000", None, "milliseconds after requestTime"),
        ("query limit", ("open orders",), "100", None, "the largest page instead of the default one"),
    ),
    "bitget unified": (
        *BITGET_HEADERS,
        ("body timeInForce", PLACING[2:], None, "gtc", "documented for limit orders only"),
        ("body symbol", ("cancel",), None, "BTCUSDT", "v3 documents no symbol here: the id is enough"),
        ("query limit", ("open orders",), "100", None, "the largest page instead of the default one"),
    ),
    "bitrue": (
        ("host", EVERY, "openapi.bitrue.com", "www.bitrue.com", "the documented host; ccxt uses its older alias"),
        ("query timeInForce", PLACING[:2], "GTC", None, "the default, said; the only one there is"),
        (
            "header content-type",
            PLACING,
            None,
            "application/x-www-form-urlencoded",
            "ccxt puts a POST's fields in the body as a form, we in the query; Bitrue signs query and body as one text",
        ),
    ),
    "bitopro": (
        ("header x-bitopro-api", EVERY, None, "ccxt", "the name of ccxt's client"),
        ("header content-type", PLACING, "application/json", None, "the body is JSON"),
        ("payload identity", ("cancel", *READING), EMAIL, None, "documented; that it is not checked was only observed"),
        ("body pair", PLACING, None, "btc_twd", "stands in the path; not a documented field"),
        ("body nonce", PLACING, NOW_MS, None, "wanted by BitoPro's newest documents, and tolerated without"),
        ("body timeInForce", PLACING[:2], "GTC", None, "the default, said"),
        ("body type", PLACING[:2], "LIMIT", "limit", "the documented spelling"),
        ("body type", PLACING[2:], "MARKET", "market", "the documented spelling"),
        ("body action", (PLACING[0], PLACING[2]), "BUY", "buy", "the documented spelling"),
        ("body action", (PLACING[1], PLACING[3]), "SELL", "sell", "the documented spelling"),
    ),
}
SIGNATURES = {"access-sign", "x-bitopro-payload", "x-bitopro-signature"}
"""Differ whenever anything does; `is_valid` looks at them."""


def parts(exchange: str, sent: Sent) -> dict[str, object]:
    """Return what a request says, decoded: method, host, path, each field and each header."""
    url = urlsplit(sent.url)
    found: dict[str, object] = {"method": sent.method, "host": url.netloc, "path": url.path}
    found |= {f"query {name}": value for name, value in parse_qsl(url.query, strict_parsing=bool(url.query))}
    if exchange == "bitrue":
        found |= {f"query {name}": value for name, value in parse_qsl(sent.body, strict_parsing=bool(sent.body))}
        del found["query signature"]
    elif sent.body:
        found |= {f"body {name}": value for name, value in json.loads(sent.body).items()}
    elif exchange == "bitopro":
        payload = json.loads(base64.b64decode(sent.headers["x-bitopro-payload"]))
        found |= {f"payload {name}": value for name, value in payload.items()}
    return found | {f"header {name}": value for name, value in sent.headers.items() if name not in SIGNATURES}


# Ours


def installed(name: str) -> Exchange:
    """Return the exchange, or skip where its plugin is not installed."""
    exchange = EXCHANGES[name]
    if find_spec(exchange.plugin) is None:
        pytest.skip(f"{exchange.plugin} is not installed")
    return exchange


def our_request(name: str, operation: str) -> Sent:
    """Drive the plugin's flow, fill in the time, sign, and write it as it goes over the wire."""
    exchange = installed(name)
    plugin = import_module(exchange.plugin)
    account = Account(1, "main", exchange.facts)
    pair = exchange.market

    def order(type_: Any, side: Any) -> Order:
        is_market_buy = (type_, side) == ("market", "buy")
        return Order(
            client_order_id=str(exchange.client_id[1]),
            market=pair,
            side=side,
            type=type_,
            size=exchange.market_buy if is_market_buy else Base(Decimal("0.001")),
            price=Decimal("25000.5") if type_ == "limit" else None,
        )

    # A plugin's hooks take fewer arguments than the core offers; each is given what it names.
    offered: dict[str, Any] = {"account": account, "markets": [pair], "exchange_order_id": ORDER_ID}

    def flow(hook: str, **more: Any) -> Flow[Any]:
        function = getattr(plugin, hook)
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        made: Flow[Any] = function(**{key: value for key, value in (offered | more).items() if key in names})
        return made

    if operation in PLACING:
        asking = flow("place_order", order=order(*operation.split()))
    else:
        hook = {"cancel": "cancel_order", "order by id": "order_status"}.get(operation, operation.replace(" ", "_"))
        asking = flow(hook, order=order("limit", "buy"))
    request = next(asking)
    asking.close()
    signed = plugin.sign(request=request.stamped(NOW_MS), credentials=CREDENTIALS, timestamp=NOW_MS)
    headers = {key.lower(): value for key, value in signed.headers.items()}
    origin = plugin.exchange_info().hosts[signed.host]
    return Sent(signed.method, origin + signed.target, headers, signed.body.decode())


# Theirs


@pytest.fixture(scope="module")
def ccxt_requests() -> dict[str, dict[str, Sent]]:
    """What ccxt would send, by exchange and operation."""
    told = {
        "credentials": {"apiKey": KEY, "secret": SECRET, "password": PASSPHRASE},
        "now_ms": NOW_MS,
        "order_id": ORDER_ID,
        "exchanges": {
            name: {
                "class": each.ccxt_class,
                "market": each.market.exchange_symbol,
                "symbol": each.market.symbol,
                "params": dict([each.client_id]),
                "market_buy": float(each.market_buy.amount),
                "lists_by_pair": each.lists_by_pair,
            }
            for name, each in EXCHANGES.items()
        },
    }
    script = Path(__file__).with_name("ccxt_requests.py")
    done = subprocess.run([PYTHON, script, json.dumps(told)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

    def sent(row: dict[str, Any]) -> Sent:
        headers = {key.lower(): value for key, value in row["headers"].items()}
        return Sent(row["method"], row["url"], headers, row["body"])

    found: dict[str, dict[str, dict[str, Any]]] = json.loads(done.stdout)
    return {name: {operation: sent(row) for operation, row in rows.items()} for name, rows in found.items()}


# Tests


@needs_ccxt
@pytest.mark.parametrize("operation", EVERY)
@pytest.mark.parametrize("name", EXCHANGES)
def test_request_is_ccxts_but_for_the_listed_differences(
    ccxt_requests: dict[str, dict[str, Sent]], name: str, operation: str
) -> None:
    """Method, host, path, fields and headers are the same as an independent client's, or listed with the reason."""
    ours, theirs = parts(name, our_request(name, operation)), parts(name, ccxt_requests[name][operation])
    differing = {
        part: (ours.get(part), theirs.get(part))
        for part in ours.keys() | theirs.keys()
        if ours.get(part) != theirs.get(part)
    }
    listed = {part: (our, their) for part, operations, our, their, _ in DIFFERENCES[name] if operation in operations}
    assert differing == listed


@needs_ccxt
@pytest.mark.parametrize("operation", EVERY)
@pytest.mark.parametrize("name", EXCHANGES)
def test_ccxts_signature_is_valid_by_the_computation_that_judges_ours(
    ccxt_requests: dict[str, dict[str, Sent]], name: str, operation: str
) -> None:
    """The judge below reads the rule as a client does that works with the real exchange."""
    assert EXCHANGES[name].is_valid(ccxt_requests[name][operation])


@pytest.mark.parametrize("operation", EVERY)
@pytest.mark.parametrize("name", EXCHANGES)
def test_our_signature_is_valid_by_an_independent_computation(name: str, operation: str) -> None:
    """Recomputed from nothing but what goes over the wire and the secret."""
    sent = our_request(name, operation)
    assert EXCHANGES[name].is_valid(sent)


@pytest.mark.parametrize(("name", "old", "new"), [("bitget classic", "0.001", "0.002"), ("bitrue", "BUY", "SELL")])
def test_changed_request_has_no_valid_signature(name: str, old: str, new: str) -> None:
    """Control: the judge refuses a request whose size or side was changed after signing."""
    sent = our_request(name, "limit buy")
    changed = replace(sent, url=sent.url.replace(old, new), body=sent.body.replace(old, new))
    assert changed != sent
    assert not EXCHANGES[name].is_valid(changed)
