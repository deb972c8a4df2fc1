"""What the tests of this plugin share."""

from decimal import Decimal

import pytest

from bot import Market


@pytest.fixture
def ltc() -> Market:
    """A market."""
    return Market(
        symbol="LTC/BTC",
        exchange_symbol="LTCBTC",
        base="LTC",
        quote="BTC",
        price_step=Decimal("0.000001"),
        quantity_step=Decimal("0.01"),
        quote_step=Decimal("0.000001"),
    )
