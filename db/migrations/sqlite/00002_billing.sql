-- +goose Up
-- Who founded an organization has one free cloud instance over all the organizations they founded.
ALTER TABLE organizations ADD COLUMN created_by_id text REFERENCES users;
-- When its deletion began; nothing that costs money begins meanwhile.
ALTER TABLE organizations ADD COLUMN closing_at timestamptz;
UPDATE organizations SET created_by_id = (SELECT e.actor_id FROM events AS e
    WHERE e.organization_id = organizations.id AND e.type = 'ORGANIZATION_CREATED');

-- Jobs of one lane run one at a time: a leased job holds its lane.
ALTER TABLE jobs ADD COLUMN lane text;
ALTER TABLE jobs ADD COLUMN leased_until timestamptz;
CREATE UNIQUE INDEX jobs_one_a_lane ON jobs (lane) WHERE leased_until IS NOT NULL;

CREATE TABLE instances (
    id                 text NOT NULL PRIMARY KEY,
    organization_id    text NOT NULL REFERENCES organizations,
    name               text NOT NULL,
    type               text NOT NULL CHECK (type IN ('CLOUD', 'USER_INSTALLED')),
    status             text NOT NULL CHECK (status IN ('CREATING', 'ACTIVE', 'UPDATING', 'DELETING', 'FAILED')),
    url                text NOT NULL,
    region_id          text,
    compute_plan_id    text NOT NULL,
    storage_gb         integer,
    billing_interval   text NOT NULL CHECK (billing_interval IN ('MONTH', 'YEAR')),
    compute_amount     integer NOT NULL CHECK (compute_amount >= 0),
    storage_amount     integer NOT NULL CHECK (storage_amount >= 0),
    -- Set for a free cloud instance: there is one for each founder.
    free_for_user_id   text UNIQUE REFERENCES users,
    subscription_id    text UNIQUE,
    period_end         timestamptz,
    storage_changed_at timestamptz,
    -- The job whose turn it is, if any; what another does late has no effect.
    job_id             text,
    created_at         timestamptz NOT NULL,
    UNIQUE (organization_id, name),
    UNIQUE (organization_id, url),
    CHECK ((type = 'CLOUD') = (region_id IS NOT NULL)),
    CHECK ((type = 'CLOUD') = (storage_gb IS NOT NULL))
);

-- What Stripe knows of an organization, as far as it is shown; amounts are in cents.
CREATE TABLE billing_accounts (
    organization_id   text NOT NULL PRIMARY KEY REFERENCES organizations,
    customer_id       text NOT NULL UNIQUE,
    payment_method_id text,
    card_brand        text,
    card_last4        text,
    card_exp_month    integer,
    card_exp_year     integer,
    credit            integer NOT NULL DEFAULT 0,
    overdue           boolean NOT NULL DEFAULT false,
    created_at        timestamptz NOT NULL
);

CREATE TABLE invoices (
    id              text NOT NULL PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations,
    stripe_id       text NOT NULL UNIQUE,
    number          text,
    status          text NOT NULL CHECK (status IN ('DRAFT', 'OPEN', 'PAID', 'UNCOLLECTIBLE', 'VOID')),
    currency        text NOT NULL,
    subtotal        integer NOT NULL,
    discount        integer NOT NULL,
    tax             integer NOT NULL,
    total           integer NOT NULL,
    amount_paid     integer NOT NULL,
    amount_due      integer NOT NULL,
    attempts        integer NOT NULL,
    lines           text NOT NULL,
    hosted_url      text,
    pdf_url         text,
    period_start    timestamptz NOT NULL,
    period_end      timestamptz NOT NULL,
    paid_at         timestamptz,
    created_at      timestamptz NOT NULL
);
CREATE INDEX invoices_of_organization ON invoices (organization_id, id);

-- A code once an organization. Redemptions are counted here.
CREATE TABLE coupons (
    id                text NOT NULL PRIMARY KEY,
    organization_id   text NOT NULL REFERENCES organizations,
    promotion_code_id text NOT NULL,
    code              text NOT NULL,
    name              text NOT NULL,
    currency          text NOT NULL,
    amount_off        integer,
    percent_off       real,
    expires_at        timestamptz,
    -- Null while Stripe does not know of it yet.
    granted_at        timestamptz,
    added_at          timestamptz NOT NULL,
    added_by_id       text REFERENCES users,
    UNIQUE (organization_id, code),
    CHECK ((amount_off IS NULL) <> (percent_off IS NULL))
);
CREATE INDEX coupons_of_promotion_code ON coupons (promotion_code_id);

-- Webhooks that have had their effect.
CREATE TABLE stripe_events (
    id          text NOT NULL PRIMARY KEY,
    received_at timestamptz NOT NULL
);
CREATE INDEX stripe_events_by_age ON stripe_events (received_at);

-- The sandbox that stands in for Stripe: its objects as Stripe shows them, the answers it gave by
-- idempotency key, and by how much its clock is ahead.
CREATE TABLE sandbox_objects (
    id       text NOT NULL PRIMARY KEY,
    kind     text NOT NULL,
    customer text NOT NULL,
    body     text NOT NULL
);
CREATE INDEX sandbox_objects_of_customer ON sandbox_objects (kind, customer, id);

CREATE TABLE sandbox_answers (
    key        text NOT NULL PRIMARY KEY,
    request    text NOT NULL,
    status     integer NOT NULL,
    body       text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE sandbox_clock (
    id            integer NOT NULL PRIMARY KEY CHECK (id = 1),
    ahead_seconds integer NOT NULL
);
INSERT INTO sandbox_clock (id, ahead_seconds) VALUES (1, 0);

-- +goose Down
DROP TABLE sandbox_clock;
DROP TABLE sandbox_answers;
DROP TABLE sandbox_objects;
DROP TABLE stripe_events;
DROP TABLE coupons;
DROP TABLE invoices;
DROP TABLE billing_accounts;
DROP TABLE instances;
DROP INDEX jobs_one_a_lane;
ALTER TABLE jobs DROP COLUMN leased_until;
ALTER TABLE jobs DROP COLUMN lane;
ALTER TABLE organizations DROP COLUMN closing_at;
ALTER TABLE organizations DROP COLUMN created_by_id;
