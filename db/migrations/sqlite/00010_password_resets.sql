-- +goose Up
-- Until the first time, the password may be that of somebody who signed up with another's address.
ALTER TABLE users ADD COLUMN password_reset_at timestamptz;

-- +goose Down
ALTER TABLE users DROP COLUMN password_reset_at;
