"""/audit and /diag in chat: who sees what of the log, and what an exchange's support gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from telegram.request import RequestData

from bot import Account, OrderNotFound, OutcomeUnknown
from bot.accounts import people
from bot.contract.errors import UserError
from bot.exchanges import registry
from bot.trading import audit, events, support
from tests.chat.conftest import OWNER, Chat, new_chat
from tests.security.canaries import CANARIES, forget, leaked
from tests.security.test_fuzz_replies import EXCHANGES, order
from tests.trading.conftest import ANN, BOB, START_MS

RECORDED = {
    "role",
    "invited",
    "invitation taken back",
    "key added",
    "key replaced",
    "key removed",
    "limit changed",
    "halted",
    "resumed",
    "paper on",
    "paper off",
    "forgotten",
    "restored",
}


@pytest.fixture
async def chat(tmp_path: Path) -> Any:
    """A bot with all commands."""
    found = await new_chat(tmp_path)
    yield found
    await found.room.close()


async def form_of(chat: Chat, number: int) -> str:
    """Ask for an order's form and return the file that Telegram got."""
    files: list[bytes] = []
    answer = chat.telegram.do_request

    async def keep(url: str, method: str, request_data: RequestData | None = None, *rest: Any, **more: Any) -> Any:
        if url.endswith("/sendDocument") and request_data is not None:
            files.extend(content for _, content, _ in (request_data.multipart_data or {}).values())
        return await answer(url, method, request_data, *rest, **more)

    chat.telegram.do_request = keep  # type: ignore[method-assign]
    await chat.say(f"/diag {number}")
    chat.telegram.do_request = answer  # type: ignore[method-assign]
    (content,) = files
    return content.decode()


def note(chat: Chat, kind: str, user_id: int | None = None, **detail: Any) -> None:
    chat.room.store.transact(lambda db: events.record(db, kind=kind, detail=detail, now_ms=START_MS, user_id=user_id))


# /audit


async def test_audit_shows_the_newest_first_and_that_the_log_is_whole(chat: Chat) -> None:
    """Number, time, person, what happened; of an order only that something did."""
    await chat.room.placed()
    note(chat, "role", BOB, role="trader", was="viewer", by="1")
    (told,) = await chat.say("/audit", user_id=OWNER)
    lines = told.splitlines()
    assert lines[0] == "Events · times are UTC"
    assert lines[1].endswith(f" · {BOB} · role: by 1, role trader, was viewer")
    assert [line.split(" · ")[-1] for line in lines[2:-2]] == [
        "order #1 open",
        "order #1 sending",
        "order #1 proposed",
    ]
    assert lines[-1] == "The log is whole: 4 events, each bound to the one before."
    assert "BTC" not in told
    assert "58000" not in told


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ("", ["c", "b", "a"]),
        ("2", ["c", "b"]),
        ("1002", ["b"]),
        ("1002 5", ["b"]),
        ("1001 1", ["c"]),
        ("0 2", ["c", "b"]),
        ("999999", []),
    ],
)
async def test_audit_chooses_by_person_and_number(chat: Chat, words: str, kinds: list[str]) -> None:
    """One number is a person, unless it is small; the second is how many."""
    for kind, user_id in (("a", ANN), ("b", BOB), ("c", ANN)):
        note(chat, kind, user_id)
    (told,) = await chat.say(f"/audit {words}", user_id=OWNER)
    assert [line[-1] for line in told.splitlines()[1:-2] if line != "None."] == kinds


@pytest.mark.parametrize("words", ["x", "1 2 3", "-1", "\u0661", "1; DROP TABLE events"])
async def test_audit_other_words_are_explained(chat: Chat, words: str) -> None:
    (told,) = await chat.say(f"/audit {words}", user_id=OWNER)
    assert told.startswith("✖ Not done\nWrite a person's id, how many events, or both: /audit 123456789 20.")


