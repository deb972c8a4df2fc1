"""The contract, with every order at the strict local BitoPro."""

import tradewire_bitopro

from bot import Account, Credentials, Secret
from bot.testing.bitopro import StrictBitoPro
from bot.testing.contract import NOW_MS, ExchangeContract


class TestBitoPro(ExchangeContract):
    plugin = tradewire_bitopro
    credentials = Credentials(Secret("api-key"), Secret("not-a-real-secret"), email=Secret("ann@example.com"))

    def exchange(self, account: Account) -> StrictBitoPro:
        exchange = StrictBitoPro(clock=lambda: NOW_MS)
        balances = {"TWD": "10000000", "BTC": "10"}
        exchange.add_account("api-key", "not-a-real-secret", "ann@example.com", balances=balances)
        return exchange
