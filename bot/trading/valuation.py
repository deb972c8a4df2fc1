"""What money is worth in USDT, by the tickers of the exchange where it is. Nothing else is asked."""

from __future__ import annotations

from decimal import Decimal, localcontext

from bot.contract.errors import ExchangeError
from bot.trading.amounts import EXACT
from bot.trading.gateway import Gateway

UNIT = "USDT"


async def rate(gateway: Gateway, exchange_id: str, asset: str) -> Decimal | None:
    """Return how many USDT one of `asset` is worth at an exchange, or `None` where it cannot be told just now.

    The last price of `ASSET/USDT` counts, or else one divided by that of `USDT/ASSET`.
    """
    if asset == UNIT:
        return Decimal(1)
    try:
        symbols = await gateway.symbols(exchange_id)
        for symbol, is_inverse in ((f"{asset}/{UNIT}", False), (f"{UNIT}/{asset}", True)):
            market = symbols.get(symbol)
            if market is not None and (last := (await gateway.ticker(exchange_id, market)).last):
                with localcontext(EXACT):
                    return (1 / last if is_inverse else last).quantize(Decimal("1e-18"))
    except ExchangeError:
        return None
    return None