async def test_audit_changed_log_is_said_loudly(chat: Chat) -> None:
    """The first event that is not as written is named, with what to do."""
    for kind in "abc":
        note(chat, kind)
    chat.room.sql("UPDATE events SET kind = 'x' WHERE id = 2")
    (told,) = await chat.say("/audit", user_id=OWNER)
    assert "⚠ The log was changed. Event 2 is not as it was written, or missing." in told
    assert "is whole" not in told


async def test_audit_is_for_administrators(chat: Chat) -> None:
    note(chat, "halt", OWNER)
    (told,) = await chat.say("/audit", user_id=ANN)
    assert "halt" not in told


async def test_audit_of_a_person_has_the_events_of_their_orders(chat: Chat) -> None:
    """Also those that name no person, such as a look that missed the order."""
    row = await chat.room.placed()
    store = chat.room.store
    store.transact(lambda db: events.record(db, kind="not found", detail={}, now_ms=1, order_id=row.id))
    (found,) = store.transact(lambda db: audit.recent(db, 1, user_id=ANN))
    assert (found.kind, found.user_id, found.order_id) == ("not found", ANN, row.id)


async def test_switch_between_paper_and_money_is_on_record(chat: Chat) -> None:
    """When an account's orders began to cost something, and who said so."""
    await chat.say("/paper on main")
    await chat.say("/paper off main")
    found = chat.room.store.transact(lambda db: audit.recent(db, 9, user_id=ANN))
    assert [(each.kind, each.user_id, dict(each.detail)) for each in found] == [
        ("paper off", ANN, {"account": chat.room.account.id}),
        ("paper on", ANN, {"account": chat.room.account.id}),
    ]


def test_what_moves_risk_or_rights_is_recorded_somewhere() -> None:
    """Every such change has a place in the code that writes its event."""
    source = "\n".join(path.read_text() for path in (Path(__file__).parents[2] / "bot").rglob("*.py"))
    written = set(re.findall(r'(?:kind=|kind = |_[A-Z]+ = |else )"([a-z ]+)"', source))
    assert RECORDED - written == set()


# /diag


async def test_diag_fills_in_the_seven_items(chat: Chat) -> None:
    """What was sent, as it was sent before signing; ids, times, and what the exchange answered."""
    row = await chat.room.placed("refuse")
    text = await form_of(chat, row.id)
    titles = [
        line.partition(". ")[2] for line in text.splitlines() if line[:2] in {f"{number}." for number in range(1, 8)}
    ]
    assert titles == [
        "Description",
        "UID and order id",
        "Full request URL",
        "Parameters (JSON)",
        "Response (JSON)",
        "When, and how often",
        "String before signing",
    ]
    body = {
        "client_id": row.client_order_id,
        "symbol": "BTCUSDT",
        "side": "buy",
        "type": "limit",
        "quantity": "0.500000",
        "price": "58000.00",
    }
    assert f"4. Parameters (JSON)\n{json.dumps(body, indent=2)}\n" in text
    assert "3. Full request URL\nPOST https://api.acme.example/place\n" in text
    answer = {"code": "POOR", "status": "400", "words": "Acme says POOR"}
    assert f"5. Response (JSON)\n{json.dumps(answer, indent=2)}\n" in text
    assert "Its state here is rejected.\nThe reason: Acme says POOR" in text
    assert f"Client order id: {row.client_order_id}\n" in text
    assert "Sent once, 2026-09-21 14:13:20.000. The bot never sends an order again." in text


async def test_diag_holds_no_key_and_no_text_before_signing(chat: Chat) -> None:
    """Neither the account's keys nor what signing adds is there; that is said, and why."""
    row = await chat.room.placed()
    text = await form_of(chat, row.id)
    assert [word for word in ("the-key", "the-secret", '"key"') if word in text] == []
    assert "Left out on purpose." in text
    assert "Accepted, with the order id x1." in text


async def test_diag_words_of_an_exchange_that_repeat_a_secret_are_hidden(chat: Chat, monkeypatch: Any) -> None:
    """An exchange that repeats what it was sent does not get it into the form."""
    secret = CANARIES["api secret"]
    forget(monkeypatch.setattr)
    support.redactor.register(secret)
    row = await chat.room.placed()
    case = support.Case(row, [(1, "rejected", {"answer": {"words": f"bad {secret}"}})])
    info = chat.room.plugin.info
    text = support.form(case, info, None)
    assert (leaked(text), "bad ‹secret›" in text) == ([], True)


