"""The tables, as numbered migrations. Amounts are text, times are UTC milliseconds, every table is STRICT."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

NAME = "tradewire"

_FIRST = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    """CREATE TABLE users(
        id INTEGER PRIMARY KEY,              -- Telegram's numeric id
        role TEXT NOT NULL CHECK(role IN ('admin', 'trader', 'viewer', 'blocked')),
        name TEXT NOT NULL DEFAULT '',
        default_account INTEGER REFERENCES accounts,
        created_ms INTEGER NOT NULL) STRICT""",
    """CREATE TABLE invites(
        token_hash BLOB PRIMARY KEY,
        role TEXT NOT NULL CHECK(role IN ('admin', 'trader', 'viewer')),
        made_by INTEGER NOT NULL,            -- a person, or 0 for the server's command line
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        used_by INTEGER,
        used_ms INTEGER) STRICT""",
    """CREATE TABLE accounts(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INTEGER NOT NULL REFERENCES users,
        exchange TEXT NOT NULL,
        label TEXT NOT NULL,
        paper INTEGER NOT NULL DEFAULT 0,
        facts TEXT NOT NULL DEFAULT '{}',    -- what the plugin's detect found
        options TEXT NOT NULL DEFAULT '{}',  -- what the user chose
        rights TEXT NOT NULL DEFAULT '{}',   -- what the exchange says the key may do
        created_ms INTEGER NOT NULL,
        removed_ms INTEGER) STRICT""",
    "CREATE UNIQUE INDEX accounts_label ON accounts(user_id, label) WHERE removed_ms IS NULL",
    "CREATE INDEX accounts_user ON accounts(user_id)",
    """CREATE TABLE data_keys(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INTEGER NOT NULL REFERENCES users,
        master_id TEXT NOT NULL,             -- names the master key that wraps it
        wrapped BLOB NOT NULL) STRICT""",
    """CREATE TABLE credentials(
        account_id INTEGER NOT NULL REFERENCES accounts,
        field TEXT NOT NULL,
        data_key_id INTEGER NOT NULL REFERENCES data_keys,
        sealed BLOB NOT NULL,
        PRIMARY KEY(account_id, field)) STRICT""",
    """CREATE TABLE second_factor(
        user_id INTEGER PRIMARY KEY REFERENCES users,
        data_key_id INTEGER NOT NULL REFERENCES data_keys,
        sealed BLOB NOT NULL,                -- the seed
        confirmed_ms INTEGER,                -- since when codes are asked for; until the first right code, never
        last_step INTEGER NOT NULL DEFAULT 0, -- the last 30 seconds whose code was taken
        wrong INTEGER NOT NULL DEFAULT 0,    -- wrong codes since the last right one
        locked_until_ms INTEGER NOT NULL DEFAULT 0) STRICT""",
    """CREATE TABLE halts(
        user_id INTEGER PRIMARY KEY,         -- whose orders are held back; 0: everybody's
        since_ms INTEGER NOT NULL,
        by TEXT NOT NULL,                    -- who called it, in words
        resumes_ms INTEGER) STRICT""",
    """CREATE TABLE limits(
        user_id INTEGER NOT NULL REFERENCES users,
        name TEXT NOT NULL,
        value TEXT,                          -- NULL: none of one's own; the ceiling of the configuration holds
        next_value TEXT,                     -- what it is from next_ms on
        next_ms INTEGER,
        PRIMARY KEY(user_id, name)) STRICT""",
    "CREATE TABLE law(a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY(a, b)) STRICT",
    """CREATE TABLE orders(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account_id INTEGER NOT NULL REFERENCES accounts,
        user_id INTEGER NOT NULL REFERENCES users,
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL CHECK(side IN ('buy', 'sell')),
        state TEXT NOT NULL CHECK(state IN ('proposed', 'confirmed', 'sending', 'unknown', 'needs_human', 'open',
            'partially_filled', 'filled', 'canceled', 'rejected', 'not_placed', 'expired')),
        reason TEXT NOT NULL DEFAULT '',
        params TEXT NOT NULL,                -- the frozen draft
        params_hash BLOB NOT NULL,
        intent TEXT NOT NULL,                -- what was asked, to ask again
        client_order_id TEXT,
        exchange_order_id TEXT,
        request_hash TEXT,
        window_ends_ms INTEGER,              -- exchange time after which the request is surely dead
        misses INTEGER NOT NULL DEFAULT 0,
        last_miss_ms INTEGER,
        filled TEXT NOT NULL DEFAULT '0',
        average_price TEXT,
        fee TEXT,
        fee_asset TEXT NOT NULL DEFAULT '',
        chat_id INTEGER NOT NULL,
        message_id INTEGER,                  -- the card
        expires_ms INTEGER NOT NULL,
        cancel_requested_ms INTEGER,
        late INTEGER NOT NULL DEFAULT 0,
        doubted INTEGER NOT NULL DEFAULT 0,  -- was `unknown` once
        external INTEGER NOT NULL DEFAULT 0, -- adopted from the exchange: it has our kind of id, and there was no row
        refusal TEXT NOT NULL DEFAULT '',    -- the kind of error it was refused with
        created_ms INTEGER NOT NULL,
        sent_ms INTEGER,
        updated_ms INTEGER NOT NULL,
        UNIQUE(account_id, client_order_id)) STRICT""",
    "CREATE INDEX orders_unfinished ON orders(state, account_id) WHERE state IN"
    " ('proposed', 'confirmed', 'sending', 'unknown', 'needs_human', 'open', 'partially_filled')",
    "CREATE INDEX orders_expiry ON orders(expires_ms) WHERE state IN ('proposed', 'confirmed')",
    "CREATE INDEX orders_asking ON orders(updated_ms)"
    " WHERE state='needs_human' OR (misses>=3 AND state IN ('open', 'partially_filled'))",
    "CREATE INDEX orders_doubted ON orders(account_id) WHERE doubted=1",
    "CREATE INDEX orders_sent ON orders(user_id, sent_ms) WHERE sent_ms IS NOT NULL",
    "CREATE INDEX orders_counter ON orders(account_id, CAST(client_order_id AS INTEGER))"
    " WHERE client_order_id GLOB '[0-9]*'",
    "CREATE INDEX orders_filled ON orders(user_id, account_id, symbol) WHERE filled<>'0'",
    "CREATE INDEX orders_card ON orders(chat_id, message_id)",
    "CREATE INDEX orders_absent ON orders(sent_ms) WHERE state='not_placed'",
    "CREATE INDEX orders_ended ON orders(updated_ms) WHERE state IN ('filled', 'canceled')",
    "CREATE INDEX orders_user ON orders(user_id, id)",
    "CREATE INDEX orders_exchange_id ON orders(account_id, exchange_order_id)",
    """CREATE TRIGGER orders_law BEFORE UPDATE OF state ON orders
        WHEN OLD.state <> NEW.state AND NOT EXISTS (SELECT 1 FROM law WHERE a = OLD.state AND b = NEW.state)
        BEGIN SELECT RAISE(ABORT, 'illegal transition'); END""",
    """CREATE TRIGGER orders_identified BEFORE UPDATE OF state ON orders
        WHEN NEW.state IN ('confirmed', 'sending') AND NEW.client_order_id IS NULL
        BEGIN SELECT RAISE(ABORT, 'an order without an id'); END""",
    """CREATE TRIGGER orders_frozen BEFORE UPDATE OF params, params_hash, account_id, user_id, exchange, symbol, side,
        intent ON orders
        BEGIN SELECT RAISE(ABORT, 'an order is frozen'); END""",
    """CREATE TRIGGER orders_named BEFORE UPDATE OF client_order_id ON orders WHEN OLD.client_order_id IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'an order is frozen'); END""",
    """CREATE TABLE fills(
        order_id INTEGER NOT NULL REFERENCES orders,
        trade_id TEXT NOT NULL,              -- the exchange's; what makes a fill told twice one fill
        price TEXT NOT NULL,
        quantity TEXT NOT NULL,
        fee TEXT NOT NULL,
        fee_asset TEXT NOT NULL,
        is_maker INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY(order_id, trade_id)) STRICT""",
    """CREATE TABLE events(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        user_id INTEGER,
        order_id INTEGER REFERENCES orders,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        hash BLOB NOT NULL) STRICT""",
    "CREATE INDEX events_order ON events(order_id)",
    """CREATE TABLE buttons(
        nonce_hash BLOB PRIMARY KEY,
        action TEXT NOT NULL,
        payload TEXT NOT NULL,
        order_id INTEGER REFERENCES orders,
        params_hash BLOB,
        user_id INTEGER NOT NULL,
        chat_id INTEGER NOT NULL,
        message_id INTEGER,                  -- known once Telegram took the message
        expires_ms INTEGER NOT NULL,
        used_ms INTEGER) STRICT""",
    "CREATE INDEX buttons_message ON buttons(chat_id, message_id)",
    "CREATE INDEX buttons_expiry ON buttons(expires_ms)",
    """CREATE TABLE inbox(
        chat_id INTEGER NOT NULL,
        message_id INTEGER NOT NULL,
        payload TEXT,                        -- the update, until it was handled
        connects INTEGER NOT NULL,           -- whether it began the key wizard: parts of a key may follow
        at_ms INTEGER NOT NULL,
        PRIMARY KEY(chat_id, message_id)) STRICT""",
    "CREATE INDEX inbox_age ON inbox(at_ms)",
    """CREATE TABLE outbox(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        chat_id INTEGER NOT NULL,
        thread_id INTEGER,                   -- the topic of a group
        lane TEXT NOT NULL CHECK(lane IN ('result', 'refresh', 'alert', 'held')),
        kind TEXT NOT NULL,                  -- names the renderer
        payload TEXT NOT NULL DEFAULT '{}',
        merge_key TEXT,                      -- one row of a key waits per chat: the newest
        order_id INTEGER REFERENCES orders,
        happened INTEGER NOT NULL DEFAULT 1, -- how often, since it waits
        skipped INTEGER NOT NULL DEFAULT 0,  -- older alerts dropped for it
        tries INTEGER NOT NULL DEFAULT 0,
        not_before_ms INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL) STRICT""",
    "CREATE UNIQUE INDEX outbox_merge ON outbox(chat_id, merge_key) WHERE merge_key IS NOT NULL",
    "CREATE INDEX outbox_next ON outbox(chat_id, lane, not_before_ms, created_ms, id)",
    "CREATE INDEX outbox_arrivals ON outbox(lane, id)",
    "CREATE INDEX outbox_order ON outbox(order_id)",
    """CREATE TABLE alerts(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INTEGER NOT NULL,
        chat_id INTEGER NOT NULL,
        thread_id INTEGER,
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        exchange_symbol TEXT NOT NULL,
        kind TEXT NOT NULL CHECK(kind IN ('above', 'below', 'move', 'spread', 'volume')),
        at TEXT NOT NULL,                    -- a price, a per cent or a volume
        title TEXT NOT NULL,                 -- the same in words
        back_percent TEXT NOT NULL,
        window_ms INTEGER NOT NULL,
        every_ms INTEGER,                    -- NULL: it fires once
        intent TEXT NOT NULL,                -- the order that is offered when it fires
        expires_ms INTEGER NOT NULL,
        armed INTEGER NOT NULL DEFAULT 1,    -- whether reaching the level is a crossing
        quiet_until_ms INTEGER NOT NULL DEFAULT 0,
        ended TEXT NOT NULL DEFAULT '',
        fired INTEGER NOT NULL DEFAULT 0,
        changed_ms INTEGER NOT NULL) STRICT""",
    "CREATE INDEX alerts_user ON alerts(user_id) WHERE ended=''",
    "CREATE INDEX alerts_chat ON alerts(chat_id)",
    "CREATE INDEX alerts_ended ON alerts(changed_ms) WHERE ended<>''",
    """CREATE TABLE alert_values(
        exchange TEXT NOT NULL,
        exchange_symbol TEXT NOT NULL,
        figure TEXT NOT NULL,                -- price, spread or volume
        value TEXT NOT NULL,                 -- the newest, scaled by 10**18
        at_ms INTEGER NOT NULL,
        PRIMARY KEY(exchange, exchange_symbol, figure)) STRICT""",
    """CREATE TABLE groups(
        chat_id INTEGER PRIMARY KEY,
        title TEXT NOT NULL,
        posters TEXT NOT NULL DEFAULT 'traders' CHECK(posters IN ('traders', 'administrators')),
        quiet_start INTEGER,                 -- minute of the day; NULL: no quiet hours
        quiet_end INTEGER,
        quiet_zone TEXT NOT NULL DEFAULT 'UTC',
        away INTEGER NOT NULL DEFAULT 0,     -- the bot was removed; all stays for the day it is back
        allowed_by INTEGER NOT NULL,
        allowed_ms INTEGER NOT NULL) STRICT""",
    """CREATE TABLE boards(
        chat_id INTEGER PRIMARY KEY,
        thread_id INTEGER,
        message_id INTEGER,                  -- NULL: to be sent and pinned
        user_id INTEGER NOT NULL,
        exchange TEXT NOT NULL,
        symbols TEXT NOT NULL) STRICT""",
    """CREATE TABLE routes(
        chat_id INTEGER NOT NULL,
        event TEXT NOT NULL CHECK(event IN ('fills', 'alerts', 'signals', 'errors')),
        level TEXT NOT NULL DEFAULT 'on' CHECK(level IN ('on', 'silent', 'off')),
        thread_id INTEGER,                   -- NULL: the group's main topic
        muted_until_ms INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY(chat_id, event)) STRICT""",
    """CREATE TABLE shared_fills(
        chat_id INTEGER NOT NULL,
        user_id INTEGER NOT NULL REFERENCES users,
        name TEXT NOT NULL,                  -- what the group calls them
        amounts INTEGER NOT NULL,            -- whether size and price are told
        PRIMARY KEY(chat_id, user_id)) STRICT""",
    "CREATE INDEX shared_fills_user ON shared_fills(user_id)",
    """CREATE TABLE signals(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token TEXT NOT NULL UNIQUE,          -- names it in the link of its card
        author INTEGER NOT NULL,
        source TEXT NOT NULL,                -- a person's name or a hook, for the card
        chat_id INTEGER NOT NULL,
        message_id INTEGER,                  -- the card
        idea TEXT NOT NULL,
        remark TEXT NOT NULL,
        state TEXT NOT NULL CHECK(state IN ('open', 'canceled', 'ended')),
        until_ms INTEGER NOT NULL,
        followed INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL,
        changed_ms INTEGER) STRICT""",
    "CREATE INDEX signals_open ON signals(id) WHERE state='open'",
    """CREATE TABLE signal_followers(
        signal_id INTEGER NOT NULL REFERENCES signals,
        user_id INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY(signal_id, user_id)) STRICT""",
    """CREATE TABLE signal_wishes(
        user_id INTEGER PRIMARY KEY REFERENCES users,
        is_on INTEGER NOT NULL DEFAULT 1,
        size TEXT NOT NULL DEFAULT '') STRICT""",
    """CREATE TABLE hooks(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INTEGER NOT NULL REFERENCES users,
        name TEXT NOT NULL,
        token_hash BLOB NOT NULL UNIQUE,     -- of what stands in the address
        account_id INTEGER REFERENCES accounts,
        chat_id INTEGER NOT NULL,
        mode TEXT NOT NULL CHECK(mode IN ('notify', 'ask', 'auto')),
        size TEXT,                           -- of an order, in dollars
        day TEXT,                            -- the most per UTC day without asking, in USDT
        pairs TEXT NOT NULL DEFAULT '',
        sequence INTEGER,
        closed_ms INTEGER,                   -- too many alerts at once
        opened_ms INTEGER,
        taken INTEGER NOT NULL DEFAULT 0,
        ignored INTEGER NOT NULL DEFAULT 0,
        last TEXT NOT NULL DEFAULT '',       -- what became of the last alert
        created_ms INTEGER NOT NULL,
        UNIQUE(user_id, name)) STRICT""",
    """CREATE TABLE hook_events(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hook_id INTEGER NOT NULL REFERENCES hooks,
        digest BLOB NOT NULL,                -- of the body
        alert_id TEXT NOT NULL,
        idea TEXT,
        text TEXT NOT NULL,
        missed INTEGER NOT NULL,             -- alerts that did not arrive before it
        state TEXT NOT NULL CHECK(state IN ('waiting', 'begun', 'done')),
        result TEXT NOT NULL DEFAULT '',
        order_id INTEGER REFERENCES orders,
        at_ms INTEGER NOT NULL) STRICT""",
    "CREATE UNIQUE INDEX hook_events_id ON hook_events(hook_id, alert_id) WHERE alert_id<>''",
    "CREATE INDEX hook_events_digest ON hook_events(hook_id, digest)",
    "CREATE INDEX hook_events_age ON hook_events(hook_id, at_ms)",
    "CREATE INDEX hook_events_waiting ON hook_events(state) WHERE state<>'done'",
    "CREATE TABLE paper(account_id INTEGER PRIMARY KEY REFERENCES accounts, state TEXT NOT NULL) STRICT",
)


def _first(db: Database) -> None:
    """Create the tables of 0.1 and the two values that belong to this instance for ever."""
    for statement in _FIRST:
        db.execute(statement)
    for key in ("instance_id", "client_id_key"):
        db.execute("INSERT INTO meta VALUES (?, ?)", (key, secrets.token_hex(32)))


MIGRATIONS: Mapping[str, Callable[[Database], None]] = {"first": _first}
"""Name to what it does, in the order in which they are applied."""
