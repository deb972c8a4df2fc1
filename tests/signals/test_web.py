"""The way in for hooks: who gets through, who does not, and how often."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from bot.config import HookSettings
from bot.signals import hooks, senders
from bot.signals.alert import MOST_BYTES
from tests.signals.conftest import Door

ATTACKS = 5_000
PROXY, TRADINGVIEW, ELSEWHERE = "10.0.0.1", "52.89.214.238", "203.0.113.9"
NAMED = HookSettings(enabled=True, proxies=[PROXY], addresses=["52.89.214.0/24"])
CERTIFIED = HookSettings(enabled=True, proxies=[PROXY], certificate_header="X-Client-Subject")
SUBJECT = ("x-client-subject", "CN=TradingView Webhooks")


@pytest.mark.parametrize(
    ("settings", "peer", "headers", "allowed"),
    [
        (HookSettings(), ELSEWHERE, [], True),
        (NAMED, TRADINGVIEW, [], True),
        (NAMED, f"::ffff:{TRADINGVIEW}", [], True),
        (NAMED, ELSEWHERE, [], False),
        (NAMED, ELSEWHERE, [("x-forwarded-for", TRADINGVIEW)], False),
        (NAMED, PROXY, [], False),
        (NAMED, PROXY, [("x-forwarded-for", TRADINGVIEW)], True),
        (NAMED, PROXY, [("x-forwarded-for", f"{TRADINGVIEW}, {ELSEWHERE}")], False),
        (NAMED, PROXY, [("x-forwarded-for", f"{ELSEWHERE}, {TRADINGVIEW}, {PROXY}")], True),
        (NAMED, PROXY, [("x-forwarded-for", TRADINGVIEW), ("x-forwarded-for", ELSEWHERE)], False),
        (NAMED, PROXY, [("x-forwarded-for", "unknown")], False),
        (NAMED, "", [], False),
        (CERTIFIED, PROXY, [SUBJECT], True),
        (CERTIFIED, PROXY, [], False),
        (CERTIFIED, PROXY, [SUBJECT, SUBJECT], False),
        (CERTIFIED, PROXY, [("x-client-subject", "CN=TradingView Webhooks,O=Mallory")], False),
        (CERTIFIED, ELSEWHERE, [SUBJECT], False),
    ],
)
def test_may_send_believes_configured_proxies_alone(
    settings: HookSettings, peer: str, headers: list[tuple[str, str]], allowed: bool
) -> None:
    """A header counts from a proxy that is named, and of a chain its last address that is no proxy."""
    assert senders.may_send(settings, peer, headers) is allowed


async def test_hook_four_deliveries_make_one_alert(door: Door) -> None:
    """TradingView repeats after an error: all are answered 200, one is taken."""
    body = door.body()
    replies = await asyncio.gather(*(door.post(body) for _ in range(4)))
    assert Counter(replies) == Counter({(200, "taken"): 1, (200, "repeated"): 3})
    assert door.taken == 1


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"id": "a1", "side": "sell"}, "repeated"),
        ({"id": "b2", "time": "2020-01-01T00:00:00Z"}, "late"),
        ({"id": "b2", "time": "2099-01-01T00:00:00Z"}, "early"),
        ({"id": "b2", "seq": 5}, "out of order"),
        ({"id": "b2", "seq": 6}, "taken"),
        ({"id": None, "time": None}, "taken"),
    ],
)
async def test_hook_judges_by_id_time_and_sequence(door: Door, fields: dict[str, object], verdict: str) -> None:
    """After one alert with number 5, what comes is taken only when it is new, fresh and in order."""
    assert await door.post(door.body(seq=5)) == (200, "taken")
    assert await door.post(door.body(**fields)) == (200, verdict)
    assert door.taken == 1 + (verdict == "taken")


async def test_hook_same_words_again_count_after_a_minute(door: Door) -> None:
    """A body without id and time is repeated within a minute; later it is another alert."""
    answers = []
    for seconds in (0, 30, 31):
        door.room.clock.advance(seconds)
        answers.append(await door.post(b"BUY BTCUSDT"))
    assert answers == [(200, "taken"), (200, "repeated"), (200, "taken")]


async def test_hook_repeated_after_it_went_stale_is_not_taken(door: Door) -> None:
    """A delivery that was taken cannot be played back a day later either, nor can one that was not."""
    body, unseen = door.body(), door.body(id="x")
    await door.post(body)
    door.room.clock.advance(86_400)
    assert await door.post(body) == (200, "repeated")
    assert await door.post(unseen) == (200, "late")


async def test_hook_closes_when_alerts_burst_and_tells_once(door: Door) -> None:
    """The eleventh within a minute closes it, its owner is told once, and setting the mode opens it."""
    answers = [(await door.post(door.body(id=f"n{number}")))[1] for number in range(13)]
    assert answers == ["taken"] * 10 + ["paused"] * 3
    assert len(door.notes()) == 1
    door.room.clock.advance(3600)
    assert (await door.post(door.body(id="later")))[1] == "paused"
    door.set_mode("notify")
    assert (await door.post(door.body(id="opened")))[1] == "taken"


async def test_hook_rotated_or_ended_opens_nothing_by_its_old_address(door: Door) -> None:
    """One commit, and the old token is a wrong one."""
    now_ms = door.room.clock.now_ms()
    token = door.room.store.transact(lambda db: hooks.rotate(db, door.hook, now_ms))
    assert [(await door.post(token=each))[0] for each in (door.token, token)] == [404, 200]
    door.room.store.transact(lambda db: hooks.remove(db, door.hook, now_ms))
    assert [(await door.post(token=each))[0] for each in (door.token, token)] == [404, 404]


async def test_hook_token_is_stored_nowhere(door: Door) -> None:
    """The file holds the hash of the token, and nothing that opens the door."""
    await door.post()
    await door.room.store.run(lambda db: None)
    files = b"".join(each.read_bytes() for each in door.room.path.parent.glob(f"{door.room.path.name}*"))
    assert (door.token.encode() in files, hooks.hashed(door.token) in files) == (False, True)


async def test_hook_unreadable_body_is_refused_with_words(door: Door) -> None:
    """400 says what is wrong; nothing is kept."""
    assert await door.post(b'{"side":"buy","side":"sell"}') == (
        400,
        "The body begins like JSON but is none. Check its quotes and commas.",
    )
    assert door.taken == 0


async def slow() -> AsyncIterator[bytes]:
    """A body that never ends."""
    yield b"{"
    await asyncio.Event().wait()


async def endless() -> AsyncIterator[bytes]:
    """Ten megabytes that were not announced."""
    for _ in range(160):
        yield b"x" * 65_536


async def unannounced() -> AsyncIterator[bytes]:
    """A little more than is read, in two parts."""
    yield b"x" * MOST_BYTES
    yield b"x"


async def attack(door: Door, requests: int) -> Counter[int]:
    """Send many kinds of wrong requests around one right one, in a mixed order that is always the same."""
    dice = random.Random(6)
    right, deep = door.body(), b'{"a":' + b"[" * 10_000
    wrong = "A" * 43
    kinds = {
        "path": lambda client: client.post("/hook/" + door.token, content=right),
        "method": lambda client: client.get("/hooks/" + door.token),
        "secret": lambda client: client.post("/hooks/" + wrong, content=right),
        "half": lambda client: client.post("/hooks/" + door.token[:42], content=right),
        "spoofed": lambda client: client.post(
            "/hooks/" + wrong, content=right, headers={"X-Forwarded-For": TRADINGVIEW, "X-Client-Subject": SUBJECT[1]}
        ),
        "replay": lambda client: client.post("/hooks/" + door.token, content=right),
        "deep": lambda client: client.post("/hooks/" + door.token, content=deep),
        "large": lambda client: client.post(
            "/hooks/" + door.token, content=b"{}", headers={"Content-Length": "10485760"}
        ),
        "large to a wrong secret": lambda client: client.post("/hooks/" + wrong, content=endless()),
    }
    found: Counter[int] = Counter()
    async with door.client() as client:
        assert (await client.post("/hooks/" + door.token, content=right)).status_code == 200
        names = sorted(kinds)
        for _ in range(requests):
            found[(await kinds[dice.choice(names)](client)).status_code] += 1
    return found


@pytest.mark.parametrize(
    "requests",
    [500, pytest.param(ATTACKS, marks=pytest.mark.nightly), pytest.param(100_000, marks=pytest.mark.nightly)],
)
async def test_hook_under_attack_takes_the_right_one_alone(door: Door, requests: int) -> None:
    """Wrong paths, secrets, spoofed headers, replays, depth and size: one alert is taken, and no server error."""
    found = await attack(door, requests)
    assert door.taken == 1
    assert set(found) == {200, 400, 404, 405, 413}
    assert found[200] + found[400] + found[404] + found[405] + found[413] == requests


async def test_hook_large_body_is_cut_off_and_a_slow_one_too(door: Door) -> None:
    """What was not announced is counted as it comes; who never ends is told so after their time."""
    async with door.client(seconds=0.05) as client:
        path = "/hooks/" + door.token
        assert (await client.post(path, content=endless())).status_code == 413
        assert (await client.post(path, content=slow())).status_code == 408
        assert (await client.post(path, content=unannounced())).status_code == 413
        announced = {"Content-Length": str(MOST_BYTES + 1)}
        assert (await client.post(path, content=b"{}", headers=announced)).status_code == 413
    assert door.taken == 0


async def test_hook_spoofed_header_opens_nothing_with_the_right_secret(door: Door) -> None:
    """Whoever has the secret and not the address stays out, whatever they write."""
    door.settings = NAMED
    headers = {"X-Forwarded-For": TRADINGVIEW}
    assert (await door.post(headers=headers, peer=ELSEWHERE))[0] == 404
    assert (await door.post(headers=headers, peer=PROXY))[0] == 200
    assert door.taken == 1
