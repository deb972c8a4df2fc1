"""The book: it is whole, its grammar is the parser's, and its first order is what the bot says."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot import UserError
from bot.chat.parse import parse_order
from bot.cli.demo import ANN, running
from bot.local.telegram import LocalTelegram
from bot.trading.intent import Amount, Fixed, Intent, Maximum, Offset, Percent, Reference
from tests.test_operate import is_as_written

DOCS = Path(__file__).parents[1] / "docs"
ONE = Intent("buy", "BTC/USDT", Amount(Decimal(1), None))
AT = replace(ONE, price=Fixed(Decimal(60000)))
MEANINGS = {
    "btc/usdt 0.1": replace(ONE, size=Amount(Decimal("0.1"), None)),
    "btc/usdt 0.1btc": replace(ONE, size=Amount(Decimal("0.1"), "BTC")),
    "btc/usdt $250": replace(ONE, size=Amount(Decimal(250), "$")),
    "btc/usdt 250usdt": replace(ONE, size=Amount(Decimal(250), "USDT")),
    "btc/usdt 25%": replace(ONE, size=Percent(Decimal(25))),
    "btc/usdt max": replace(ONE, size=Maximum()),
    "BTC/USDT 1": ONE,
    "btc-usdt 1": ONE,
    "btc_usdt 1": ONE,
    "btc usdt 1": ONE,
    "btcusdt 1": replace(ONE, pair="BTCUSDT"),
    "btc 1": replace(ONE, pair="BTC"),
    "btc/usdt 1": ONE,
    "btc/usdt 1 @ 60000": AT,
    "btc/usdt 1 @ 60k": AT,
    "btc/usdt 1 at 60,000.50": replace(ONE, price=Fixed(Decimal("60000.50"))),
    "btc/usdt 1 @ -2%": replace(ONE, price=Offset(Decimal(-2))),
    "btc/usdt 1 @ +2%": replace(ONE, price=Offset(Decimal(2))),
    "btc/usdt 1 @ bid": replace(ONE, price=Reference("bid")),
    "btc/usdt 1 stop 59000": replace(ONE, stop=Fixed(Decimal(59000))),
    "btc/usdt 1 stop 59000 @ 58900": replace(ONE, stop=Fixed(Decimal(59000)), price=Fixed(Decimal(58900))),
    "btc/usdt 1 @ 60000 post": replace(AT, post_only=True),
    "btc/usdt 1 @ 60000 ioc": replace(AT, time_in_force="IOC"),
    "btc/usdt 1 @ 60000 fok": replace(AT, time_in_force="FOK"),
    "btc/usdt 1 on main2": replace(ONE, account="main2"),
    'btc/usdt 1 note "first try"': replace(ONE, note="first try"),
}


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(page: str) -> list[tuple[str, str]]:
    """The rows of a page's tables that begin with something typed."""
    return re.findall(r"^\| `([^`]+)` \| (.+) \|$", page, flags=re.MULTILINE)


def conf() -> Any:
    """The book's configuration, which needs no Sphinx to be read."""
    spec = importlib.util.spec_from_file_location("docs_conf", DOCS / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_book_has_every_page_once() -> None:
    """No page is outside the book, and the one-file book has the text of each."""
    book: Any = conf()
    assert sorted(book.pages()) == sorted(DOCS.rglob("*.md"))
    whole = book.whole()
    assert [page for page in book.pages() if page.read_text(encoding="utf-8") not in whole] == []
    assert whole.count("<!-- docs/") == len(book.pages())


def test_index_links_every_page_of_its_own_folder() -> None:
    """A reader finds without the sidebar what the sidebar has."""
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", text("index.md")))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"index.md"}


def test_grammar_page_means_what_the_parser_reads() -> None:
    """Each example is read as the whole intent that its row describes, and no row is untested."""
    accepted = text("grammar.md").partition("## What is refused")[0]
    assert {typed: parse_order("buy", typed) for typed, _ in rows(accepted)} == MEANINGS


def test_grammar_page_refuses_in_the_parsers_words() -> None:
    """Each refused example is answered as the page says."""
    refused = rows(text("grammar.md").partition("## What is refused")[2])
    assert len(refused) == 5
    for typed, answer in refused:
        with pytest.raises(UserError) as caught:
            parse_order("buy", typed)
        assert str(caught.value).startswith(answer)


def story() -> list[tuple[str, str]]:
    """What is written or pressed on the page of the first order, and the answer shown there."""
    blocks = re.findall(r"^```text\n> ([^\n]+)\n(.*?)^```", text("first-order.md"), flags=re.DOTALL | re.MULTILINE)
    return [(mine, answer.rstrip()) for mine, answer in blocks]


@pytest.mark.network
async def test_first_order_page_is_what_the_demo_answers(tmp_path: Path) -> None:
    """The whole story is told to a real bot, and each of its answers is what the page shows."""
    told = story()
    assert len(told) == 9
    async with running(tmp_path) as demo:
        for mine, written in told:
            if mine.startswith("["):
                asked = demo.telegram.last(ANN).id - 1
                demo.telegram.press(ANN, ANN, demo.telegram.last(ANN).id, mine.strip("[]"))
            else:
                asked = demo.telegram.say(ANN, ANN, mine).id

            def answered(telegram: LocalTelegram, after: int = asked, written: str = written) -> bool:
                answers = [each.text for each in telegram.messages(ANN) if each.id > after and each.sender.is_bot]
                return any(is_as_written(answer, written) for answer in answers)

            await demo.telegram.wait(answered, 20)
