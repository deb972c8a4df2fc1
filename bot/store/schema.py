"""The tables, as numbered migrations. Amounts are text, times are UTC milliseconds, every table is STRICT."""

from __future__ import annotations

import secrets

from sqlite_utils import Database, Migrations

migrations = Migrations("tradewire")

_FIRST = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    """CREATE TABLE users(
        id INTEGER PRIMARY KEY,              -- Telegram's numeric id
        role TEXT NOT NULL CHECK(role IN ('admin', 'trader', 'viewer', 'blocked')),
        name TEXT NOT NULL DEFAULT '',
        default_account INTEGER REFERENCES accounts,
        created_ms INTEGER NOT NULL) STRICT""",
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
        created_ms INTEGER NOT NULL,
        sent_ms INTEGER,
        updated_ms INTEGER NOT NULL,
        UNIQUE(account_id, client_order_id)) STRICT""",
    "CREATE INDEX orders_state ON orders(state) WHERE state IN"
    " ('proposed', 'confirmed', 'sending', 'unknown', 'needs_human', 'open', 'partially_filled')",
    "CREATE INDEX orders_user ON orders(user_id, id)",
    "CREATE INDEX orders_exchange_id ON orders(account_id, exchange_order_id)",
    """CREATE TRIGGER orders_law BEFORE UPDATE OF state ON orders
        WHEN OLD.state <> NEW.state AND NOT EXISTS (SELECT 1 FROM law WHERE a = OLD.state AND b = NEW.state)
        BEGIN SELECT RAISE(ABORT, 'illegal transition'); END""",
    """CREATE TRIGGER orders_frozen BEFORE UPDATE OF params, params_hash, account_id, user_id, exchange, symbol, side,
        intent ON orders
        BEGIN SELECT RAISE(ABORT, 'an order is frozen'); END""",
    """CREATE TRIGGER orders_named BEFORE UPDATE OF client_order_id ON orders WHEN OLD.client_order_id IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'an order is frozen'); END""",
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
        at_ms INTEGER NOT NULL,
        PRIMARY KEY(chat_id, message_id)) STRICT""",
    """CREATE TABLE outbox(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        chat_id INTEGER NOT NULL,
        order_id INTEGER NOT NULL REFERENCES orders,
        created_ms INTEGER NOT NULL) STRICT""",
    "CREATE TABLE paper(account_id INTEGER PRIMARY KEY REFERENCES accounts, state TEXT NOT NULL) STRICT",
)


@migrations()
def first(db: Database) -> None:
    """Create the tables of 0.1 and the two values that belong to this instance for ever."""
    for statement in _FIRST:
        db.execute(statement)
    for key in ("instance_id", "client_id_key"):
        db.execute("INSERT INTO meta VALUES (?, ?)", (key, secrets.token_hex(32)))
