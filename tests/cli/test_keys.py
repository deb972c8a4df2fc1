from __future__ import annotations

import json
from typing import Any

import pytest

from bot import NotSent
from bot.accounts import people
from bot.accounts.vault import Vault, load_master_key
from bot.store.database import DirectoryLock, Store

KEY = {"key": "canary-key-0123456789abcdef", "secret": "canary-secret-0123456789abcdef"}
NOT_JSON = "Error: Expected one JSON object of texts with the fields key, secret on stdin.\n"
ADD = ("keys", "add", "--exchange", "acme")


@pytest.fixture(autouse=True)
def configured(installation: Any) -> None:
    installation.configure()


def add(installation: Any, *words: str, fields: Any = KEY) -> Any:
    return installation.run(*ADD, "--stdin", *words, stdin=json.dumps(fields))


def stored(installation: Any) -> dict[str, str]:
    """Return the credentials of account 1, opened."""
    store = Store(installation.database)
    try:
        opened = Vault(store, load_master_key(installation.master_key), lambda _: None).open(1)
    finally:
        store.close()
    return {"key": opened.key.reveal(), "secret": opened.secret.reveal()}


def leaks(installation: Any, *outputs: str) -> list[str]:
    """Return the secrets that are in the outputs or in a file."""
    seen = "".join(outputs).encode() + installation.bytes_on_disk()
    return [value for value in KEY.values() if value.encode() in seen]


def test_add_from_stdin_stores_the_key_sealed(installation: Any) -> None:
    """A good key is stored for the owner by default, every step is printed, and no secret is seen anywhere."""
    result = add(installation, fields={name: f" {value}\n" for name, value in KEY.items()})
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "✓ clock: +38 ms",
        "✓ signature: accepted",
        "✓ read: 0 assets",
        "✓ trade: allowed; no order was sent to try it",
        "✓ withdraw: verified: the key cannot withdraw",
        "✓ IP: bound to addresses",
        "Acme·main of user 7 is stored.",
    ]
    assert stored(installation) == KEY
    assert leaks(installation, result.output) == []
    assert installation.database.stat().st_mode & 0o777 == 0o600


def test_add_prompting_hides_what_is_typed(installation: Any) -> None:
    """Without --stdin the fields are asked for, one by one, and not echoed."""
    result = installation.run(*ADD, stdin=f"{KEY['key']}\n{KEY['secret']}\n")
    assert result.exit_code == 0
    assert result.output.splitlines()[:3] == [
        "1 Make a key without the right to withdraw.",
        "API key: ",
        "API secret: ",
    ]
    assert stored(installation) == KEY
    assert leaks(installation, result.output) == []


def test_add_for_another_person_makes_their_row(installation: Any) -> None:
    """--user, --label and --demo are kept; an unknown person becomes known."""
    assert add(installation, "--user", "12", "--label", "Spot", "--demo").exit_code == 0
    store = Store(installation.database)
    account = store.transact(lambda db: people.get_account(db, 1))
    store.close()
    assert account is not None
    assert (account.user_id, account.label, account.options) == (12, "spot", {"demo": "1"})


def told(installation: Any, query: str) -> list[tuple[Any, ...]]:
    store = Store(installation.database)
    found = store.transact(lambda db: [tuple(row) for row in db.execute(query).fetchall()])
    store.close()
    return found


def test_add_for_a_stranger_makes_a_trader_and_says_so_in_the_log_and_to_the_owner(installation: Any) -> None:
    """Who comes in by a key comes in like others: one event of the chain, a word to the owner and to the person."""
    result = add(installation, "--user", "12")
    again = add(installation, "--user", "12")
    sentence = "User 12 was a stranger and may now use the bot as trader. To end that: tradewire users block 12"
    assert (result.stdout.splitlines()[-1], sentence in again.stdout) == (sentence, False)
    assert told(installation, "SELECT role FROM users WHERE id=12") == [("trader",)]
    assert told(installation, "SELECT user_id, detail FROM events WHERE kind='role'") == [
        (12, '{"by":"the server","key":true,"role":"trader","was":"stranger"}')
    ]
    notes = told(installation, "SELECT chat_id, json_extract(payload, '$.text') FROM outbox ORDER BY chat_id")
    assert notes == [
        (7, "12 may use the bot as trader. A key of theirs was added on the server."),
        (12, "You may now use this bot as trader. /help lists everything."),
    ]


