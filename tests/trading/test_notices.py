"""What is to be told: committed with its cause, merged, bounded, and never lost when it tells of money."""

from __future__ import annotations

from typing import Any

import pytest

from bot.trading import notices
from bot.trading.notices import MOST_ALERTS
from tests.trading.conftest import Room

NEWS: dict[str, Any] = {"chat_id": 7, "kind": "news", "now_ms": 1000}


def tell(room: Room, **values: Any) -> None:
    room.store.transact(lambda db: notices.tell(db, **{**NEWS, **values}))


def rows(room: Room, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in room.sql(f"SELECT {', '.join(names)} FROM outbox ORDER BY id")]


async def test_tell_is_undone_with_its_transaction(room: Room) -> None:
    """A change that is not committed is not told."""

    def work(db: Any) -> None:
        notices.tell(db, **NEWS)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        room.store.transact(work)
    assert rows(room, "id") == []


async def test_tell_same_merge_key_keeps_the_newest_and_the_count(room: Room) -> None:
    """Of what merges one row waits, with a new number, the newest payload and the age of the oldest."""
    for number in range(3):
        tell(room, lane="alert", merge_key="btc", payload={"n": number}, now_ms=1000 + number)
    tell(room, lane="alert", merge_key="eth", chat_id=7)
    tell(room, lane="alert", merge_key="btc", chat_id=8)
    assert rows(room, "chat_id", "merge_key", "payload", "happened", "created_ms") == [
        (7, "btc", '{"n":2}', 3, 1000),
        (7, "eth", "{}", 1, 1000),
        (8, "btc", "{}", 1, 1000),
    ]
    assert rows(room, "id")[0] == (3,)


async def test_told_old_version_leaves_the_newer(room: Room) -> None:
    """What was merged while its older version was being sent is told as well."""
    tell(room, merge_key="x", payload={"n": 1})
    before = room.store.transact(lambda db: notices.following(db, 7, "result"))
    assert before is not None
    tell(room, merge_key="x", payload={"n": 2})
    room.store.transact(lambda db: notices.told(db, before.id))
    assert rows(room, "payload") == [('{"n":2}',)]


async def test_tell_full_queue_drops_the_oldest_alert_and_counts_it(room: Room) -> None:
    """Alerts of one chat are bounded; the one that came says how many went; results are never dropped."""
    for number in range(MOST_ALERTS + 5):
        tell(room, lane="alert", payload={"n": number})
        tell(room, payload={"n": number})
    found = rows(room, "lane", "payload", "skipped")
    alerts = [each for each in found if each[0] == "alert"]
    assert (len(alerts), len(found) - len(alerts)) == (MOST_ALERTS, MOST_ALERTS + 5)
    assert alerts[0][1] == '{"n":5}'
    total = room.store.transact(lambda db: notices.backlog(db, 7, most_orders=1, most_alerts=1)).alerts
    assert total == MOST_ALERTS + 5


async def test_following_fresh_news_come_before_failed_ones(room: Room) -> None:
    """A message that cannot be sent holds up no other of its chat."""
    tell(room, payload={"n": 1})
    tell(room, payload={"n": 2})
    first = room.store.transact(lambda db: notices.following(db, 7, "result"))
    assert first is not None
    room.store.transact(lambda db: notices.postpone(db, first.id, 5000))
    second = room.store.transact(lambda db: notices.following(db, 7, "result"))
    assert (first.payload, second and second.payload) == ({"n": 1}, {"n": 2})


async def test_migrate_moves_rows_and_orders_and_forgets_the_old_card(room: Room) -> None:
    """Everything told in a group goes on in its supergroup; another chat is left alone."""
    row = await room.propose()
    room.show(row)
    tell(room, chat_id=8)
    room.store.transact(lambda db: notices.migrate(db, row.chat_id, -100))
    assert (room.row(row).chat_id, room.row(row).message_id) == (-100, None)
    assert rows(room, "chat_id") == [(-100,), (8,)]


QUERIES = {
    "next of a chat": lambda db: notices.following(db, 7, "alert"),
    "arrivals": lambda db: notices.arrivals(db, "alert", after=0, most=5),
    "card of an order": lambda db: notices.of_order(db, 1),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_query_of_every_message_reads_no_more_with_a_long_queue(room: Room, name: str) -> None:
    """What is asked for each message costs the same with 20 rows and with 2,000."""
    costs = []
    for count in (20, 1_980):
        room.store.transact(
            lambda db, count=count: [
                notices.tell(db, **{**NEWS, "chat_id": chat, "lane": "alert"}) for chat in range(count)
            ]
        )
        steps: list[int] = []
        room.store._connection.set_progress_handler(lambda steps=steps: steps.append(1) or 0, 10)
        room.store.transact(QUERIES[name])
        room.store._connection.set_progress_handler(None, 0)
        costs.append(len(steps))
    assert costs[1] <= costs[0] + 2
