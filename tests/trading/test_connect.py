from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bot import (
    Account,
    AuthFailed,
    Balance,
    Capabilities,
    Credentials,
    ExchangeError,
    ExchangeInfo,
    Flow,
    KeyPermissions,
    Market,
    NotSent,
    OutcomeUnknown,
    Request,
    Response,
    UserError,
    hookimpl,
)
from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.exchanges.transport import Transport
from bot.store.database import Store
from bot.trading import journal
from bot.trading.connect import KeyRefused, connect, with_keys
from bot.trading.gateway import Exchange, Gateway
from bot.trading.selftest import Step, check_key

FIELDS = {"key": "canary-key-0123456789", "secret": "canary-secret-0123456789"}
RIGHTS = {"can_read": "yes", "can_trade": "yes", "can_withdraw": "no", "is_ip_bound": "yes"}
NOW_MS = 1_700_000_000_000


class FakeClock:
    """Time stands still."""

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


class Acme:
    """An exchange whose plugin does no more than its replies."""

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        can = Capabilities(key_report=True)
        return ExchangeInfo(
            id="acme", title="Acme", hosts={"api": "https://acme.example"}, paths=("GET /*",), capabilities=can
        )

    @hookimpl
    def sign(self, request: Request, credentials: Credentials) -> Request:
        return request.with_headers({"acme-key": credentials.key.reveal(), "acme-sign": credentials.secret.reveal()})

    @hookimpl
    def map_error(self, response: Response) -> ExchangeError | None:
        remedy = "Copy the key again."
        return AuthFailed("the signature is wrong", remedy=remedy) if response.status == 401 else None

    @hookimpl
    def server_time(self) -> Flow[int]:
        return int((yield Request.get("/time", auth="none")).json())

    @hookimpl
    def balances(self) -> Flow[list[Balance]]:
        reply = yield Request.get("/balances")
        return [Balance(asset, 1, 0) for asset in reply.json()]  # type: ignore[arg-type]

    @hookimpl
    def key_permissions(self) -> Flow[KeyPermissions]:
        return KeyPermissions(**(yield Request.get("/rights")).json())

    @hookimpl
    def detect(self, account: Account) -> Flow[Mapping[str, str]]:
        yield Request.get("/mode")
        return {"mode": "spot"}

    @hookimpl
    def markets(self) -> Flow[list[Market]]:
        raise NotImplementedError

    @hookimpl
    def ticker(self) -> None:
        raise NotImplementedError

    @hookimpl
    def place_order(self) -> None:
        raise NotImplementedError


