"""What the flows of balances, rights and fills ask, and what they make of the replies."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tradewire_btcc import balances, fills, key_permissions

from bot import AuthFailed, Balance, Fill, KeyPermissions, Response
from bot.testing.drive import drive

from .conftest import (
    ACCOUNT,
    BTC,
    ETH,
    FINISHED,
    NONE,
    NULL,
    PENDING,
    ROW,
    UNKNOWN_PATH,
    D,
    get,
    listing,
    recorded,
    result,
)

FILL = Fill(
    trade_id="212194073",
    exchange_order_id="6297762817",
    exchange_symbol="BTCUSDT",
    side="buy",
    price=D("61102.40"),
    quantity=D("0.00099"),
    fee=D("0.000002970"),
    fee_asset="BTC",
    is_maker=False,
    at_ms=1724399839336,
)


def test_balances_documented_reply() -> None:
    """Frozen money is in orders."""
    driven = drive(balances(ACCOUNT), recorded("get_asset_query"))
    assert (driven.result, driven.requests) == (
        [Balance("BTC", D("0.26700128"), D("0.64")), Balance("USDT", D("265377.80514156"), D(0))],
        [get("asset/query")],
    )


def test_key_permissions_reads_and_cannot_withdraw() -> None:
    """Reading proves the key; the document knows no right to withdraw; trading cannot be seen."""
    driven = drive(key_permissions(ACCOUNT), recorded("get_asset_query"))
    assert driven.result == KeyPermissions(
        can_read="yes",
        can_trade="unknown",
        can_withdraw="no",
        is_ip_bound="unknown",
        note="BTCC gives no API key the right to withdraw, says its document. It does not tell whether this key may"
        " trade; the first order will.",
    )
    with pytest.raises(AuthFailed):
        drive(key_permissions(ACCOUNT), AuthFailed("no"))


def test_fills_are_asked_for_by_side() -> None:
    """A fill is not documented to tell its side, so each side is asked for; the newest comes first."""
    sold = recorded("get_order_deal_history").json()["result"]["records"][0]
    sold |= {"id": 212194074, "time": 1724399840.5, "role": 1, "fee": "0.18", "fee_asset": None}
    driven = drive(fills(ACCOUNT, [BTC], ""), recorded("get_order_deal_history"), reply_of(sold))
    assert driven.result == [
        replace(
            FILL, trade_id="212194074", side="sell", fee=D("0.18"), fee_asset="USDT", is_maker=True, at_ms=1724399840500
        ),
        FILL,
    ]
    assert driven.requests == [listing("order/deal_history", side=side) for side in (1, 2)]


def reply_of(row: dict[str, Any]) -> Response:
    plain = {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}
    return result({"records": [plain]})


def test_fills_of_one_order_take_its_side_and_the_path_that_exists() -> None:
    """The order tells the side; document and programs name the path differently."""
    driven = drive(
        fills(ACCOUNT, [ETH, BTC], "6297762817"),
        recorded("get_order_finish_detail"),
        UNKNOWN_PATH,
        recorded("get_order_deals"),
    )
    query = {"market": "BTCUSDT", "order_id": 6297762817, "offset": 0, "limit": 100}
    assert (driven.result, driven.requests[1:]) == (
        [FILL],
        [get("order/deals", **query), get("order/deal", **query)],
    )


def test_fills_of_an_open_order_and_of_an_unknown_one() -> None:
    """A partly filled order is still among the open ones; one that is nowhere has no fills."""
    driven = drive(fills(ACCOUNT, [BTC], "6996187031"), NULL, result(ROW), NONE)
    assert (driven.result, driven.requests[:2]) == ([], [FINISHED, PENDING])
    assert drive(fills(ACCOUNT, [BTC], "6996187031"), NULL, NULL).result == []
