-- +goose Up
-- A secret may be replaced again while messages are still signed with those before it.
ALTER TABLE webhook_endpoints ADD COLUMN oldest_secret integer NOT NULL DEFAULT 1;
UPDATE webhook_endpoints SET oldest_secret = secret_version - 1 WHERE secret_version > 1;

-- +goose Down
ALTER TABLE webhook_endpoints DROP COLUMN oldest_secret;
