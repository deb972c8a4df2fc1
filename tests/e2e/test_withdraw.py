"""What each exchange lets the bot know of a key's right to withdraw, and what becomes of such a key."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tradewire_bitget
import tradewire_bitopro
import tradewire_bitrue
import tradewire_btcc

from bot.accounts.vault import create_master_key
from bot.chat.commands.keys import badge
from bot.cli.instance import open_instance
from bot.config import Settings
from bot.contract.manifest import moves_money
from bot.testing.bitget import StrictBitget
from bot.testing.bitopro import StrictBitoPro
from bot.testing.bitrue import StrictBitrue
from bot.testing.btcc import StrictBTCC
from bot.testing.strict import StrictServer
from bot.trading.connect import Connected, KeyRefused, connect
from tests.e2e import test_bitopro, test_bitrue
from tests.e2e.btcc.conftest import KEY as BTCC_KEY
from tests.e2e.conftest import KEY

MONEY = {"USDT": Decimal(100)}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def bitget(mode: str, **rights: Any) -> Callable[[], Any]:
    def make() -> StrictBitget:
        exchange = StrictBitget(mode=mode)  # type: ignore[arg-type]
        exchange.add_account(**KEY, balances=MONEY, **rights)
        return exchange

    return make


def bitrue(*, can_withdraw: bool) -> Callable[[], Any]:
    def make() -> StrictBitrue:
        exchange = StrictBitrue(clock=now_ms)
        account = exchange.add_account(**test_bitrue.KEY, balances=MONEY)
        account.flags = (True, can_withdraw)
        return exchange

    return make


def bitopro() -> StrictBitoPro:
    exchange = StrictBitoPro(clock=now_ms)
    exchange.add_account(**test_bitopro.KEY, balances={"TWD": Decimal(1000)})
    return exchange


def btcc() -> StrictBTCC:
    exchange = StrictBTCC(clock=now_ms)
    exchange.add_account(*BTCC_KEY.values(), balances=MONEY)
    return exchange


@dataclass
class Case:
    """An exchange with one key, and what becomes of it: without a look, and after one."""

    exchange: str
    make: Callable[[], Any]
    fields: dict[str, str]
    at_first: str
    after_a_look: str


LOCKED, UNSURE = "🔒 cannot withdraw", "⚠ withdraw right not verified"
CASES = {
    "bitget classic": Case("bitget", bitget("classic"), KEY, LOCKED, LOCKED),
    "bitget classic, may withdraw": Case(
        "bitget", bitget("classic", authorities=["stow", "wwow"]), KEY, "CAN_WITHDRAW", "CAN_WITHDRAW"
    ),
    "bitget unified": Case("bitget", bitget("unified"), KEY, LOCKED, LOCKED),
    "bitget unified, may withdraw": Case(
        "bitget",
        bitget("unified", permissions=["uta_mgt", "uta_trade", "withdraw"]),
        KEY,
        "CAN_WITHDRAW",
        "CAN_WITHDRAW",
    ),
    "bitrue": Case("bitrue", bitrue(can_withdraw=False), test_bitrue.KEY, LOCKED, LOCKED),
    "bitrue, withdrawals reported": Case("bitrue", bitrue(can_withdraw=True), test_bitrue.KEY, "MAY_WITHDRAW", UNSURE),
    "bitopro": Case("bitopro", bitopro, test_bitopro.KEY, UNSURE, UNSURE),
    "btcc": Case("btcc", btcc, BTCC_KEY, LOCKED, LOCKED),
}


async def verdict(case: Case, directory: Path, *, has_looked: bool) -> tuple[str, int]:
    """Connect the key; return its badge, or the code of the refusal, and how many fields are stored."""
    directory.mkdir()  # noqa: ASYNC240
    create_master_key(directory / "master.key")
    async with StrictServer(case.make()) as strict:
        others = {name: {"enabled": False} for name in ("bitget", "bitrue", "bitopro", "btcc")}
        settings = Settings.model_validate(
            {
                "access": {"owner": 1},
                "storage": {"directory": directory / "data"},
                "vault": {"key_file": directory / "master.key"},
                "exchanges": {**others, case.exchange: {"base_url": strict.url}},
            }
        )
        it = open_instance(settings)
        try:
            done: Connected = await connect(
                it.gateway, it.store, it.vault, it.clock,
                user_id=1, exchange_id=case.exchange, label=None, fields=case.fields, has_looked=has_looked,
            )  # fmt: skip
            told = badge(done.account, it.clock.now_ms())
        except KeyRefused as refused:
            told = refused.code
        finally:
            count = "SELECT count(*) FROM credentials"
            stored = it.store.transact(lambda db: db.execute(count).fetchone()[0])
            await it.close()
    return told, stored


@pytest.mark.network
@pytest.mark.parametrize("name", CASES)
async def test_key_is_refused_asked_about_or_marked_as_its_exchange_allows(name: str, tmp_path: Path) -> None:
    """S13: proved is refused, hinted at is asked about, not told keeps a mark; what is refused is not stored."""
    case = CASES[name]
    found = [await verdict(case, tmp_path / str(has_looked), has_looked=has_looked) for has_looked in (False, True)]
    kept = {"CAN_WITHDRAW": 0, "MAY_WITHDRAW": 0}
    expected = [(told, kept.get(told, len(case.fields))) for told in (case.at_first, case.after_a_look)]
    assert found == expected


@pytest.mark.parametrize("plugin", [tradewire_bitget, tradewire_bitrue, tradewire_bitopro, tradewire_btcc])
def test_no_plugin_can_reach_a_path_that_moves_money(plugin: Any) -> None:
    """S13: of what a plugin may ask for, nothing withdraws or transfers; the check sees the real paths of both."""
    assert [path for path in plugin.exchange_info().paths if moves_money(path)] == []
    assert moves_money("POST /api/v2/spot/wallet/withdrawal")
    assert moves_money("POST /api/v2/spot/wallet/transfer")
