"""The contract, at a local Bitrue that does not tell our ids with its orders and at one that does."""

import tradewire_bitrue

from bot import Account, Credentials, Secret
from bot.testing.bitrue import StrictBitrue
from bot.testing.contract import NOW_MS, ExchangeContract


class TestBitrue(ExchangeContract):
    plugin = tradewire_bitrue
    credentials = Credentials(Secret("api-key"), Secret("not-a-real-secret"))

    def exchange(self, account: Account) -> StrictBitrue:
        exchange = StrictBitrue(clock=lambda: NOW_MS)
        exchange.add_account("api-key", "not-a-real-secret", balances={"USDT": "100000", "BTC": "10"})
        return exchange


class TestBitrueThatTellsIds(TestBitrue):
    def exchange(self, account: Account) -> StrictBitrue:
        exchange = super().exchange(account)
        exchange.tells_client_ids = True
        return exchange
