-- +goose Up
-- Where an organization has its events sent to. Secrets are derived from a key of the server's and
-- the numbers here, and are in no table.
CREATE TABLE webhook_endpoints (
    id              text COLLATE "C" PRIMARY KEY,
    organization_id text COLLATE "C" NOT NULL REFERENCES organizations,
    url             text NOT NULL,
    -- Separated by blanks; empty for all.
    event_types     text NOT NULL,
    secret_version  integer NOT NULL DEFAULT 1,
    rotated_at      timestamptz,
    failing_since   timestamptz,
    disabled_at     timestamptz,
    created_by_id   text COLLATE "C" REFERENCES users,
    created_at      timestamptz NOT NULL
);
CREATE INDEX webhook_endpoints_of_organization ON webhook_endpoints (organization_id, id);

CREATE TABLE webhook_deliveries (
    id              text COLLATE "C" PRIMARY KEY,
    endpoint_id     text COLLATE "C" NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    -- Null for a test.
    event_id        text COLLATE "C" REFERENCES events,
    job_id          text COLLATE "C" NOT NULL,
    status          text NOT NULL CHECK (status IN ('PENDING', 'DELIVERED', 'FAILED')),
    attempts        integer NOT NULL DEFAULT 0,
    status_code     integer,
    error           text,
    latency_ms      integer,
    attempted_at    timestamptz,
    created_at      timestamptz NOT NULL
);
CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);

-- How many endpoints that are not disabled an organization has, so that an event without any costs nothing.
ALTER TABLE organizations ADD COLUMN webhook_endpoints integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE organizations DROP COLUMN webhook_endpoints;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_endpoints;
