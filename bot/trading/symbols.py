"""From a pair as people type it to a market that exists. No I/O."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from bot.contract.errors import UserError
from bot.contract.models import Market

PREFERRED_QUOTES = ("USDT", "USDC", "TWD", "USD")
"""What a lone asset is taken to be priced in, best first."""

_SHOWN = 4
_LONGEST = 30


class Symbols:
    """The markets of one exchange by every spelling. Build it once for a list of markets."""

    def __init__(self, markets: Iterable[Market]) -> None:
        self._by_symbol: dict[str, Market] = {}
        self._by_letters: dict[str, list[Market]] = defaultdict(list)
        self._by_base: dict[str, list[Market]] = defaultdict(list)
        self._reversed: dict[str, Market] = {}
        for market in sorted(markets, key=_preference):
            self._by_symbol[market.symbol] = market
            self._by_letters[market.base + market.quote].append(market)
            self._by_base[market.base].append(market)
            self._reversed[market.quote + market.base] = market

    def __iter__(self) -> Iterator[Market]:
        return iter(self._by_symbol.values())

    def get(self, symbol: str) -> Market | None:
        """Return the market called exactly `symbol`, halted or not."""
        return self._by_symbol.get(symbol)

    def resolve(self, text: str) -> Market:
        """Return the one open market that `text` means: `BTC/USDT`, `btcusdt`, `btc-usdt`, `btc_usdt` or `btc`.

        Raises:
            UserError: `UNKNOWN_PAIR`, `AMBIGUOUS_PAIR` or `MARKET_HALTED`; the text names what would work.
        """
        found = _online_or_all(self._spelled(text)) or self._priced(_letters(text))
        if not found:
            raise UserError(self._unknown(text), code="UNKNOWN_PAIR")
        if found[0].status != "online":
            raise UserError(f"{found[0].symbol} is halted: it takes no orders now.", code="MARKET_HALTED")
        if len(found) > 1:
            choices = _either([market.symbol for market in found[:_SHOWN]])
            raise UserError(f"Which pair do you mean: {choices}?", code="AMBIGUOUS_PAIR")
        return found[0]

    def suggest(self, text: str) -> tuple[str, ...]:
        """Return up to four symbols that `text` may have meant, best first."""
        letters = _letters(text)
        exact = [*self._by_letters.get(letters, ()), *self._by_base.get(letters, ())]
        if letters in self._reversed:
            exact.append(self._reversed[letters])
        if not exact and len(letters) <= _LONGEST:
            names = self._by_letters | self._by_base
            exact = [names[name][0] for name in get_close_matches(letters, names, n=_SHOWN)]
        return tuple(dict.fromkeys(market.symbol for market in exact))[:_SHOWN]

    def _spelled(self, text: str) -> list[Market]:
        symbol = "/".join(re.findall(r"[^\s/_:-]+", text.upper()))
        if symbol in self._by_symbol:
            return [self._by_symbol[symbol]]
        return self._by_letters.get(symbol, [])  # A/BC and AB/C share their letters, so only without a separator

    def _priced(self, asset: str) -> list[Market]:
        markets = _online_or_all(self._by_base.get(asset, []))
        return [market for market in markets if market.quote in PREFERRED_QUOTES] or markets

    def _unknown(self, text: str) -> str:
        shown = "".join(character for character in text if character.isalnum() or character in "/-_:")[:_LONGEST]
        suggested = self.suggest(text)
        hint = f"Did you mean {_either(suggested)}?" if suggested else "Write it like BTC/USDT."
        return f'There is no pair "{shown.upper()}" here. {hint}'


def _online_or_all(markets: list[Market]) -> list[Market]:
    return [market for market in markets if market.status == "online"] or markets


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.upper()))


def _preference(market: Market) -> tuple[int, str]:
    known = market.quote in PREFERRED_QUOTES
    return PREFERRED_QUOTES.index(market.quote) if known else len(PREFERRED_QUOTES), market.symbol


def _either(symbols: Iterable[str]) -> str:
    *first, last = symbols
    return f"{', '.join(first)} or {last}" if first else last