class FakeWire:
    """Answers by path; an exception is raised, a number is an HTTP status without a body."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "/time": NOW_MS + 38,
            "/mode": {},
            "/balances": ["BTC", "USDT"],
            "/rights": RIGHTS,
        }
        self.sent: list[Request] = []

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        self.sent.append(request)
        answer = self.answers[request.path]
        if isinstance(answer, BaseException):
            raise answer
        return Response(401 if answer == 401 else 200, {}, json.dumps(answer).encode())

    async def close(self) -> None:
        pass


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "tradewire.db")
    store.transact(journal.install_law)
    yield store
    store.close()


@pytest.fixture
def vault(store: Store) -> Vault:
    return Vault(store, MasterKey(bytes(range(32))), lambda _: None)


@pytest.fixture
def gateway(store: Store, vault: Vault, wire: FakeWire) -> Gateway:
    acme = registry.register(Plugin("acme", Acme()))
    clock = FakeClock()
    return Gateway(store, vault, clock, {"acme": Exchange(acme, Transport(acme.info, acme.hook, wire, clock))})


@pytest.fixture
def connecting(gateway: Gateway, store: Store, vault: Vault) -> Any:
    """`connect` with everything but what a test changes."""

    def start(**changes: Any) -> Any:
        choices = {"user_id": 7, "owner": 7, "exchange_id": "acme", "label": None, "fields": FIELDS, **changes}
        return connect(gateway, store, vault, FakeClock(), **choices)

    return start


def rows(store: Store) -> dict[str, int]:
    """Return how many rows there are of each kind that `connect` makes."""
    tables = ("users", "accounts", "credentials", "data_keys")
    return store.transact(
        lambda db: {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    )


NOTHING = {"users": 0, "accounts": 0, "credentials": 0, "data_keys": 0}


async def test_connect_good_key_is_stored_with_rights_and_facts(connecting: Any, store: Store, vault: Vault) -> None:
    """A key that the exchange accepts stays, sealed, with what is known of it; each step is told as it is done."""
    told: list[Step] = []
    connected = await connecting(
        fields={"key": f"  {FIELDS['key']}\n", "secret": f"\u200b{FIELDS['secret']} "}, on_step=told.append
    )
    assert connected.account == AccountRow(
        id=1,
        user_id=7,
        exchange="acme",
        label="main",
        paper=False,
        facts={"mode": "spot"},
        options={},
        rights={**RIGHTS, "expires_ms": None, "note": "", "withdraw_hint": ""},
        created_ms=NOW_MS,
    )
    assert (
        connected.steps
        == tuple(told)
        == (
            Step("clock", "ok", "+38 ms"),
            Step("signature", "ok", "accepted"),
            Step("read", "ok", "2 assets"),
            Step("trade", "ok", "allowed; no order was sent to try it"),
            Step("withdraw", "ok", "verified: the key cannot withdraw"),
            Step("IP", "ok", "bound to addresses"),
        )
    )
    opened = vault.open(1)
    assert {"key": opened.key.reveal(), "secret": opened.secret.reveal()} == FIELDS


@pytest.mark.parametrize(
    ("path", "answer", "code", "sentence"),
    [
        (
            "/balances",
            401,
            "KEY_REFUSED",
            "Acme refuses the key: the signature is wrong. Copy the key again. Nothing was stored.",
        ),
        (
            "/mode",
            401,
            "KEY_REFUSED",
            "Acme refuses the key: the signature is wrong. Copy the key again. Nothing was stored.",
        ),
        (
            "/rights",
            {**RIGHTS, "can_withdraw": "yes"},
            "CAN_WITHDRAW",
            "This Acme key may withdraw money, which the bot never needs. Make a key without that right. "
            "Nothing was stored.",
        ),
    ],
)
async def test_connect_key_proved_unfit_leaves_nothing(
    connecting: Any, store: Store, wire: FakeWire, path: str, answer: Any, code: str, sentence: str
) -> None:
    """A wrong key, or one that may withdraw, leaves no account, no key, and does not make its owner a known person."""
    wire.answers[path] = answer
    with pytest.raises(KeyRefused) as caught:
        await connecting()
    refused = caught.value
    assert (refused.code, str(refused)) == (code, sentence)
    assert [step.mark for step in refused.steps].count("failed") == 1
    assert rows(store) == NOTHING


async def test_connect_key_that_might_withdraw_is_kept_only_after_a_look(
    connecting: Any, store: Store, wire: FakeWire
) -> None:
    """A hint is no proof: nothing is stored until the owner looked, and then the log says that they did."""
    wire.answers["/rights"] = {**RIGHTS, "can_withdraw": "unknown", "withdraw_hint": "It may withdraw."}
    with pytest.raises(KeyRefused) as caught:
        await connecting()
    assert (caught.value.code, str(caught.value)) == ("MAY_WITHDRAW", "It may withdraw. Nothing was stored.")
    assert rows(store) == NOTHING
    connected = await connecting(has_looked=True)
    assert Step("withdraw", "warning", "It may withdraw.", "MAY_WITHDRAW") in connected.steps
    query = "SELECT kind, detail FROM events"
    assert store.transact(lambda db: [tuple(row) for row in db.execute(query)]) == [
        ("key added", '{"account":2,"exchange":"acme","looked":true}')
    ]


async def test_connect_key_proved_able_to_withdraw_is_refused_whoever_looked(
    connecting: Any, store: Store, wire: FakeWire
) -> None:
    """Having looked excuses a hint, not a proof."""
    wire.answers["/rights"] = {**RIGHTS, "can_withdraw": "yes", "withdraw_hint": "It may withdraw."}
    with pytest.raises(KeyRefused) as caught:
        await connecting(has_looked=True)
    assert (caught.value.code, rows(store)) == ("CAN_WITHDRAW", NOTHING)


async def test_connect_refused_leaves_what_the_person_had(connecting: Any, store: Store, wire: FakeWire) -> None:
    """A refused second key takes nothing of the first one with it."""
    await connecting()
    before = rows(store)
    wire.answers["/balances"] = 401
    with pytest.raises(KeyRefused):
        await connecting()
    assert rows(store) == before == {"users": 1, "accounts": 1, "credentials": 2, "data_keys": 1}


async def test_connect_interrupted_leaves_nothing(connecting: Any, store: Store, wire: FakeWire) -> None:
    """Whatever ends the check, a key that was not judged does not stay."""
    wire.answers["/balances"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        await connecting()
    assert rows(store) == NOTHING


@pytest.mark.parametrize("failure", [NotSent("Acme cannot be reached"), OutcomeUnknown("Acme did not answer")])
async def test_connect_exchange_unreachable_keeps_the_key_unverified(
    connecting: Any, store: Store, wire: FakeWire, failure: ExchangeError
) -> None:
    """No answer proves nothing: the key stays, and what could not be checked is told."""
    wire.answers = dict.fromkeys(wire.answers, failure)
    connected = await connecting()
    assert connected.steps == (
        Step("clock", "unknown", "Acme did not tell its time"),
        Step("signature", "failed", f"cannot be checked now: {failure}. Test the key again in a few minutes."),
    )
    assert not connected.is_verified
    assert connected.account.rights == {}
    assert rows(store) == {"users": 1, "accounts": 1, "credentials": 2, "data_keys": 1}


@pytest.mark.parametrize("answer", [401, OutcomeUnknown("no answer")])
async def test_connect_rights_not_told_says_so_and_keeps_the_key(connecting: Any, wire: FakeWire, answer: Any) -> None:
    """A key that reads balances but not its own rights is good; its right to withdraw is called unverified."""
    wire.answers["/rights"] = answer
    connected = await connecting()
    assert [(step.name, step.mark) for step in connected.steps[-2:]] == [("trade", "unknown"), ("withdraw", "unknown")]


async def test_connect_rights_partly_known_marks_each(connecting: Any, wire: FakeWire) -> None:
    """Each verdict has its own mark: a missing right warns, an untold one is unknown, a note is passed on."""
    wire.answers["/rights"] = {
        "can_trade": "no",
        "is_ip_bound": "no",
        "note": "The key may move money between accounts.",
    }
    wire.answers["/time"] = NOW_MS - 5000
    connected = await connecting()
    assert [(step.name, step.mark) for step in connected.steps] == [
        ("clock", "warning"),
        ("signature", "ok"),
        ("read", "ok"),
        ("trade", "warning"),
        ("withdraw", "unknown"),
        ("IP", "warning"),
        ("note", "warning"),
    ]


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"fields": {"key": "a"}}, "FIELDS", "secret is missing. Acme needs key, secret."),
        ({"fields": {"key": "a", "secret": " \n"}}, "FIELDS", "secret is missing. Acme needs key, secret."),
        (
            {"fields": {**FIELDS, "passphrase": "x"}},
            "FIELDS",
            "Acme has no field passphrase. Its fields are key, secret.",
        ),
        (
            {"fields": {"key": "one\ntwo", "secret": "s"}},
            "FIELDS",
            "The key has a character that no key has, such as a line break. Copy it again.",
        ),
        ({"options": {"demo": "1"}}, "NO_DEMO", "Acme has no demo mode. Leave it out."),
        (
            {"exchange_id": "acme:paper"},
            "NO_EXCHANGE",
            "A paper account has no keys. Connect the exchange itself.",
        ),
        (
            {"label": "my key"},
            "LABEL_INVALID",
            "An account's name has 1 to 20 letters a-z, digits, _ or -. Choose another name.",
        ),
    ],
)
async def test_connect_bad_input_asks_nobody_and_stores_nothing(
    connecting: Any, store: Store, wire: FakeWire, changes: dict[str, Any], code: str, sentence: str
) -> None:
    """Input that cannot be right is refused before anything is stored or sent."""
    with pytest.raises(UserError) as caught:
        await connecting(**changes)
    assert (caught.value.code, str(caught.value)) == (code, sentence)
    assert (rows(store), wire.sent) == (NOTHING, [])


async def test_check_key_paper_account_asks_the_real_exchange(
    connecting: Any, gateway: Gateway, store: Store, wire: FakeWire
) -> None:
    """Paper trading does not hide what became of the key: rights are asked for again, and kept."""
    account = (await connecting()).account
    store.transact(lambda db: people.set_paper(db, account.id, on=True))
    wire.answers["/rights"] = {**RIGHTS, "can_withdraw": "yes"}
    steps = await check_key(gateway, store, replace(account, paper=True))
    kept = store.transact(with_keys)
    assert [step.name for step in steps if step.mark == "failed"] == ["withdraw"]
    assert [row.rights["can_withdraw"] for row in kept] == ["yes"]


async def test_with_keys_lists_accounts_that_have_them(connecting: Any, store: Store) -> None:
    """A paper account without a key and a removed account are not among those with keys."""
    await connecting(user_id=9)
    await connecting(user_id=8)
    removed = (await connecting(user_id=8)).account
    store.transact(lambda db: people.add_account(db, 8, "acme", "paper", 0, paper=True))
    store.transact(lambda db: people.remove_account(db, removed.id, 0))
    found = store.transact(with_keys)
    assert [(account.user_id, account.label) for account in found] == [(8, "main"), (9, "main")]
