"""The contract, in both kinds of account."""

from typing import cast

import tradewire_bitget

from bot import Account, Credentials, Secret
from bot.testing.bitget import Mode, StrictBitget
from bot.testing.contract import NOW_MS, ExchangeContract


class TestBitget(ExchangeContract):
    plugin = tradewire_bitget
    credentials = Credentials(Secret("bg_key"), Secret("not-a-real-secret"), Secret("passphrase"))
    accounts = tuple(Account(number, mode, facts={"mode": mode}) for number, mode in enumerate(("classic", "unified")))

    def exchange(self, account: Account) -> StrictBitget:
        exchange = StrictBitget(clock=lambda: NOW_MS, mode=cast(Mode, account.facts["mode"]))
        balances = {"USDT": "100000", "BTC": "10"}
        exchange.add_account("bg_key", "not-a-real-secret", "passphrase", balances=balances)
        return exchange
