-- +goose Up
-- Mutations that were sent with an Idempotency-Key. Neither the key nor the request is here, only
-- their SHA-256; there is no answer while the first request runs, and none for ever if it was cut off.
CREATE TABLE idempotency_keys (
    key_hash     text NOT NULL PRIMARY KEY,
    request_hash text NOT NULL,
    answer       text,
    created_at   timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
