-- +goose Up
-- Identifiers and folded names compare byte by byte (COLLATE "C"), so that order and pagination
-- are the same on every machine and on SQLite.
CREATE TABLE users (
    id                text COLLATE "C" PRIMARY KEY,
    email             text COLLATE "C" NOT NULL UNIQUE,
    first_name        text NOT NULL,
    last_name         text NOT NULL,
    name_key          text COLLATE "C" NOT NULL,
    password_hash     text NOT NULL,
    email_verified_at timestamptz,
    created_at        timestamptz NOT NULL
);

CREATE TABLE sessions (
    id           text COLLATE "C" PRIMARY KEY,
    user_id      text COLLATE "C" NOT NULL REFERENCES users,
    token_hash   text COLLATE "C" NOT NULL UNIQUE,
    user_agent   text,
    ip_address   text,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE api_tokens (
    id           text COLLATE "C" PRIMARY KEY,
    user_id      text COLLATE "C" NOT NULL REFERENCES users,
    name         text NOT NULL,
    token_hash   text COLLATE "C" NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    expires_at   timestamptz
);
CREATE INDEX api_tokens_of_user ON api_tokens (user_id);

-- A subdomain stays taken when its organization is deleted, so rows are kept.
CREATE TABLE organizations (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    name_key   text COLLATE "C" NOT NULL,
    subdomain  text COLLATE "C" NOT NULL UNIQUE,
    event_seq  bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);

CREATE TABLE memberships (
    id                    text COLLATE "C" PRIMARY KEY,
    organization_id       text COLLATE "C" NOT NULL REFERENCES organizations,
    email                 text COLLATE "C" NOT NULL,
    user_id               text COLLATE "C" REFERENCES users,
    status                text NOT NULL CHECK (status IN ('INVITED', 'ACCEPTED', 'DECLINED')),
    is_owner              boolean NOT NULL DEFAULT false,
    invited_by_id         text COLLATE "C" REFERENCES users,
    invited_at            timestamptz,
    invitation_expires_at timestamptz,
    invitation_delivery   text CHECK (invitation_delivery IN ('QUEUED', 'SENT', 'FAILED')),
    invitation_job_id     text COLLATE "C",
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
    token_hash text COLLATE "C" PRIMARY KEY,
    purpose    text NOT NULL CHECK (purpose IN ('INVITATION', 'VERIFICATION', 'PASSWORD_RESET')),
    subject_id text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX link_tokens_of_subject ON link_tokens (subject_id, purpose);

CREATE TABLE events (
    id              text COLLATE "C" PRIMARY KEY,
    organization_id text COLLATE "C" NOT NULL REFERENCES organizations,
    seq             bigint NOT NULL,
    type            text NOT NULL,
    actor_id        text COLLATE "C" REFERENCES users,
    subject_id      text COLLATE "C" NOT NULL,
    summary         text NOT NULL,
    created_at      timestamptz NOT NULL,
    UNIQUE (organization_id, seq)
);

CREATE TABLE jobs (
    id         text COLLATE "C" PRIMARY KEY,
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
    key        text COLLATE "C" PRIMARY KEY,
    hits       text NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX throttles_by_age ON throttles (updated_at);

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is never altered';
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER events_are_final BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_are_not_emptied BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose Down
DROP TABLE throttles, jobs, events, link_tokens, memberships, organizations, api_tokens, sessions, users;
DROP FUNCTION refuse_change;