def test_add_for_the_owner_gives_no_role_beside_that_of_the_configuration(installation: Any) -> None:
    """Named otherwise by the configuration tomorrow, the former owner may do nothing."""
    result = add(installation)
    assert ("stranger" in result.stdout, told(installation, "SELECT id, role FROM users")) == (False, [(7, "blocked")])
    assert told(installation, "SELECT kind FROM events") == [("key added",)]


def test_add_twice_takes_the_next_name(installation: Any) -> None:
    """Without --label the second account has a name of its own."""
    add(installation)
    assert add(installation).output.splitlines()[-1] == "Acme·main2 of user 7 is stored."


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        ("/balances", 401, "Error: Acme refuses the key: the signature is wrong. Copy the key again."),
        ("/rights", {"can_withdraw": "yes"}, "Error: This Acme key may withdraw money"),
    ],
)
def test_add_key_proved_unfit_exits_1_with_nothing_stored(
    installation: Any, path: str, answer: Any, sentence: str
) -> None:
    """A wrong key, or one that may withdraw, is refused with its reason, and leaves neither account nor person."""
    installation.answers[path] = answer
    result = add(installation)
    assert (result.exit_code, result.stderr.startswith(sentence)) == (1, True)
    assert [installation.count(table) for table in ("users", "accounts", "credentials", "data_keys")] == [0] * 4
    assert leaks(installation, result.output) == []


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        (json.dumps({"key": "canary-key-0123456789abcdef"}), "Error: secret is missing. Acme needs key, secret.\n"),
        (
            json.dumps({**KEY, "passphrase": "x"}),
            "Error: Acme has no field passphrase. Its fields are key, secret.\n",
        ),
        (
            KEY["secret"],
            NOT_JSON,
        ),
        ("[]", NOT_JSON),
        (
            json.dumps({**KEY, "secret": 5}),
            NOT_JSON,
        ),
    ],
)
def test_add_bad_input_exits_1_and_asks_nobody(installation: Any, stdin: str, sentence: str) -> None:
    """Input that is not the exchange's fields is refused before anything is sent, without quoting it."""
    result = installation.run(*ADD, "--stdin", stdin=stdin)
    assert (result.exit_code, result.stdout, result.stderr, installation.sent) == (1, "", sentence, [])
    assert installation.count("accounts") == 0


def test_add_exchange_unreachable_stores_it_and_says_so(installation: Any) -> None:
    """No network is no proof: the key is stored, and called unverified."""
    installation.answers.update(dict.fromkeys(installation.answers, NotSent("Acme cannot be reached")))
    result = add(installation)
    assert (result.exit_code, installation.count("credentials")) == (0, 2)
    assert result.stdout.splitlines() == [
        "? clock: Acme did not tell its time",
        "✗ signature: cannot be checked now: Acme cannot be reached. Test the key again in a few minutes.",
        "Acme·main of user 7 is stored, not verified in full.",
    ]


def test_add_unknown_exchange_names_those_in_use(installation: Any) -> None:
    """A mistyped exchange costs one look."""
    result = installation.run("keys", "add", "--exchange", "acne", "--stdin", stdin="{}")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: There is no exchange acne here. In use: acme. See: tradewire plugins\n",
    )


def test_add_without_owner_or_user_says_what_to_name(installation: Any) -> None:
    """Nobody is guessed."""
    installation.configure("")
    result = add(installation)
    assert (result.exit_code, "--user" in result.stderr, installation.sent) == (1, True, [])


