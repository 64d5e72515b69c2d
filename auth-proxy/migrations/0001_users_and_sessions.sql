-- Plain SQL that PostgreSQL takes too. Times are milliseconds since 1970.

CREATE TABLE users (
    name          TEXT    NOT NULL PRIMARY KEY,
    password_hash TEXT    NOT NULL,
    -- Sees every series, also those without a team.
    platform      BOOLEAN NOT NULL,
    created_at    BIGINT  NOT NULL,
    changed_at    BIGINT  NOT NULL
);

CREATE TABLE user_teams (
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    team      TEXT NOT NULL,
    PRIMARY KEY (user_name, team)
);

CREATE TABLE sessions (
    -- SHA-256 of the id in the cookie: who reads the database cannot use a session.
    id_hash    TEXT   NOT NULL PRIMARY KEY,
    user_name  TEXT   NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);

CREATE INDEX sessions_by_user ON sessions (user_name);
CREATE INDEX sessions_by_seen_at ON sessions (seen_at);