@pytest.mark.parametrize("words", ["", "x", "1 2", "#", "1" * 16, "\u0661"])
async def test_diag_without_a_number_asks_for_one(chat: Chat, words: str) -> None:
    (told,) = await chat.say(f"/diag {words}")
    assert told == "✖ Not done\nWhich order? Write its number, such as /diag 42. /orders lists the open ones."


async def test_diag_of_anothers_order_is_as_if_there_were_none(chat: Chat) -> None:
    """Not yours and not there have one text, and no file."""
    row = await chat.room.placed()
    told = [await chat.say(f"/diag {number}", user_id=BOB) for number in (row.id, 99)]
    assert [text.replace("99", str(row.id)) for (text,) in told] == [told[0][0]] * 2
    assert chat.telegram.named("sendDocument") == []


async def test_diag_of_an_order_that_never_left_says_so(chat: Chat) -> None:
    row = await chat.room.propose()
    (told,) = await chat.say(f"/diag {row.id}")
    assert f"Order #{row.id} was never sent: the exchange does not know it." in told


async def test_case_of_a_paper_order_is_refused(chat: Chat) -> None:
    """No exchange's support can help with it."""
    room = chat.room
    room.store.transact(lambda db: people.set_paper(db, room.account.id, on=True))
    account = room.store.transact(lambda db: people.get_account(db, room.account.id))
    row = await room.propose(account=account)
    with pytest.raises(UserError, match="was on paper: no exchange knows it"):
        room.store.transact(lambda db: support.case(db, row.id, ANN))


async def test_request_of_a_plugin_that_fails_leaves_a_gap(chat: Chat, monkeypatch: Any) -> None:
    """A form without address and parameters is better than none."""
    row = await chat.room.placed()
    registered = chat.room.gateway.named("acme").registered
    broken = registry.Registered(registered.info, registered.hook, registry.Plugin("acme", object()), registered.hooks)
    assert support.request_of(broken, None, row) is None  # type: ignore[arg-type]
    text = support.form(support.Case(row, []), registered.info, None)
    assert "3. Full request URL\nnot known to the bot\n\n4. Parameters (JSON)\nnot known to the bot\n" in text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OrderNotFound("no", code="7", status=404, detail="its words"),
            {"code": "7", "status": "404", "words": "its words"},
        ),
        (OutcomeUnknown("Acme did not answer"), {"words": "Acme did not answer"}),
        (OutcomeUnknown("x", detail="y" * 5000), {"words": "y" * 1000}),
        (ZeroDivisionError("inside"), {}),
    ],
)
def test_answer_is_what_the_exchange_said(error: Exception, said: dict[str, str]) -> None:
    """Its code, status and words, cut short; nothing of an error of our own."""
    assert support.answer_of(error) == said


@pytest.mark.parametrize(
    ("exchange", "place"),
    [
        ("bitget", "/api/v2/spot/trade/place-order"),
        ("bitopro", "/v3/orders/btc_usdt"),
        ("bitrue", "/api/v1/order"),
        ("btcc", "/btcc_api_trade/order/limit"),
    ],
)
def test_request_of_each_plugin_is_described_before_it_is_signed(exchange: str, place: str) -> None:
    """The four plugins make their order again, without a key and without a signature."""
    found = EXCHANGES[exchange]
    row: Any = SimpleNamespace(order=order(exchange), client_order_id="1234567")
    request = support.request_of(found, Account(1, "main"), row)
    assert request is not None
    assert (request.method, request.path, request.places) == ("POST", place, True)
    shown = f"{request.query_text} {request.json} {dict(request.headers)}".lower()
    assert [word for word in ("sign", "secret", "passphrase", "api_key", "apikey", "access-key") if word in shown] == []
    assert "1234567" in shown