def test_add_while_the_bot_runs_works(installation: Any) -> None:
    """The data directory's lock is the bot's own business."""
    lock = DirectoryLock(installation.database.parent)
    try:
        assert add(installation).exit_code == 0
    finally:
        lock.release()


def test_add_with_another_master_key_exits_78(installation: Any) -> None:
    """A database of another key is not written to."""
    add(installation)
    installation.master_key.unlink()
    installation.configure()
    result = add(installation)
    assert (result.exit_code, "does not belong" in result.stderr, installation.count("accounts")) == (78, True, 1)


def test_list_shows_rights_and_no_secret(installation: Any) -> None:
    """The list says whose key may do what, in words and as JSON."""
    assert installation.run("keys", "list").output.startswith("No keys yet.")
    add(installation)
    words, structure = installation.run("keys", "list").output, installation.run("keys", "list", "--json").output
    assert words == "7  acme·main  trade: yes, withdraw: no\n"
    assert json.loads(structure) == [
        {
            "user": 7,
            "exchange": "acme",
            "label": "main",
            "experimental": False,
            "paper": False,
            "demo": False,
            "trade": "yes",
            "withdraw": "no",
            "ip_bound": "yes",
            "created_ms": 1_700_000_000_000,
        }
    ]
    assert leaks(installation, words, structure) == []


def test_remove_asks_first_and_erases_the_key(installation: Any) -> None:
    """A refused question leaves the key; --yes erases it."""
    add(installation)
    assert installation.run("keys", "remove", "--label", "main", stdin="n\n").exit_code == 1
    assert installation.count("credentials") == 2
    assert installation.run("keys", "remove", "--label", "MAIN", "--yes").exit_code == 0
    assert (installation.count("credentials"), installation.count("data_keys")) == (0, 0)


def test_remove_of_another_persons_name_removes_nothing(installation: Any) -> None:
    """Names belong to a person."""
    add(installation, "--user", "12")
    result = installation.run("keys", "remove", "--label", "main", "--yes")
    assert (result.exit_code, installation.count("credentials")) == (1, 2)


def test_test_asks_again_and_keeps_a_failing_key(installation: Any) -> None:
    """A key that was good is tested anew, step by step; one that fails is told by the exit code, not removed."""
    add(installation)
    installation.answers["/markets"] = ["BTC", "ETH"]
    result = installation.run("keys", "test")
    assert (result.exit_code, result.output.splitlines()) == (
        0,
        [
            "acme·main of user 7",
            "✓ connection: Acme answers",
            "✓ clock: +38 ms",
            "✓ markets: 2 open, BTC/USDT among them",
            "✓ price: BTC/USDT at 60,000.5 USDT",
            "✓ signature: accepted",
            "✓ read: 0 assets",
            "✓ trade: allowed; no order was sent to try it",
            "✓ withdraw: verified: the key cannot withdraw",
            "✓ IP: bound to addresses",
        ],
    )
    installation.answers["/balances"] = 401
    result = installation.run("keys", "test", "--label", "main")
    assert (result.exit_code, installation.count("credentials")) == (1, 2)
    assert result.output.splitlines()[-1] == (
        "✗ signature: Acme refuses the key: the signature is wrong. Copy the key again."
    )


def test_test_without_keys_says_so(installation: Any) -> None:
    """Nothing to test is an error, not a success."""
    assert installation.run("keys", "test").exit_code == 1


def test_add_unknown_option_is_refused_and_nothing_stored(installation: Any) -> None:
    """An option that the exchange does not know would be ignored for ever; it is named, and nothing is kept."""
    result = add(installation, "--option", "turbo=1")
    assert (result.exit_code, "has no option turbo" in result.output) == (1, True)
    assert "takes NAME=VALUE" in add(installation, "--option", "demo").output
    assert installation.count("accounts") == 0
