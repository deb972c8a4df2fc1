"""The contract, with and without our id in a field of its own."""

import tradewire_btcc

from bot import Account, Credentials, Secret
from bot.testing.btcc import StrictBTCC
from bot.testing.contract import NOW_MS, ExchangeContract


class TestBTCC(ExchangeContract):
    plugin = tradewire_btcc
    credentials = Credentials(Secret("access-id"), Secret("not-a-real-secret"))
    accounts = (Account(1, "main"), Account(2, "without client_id", options={"send_client_id": "0"}))

    def exchange(self, account: Account) -> StrictBTCC:
        exchange = StrictBTCC(clock=lambda: NOW_MS)
        exchange.takes_client_id = not account.options
        exchange.add_account("access-id", "not-a-real-secret", balances={"USDT": "100000", "BTC": "10"})
        return exchange
