-- +goose Up
-- The same tables as on PostgreSQL; SQLite compares text byte by byte of its own accord, and lets a
-- primary key be null unless told not to.
CREATE TABLE users (
    id                text NOT NULL PRIMARY KEY,
    email             text NOT NULL UNIQUE,
    first_name        text NOT NULL,
    last_name         text NOT NULL,
    name_key          text NOT NULL,
    password_hash     text NOT NULL,
    email_verified_at timestamptz,
    created_at        timestamptz NOT NULL
);

CREATE TABLE sessions (
    id           text NOT NULL PRIMARY KEY,
    user_id      text NOT NULL REFERENCES users,
    token_hash   text NOT NULL UNIQUE,
    user_agent   text,
    ip_address   text,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE api_tokens (
    id           text NOT NULL PRIMARY KEY,
    user_id      text NOT NULL REFERENCES users,
    name         text NOT NULL,
    token_hash   text NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    expires_at   timestamptz
);
CREATE INDEX api_tokens_of_user ON api_tokens (user_id);

-- A subdomain stays taken when its organization is deleted, so rows are kept.
CREATE TABLE organizations (
    id         text NOT NULL PRIMARY KEY,
    name       text NOT NULL,
    name_key   text NOT NULL,
    subdomain  text NOT NULL UNIQUE,
    event_seq  integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);

CREATE TABLE memberships (
    id                    text NOT NULL PRIMARY KEY,
    organization_id       text NOT NULL REFERENCES organizations,
    email                 text NOT NULL,
    user_id               text REFERENCES users,
    status                text NOT NULL CHECK (status IN ('INVITED', 'ACCEPTED', 'DECLINED')),
    is_owner              boolean NOT NULL DEFAULT false,
    invited_by_id         text REFERENCES users,
    invited_at            timestamptz,
    invitation_expires_at timestamptz,
    invitation_delivery   text CHECK (invitation_delivery IN ('QUEUED', 'SENT', 'FAILED')),
    invitation_job_id     text,
    accepted_at           timestamptz,
    UNIQUE (organization_id, email),
    UNIQUE (organization_id, user_id),
    CHECK ((status = 'ACCEPTED') = (user_id IS NOT NULL)),
    CHECK (status = 'ACCEPTED' OR NOT is_owner)
);
CREATE INDEX memberships_of_user ON memberships (user_id);
CREATE INDEX memberships_of_email ON memberships (email);

-- Tokens sent in links; only their SHA-256 is here.
CREATE TABLE link_tokens (
    token_hash text NOT NULL PRIMARY KEY,
    purpose    text NOT NULL CHECK (purpose IN ('INVITATION', 'VERIFICATION', 'PASSWORD_RESET')),
    subject_id text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX link_tokens_of_subject ON link_tokens (subject_id, purpose);

CREATE TABLE events (
    id              text NOT NULL PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations,
    seq             integer NOT NULL,
    type            text NOT NULL,
    actor_id        text REFERENCES users,
    subject_id      text NOT NULL,
    summary         text NOT NULL,
    created_at      timestamptz NOT NULL,
    UNIQUE (organization_id, seq)
);

CREATE TABLE jobs (
    id         text NOT NULL PRIMARY KEY,
    kind       text NOT NULL,
    payload    text NOT NULL,
    run_at     timestamptz NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    last_error text,
    failed_at  timestamptz,
    created_at timestamptz NOT NULL
);
CREATE INDEX jobs_due ON jobs (run_at) WHERE failed_at IS NULL;

CREATE TABLE throttles (
    key        text NOT NULL PRIMARY KEY,
    hits       text NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX throttles_by_age ON throttles (updated_at);

-- +goose StatementBegin
CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'the log is never altered');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'the log is never altered');
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE throttles;
DROP TABLE jobs;
DROP TABLE events;
DROP TABLE link_tokens;
DROP TABLE memberships;
DROP TABLE organizations;
DROP TABLE api_tokens;
DROP TABLE sessions;
DROP TABLE users;
