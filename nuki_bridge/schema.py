"""The tables of the database, as the steps that lead from each version to the next; `database` takes them."""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE lock (
            name TEXT PRIMARY KEY,
            address TEXT NOT NULL,
            nuki_id INTEGER NOT NULL,
            family TEXT NOT NULL,
            authorization_id INTEGER NOT NULL,
            shared_key BLOB NOT NULL CHECK (length(shared_key) = 32),
            app_id INTEGER NOT NULL,
            uuid BLOB NOT NULL CHECK (length(uuid) = 16),
            id_type INTEGER NOT NULL,
            paired_at INTEGER NOT NULL, -- Unix seconds
            pin TEXT
        ) STRICT
        """,
        "CREATE TABLE installation (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
    ),
    (
        """
        CREATE TABLE invitation (
            number INTEGER PRIMARY KEY,
            nuki_id INTEGER NOT NULL,
            lookup BLOB NOT NULL UNIQUE CHECK (length(lookup) = 16),
            key BLOB CHECK (length(key) = 32), -- NULL once it is of no more use, like shared_key and client
            shared_key BLOB CHECK (length(shared_key) = 32),
            client BLOB,
            stage TEXT NOT NULL,
            authorization_id INTEGER,
            entry_created INTEGER, -- Unix seconds on the lock's clock, like asked
            asked INTEGER NOT NULL,
            user TEXT NOT NULL,
            remote INTEGER NOT NULL,
            time_limit BLOB CHECK (length(time_limit) = 19),
            created INTEGER NOT NULL, -- Unix seconds on our clock, like expires and ended
            expires INTEGER NOT NULL,
            seconds_left INTEGER NOT NULL,
            ended INTEGER,
            on_lock INTEGER NOT NULL -- an authorization that must go is, or may be, on the lock
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE log_position (
            lock TEXT PRIMARY KEY REFERENCES lock (name) ON DELETE CASCADE,
            nuki_id INTEGER NOT NULL,
            position INTEGER NOT NULL -- index of the last log entry that was told
        ) STRICT
        """,
        """
        CREATE TABLE refused_pin (
            lock TEXT PRIMARY KEY REFERENCES lock (name) ON DELETE CASCADE,
            pin TEXT NOT NULL,
            refused_at INTEGER NOT NULL -- Unix seconds
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE announced (
            topic TEXT PRIMARY KEY, -- of Home Assistant's discovery, with a retained message of ours
            device TEXT NOT NULL
        ) STRICT
        """,
    ),
    (
        # not a lock's by its name, with which they would go: pairing it anew is no way to guess on
        "ALTER TABLE refused_pin RENAME TO old_refused_pin",
        """
        CREATE TABLE refused_pin (
            nuki_id INTEGER NOT NULL,
            pin TEXT NOT NULL,
            refused_at INTEGER NOT NULL, -- Unix seconds
            PRIMARY KEY (nuki_id, pin)
        ) STRICT
        """,
        """
        INSERT OR REPLACE INTO refused_pin
        SELECT lock.nuki_id, old.pin, old.refused_at FROM old_refused_pin AS old JOIN lock ON lock.name = old.lock
        """,
        "DROP TABLE old_refused_pin",
    ),
    (
        """
        CREATE TABLE former_lock (
            number INTEGER PRIMARY KEY, -- the newest has the highest
            lock TEXT NOT NULL REFERENCES lock (name) ON DELETE CASCADE, -- whose authorization is unproven
            name TEXT NOT NULL, -- this and what follows as in that table
            address TEXT NOT NULL,
            nuki_id INTEGER NOT NULL,
            family TEXT NOT NULL,
            authorization_id INTEGER NOT NULL,
            shared_key BLOB NOT NULL CHECK (length(shared_key) = 32),
            app_id INTEGER NOT NULL,
            uuid BLOB NOT NULL CHECK (length(uuid) = 16),
            id_type INTEGER NOT NULL,
            paired_at INTEGER NOT NULL,
            pin TEXT
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE new_pin (
            lock TEXT PRIMARY KEY REFERENCES lock (name) ON DELETE CASCADE,
            pin TEXT NOT NULL -- which it was or is being given, and may have
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE equipment (
            lock TEXT NOT NULL REFERENCES lock (name) ON DELETE CASCADE,
            nuki_id INTEGER NOT NULL,
            trait TEXT NOT NULL, -- what the lock was once seen to have
            PRIMARY KEY (lock, trait)
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE replaced_pin (
            lock TEXT PRIMARY KEY REFERENCES lock (name) ON DELETE CASCADE,
            pin TEXT NOT NULL -- of the configuration, which the lock had before that in its row
        ) STRICT
        """,
    ),
    (
        "ALTER TABLE refused_pin RENAME TO old_refused_pin",
        """
        CREATE TABLE refused_pin (
            nuki_id INTEGER NOT NULL,
            pin TEXT NOT NULL,
            attempt TEXT NOT NULL, -- what it was sent for: first, again, doubt or doubt again
            refused_at INTEGER NOT NULL, -- Unix seconds
            PRIMARY KEY (nuki_id, pin, attempt)
        ) STRICT
        """,
        # what it was sent for stood behind the PIN
        """
        INSERT OR REPLACE INTO refused_pin
        SELECT
            nuki_id,
            CASE instr(pin, ' ') WHEN 0 THEN pin ELSE substr(pin, 1, instr(pin, ' ') - 1) END,
            CASE
                WHEN pin LIKE '% in doubt again' THEN 'doubt again'
                WHEN pin LIKE '% in doubt' THEN 'doubt'
                WHEN pin LIKE '% again' THEN 'again'
                ELSE 'first'
            END,
            refused_at
        FROM old_refused_pin
        """,
        "DROP TABLE old_refused_pin",
    ),
    (
        """
        CREATE TABLE served (
            nuki_id INTEGER PRIMARY KEY -- on whose topics of Nuki's own MQTT API something of ours is retained
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE battery_day (
            lock TEXT NOT NULL REFERENCES lock (name) ON DELETE CASCADE,
            nuki_id INTEGER NOT NULL,
            day TEXT NOT NULL, -- on the lock's wall clock, such as 2026-12-01
            level INTEGER, -- percent, the lowest of that day, like voltage_mv; NULL where the lock told none
            voltage_mv INTEGER,
            critical INTEGER NOT NULL, -- 1 if it was so at any time of that day, like charging
            charging INTEGER NOT NULL,
            PRIMARY KEY (lock, day)
        ) STRICT
        """,
    ),
)
"""The statements that lead from schema version N to N + 1, at index N.  A released step is never changed."""
