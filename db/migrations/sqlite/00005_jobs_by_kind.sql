-- +goose Up
-- What is due of one kind is found however many of another kind wait.
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (kind, run_at, id) WHERE failed_at IS NULL;

-- +goose Down
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (run_at) WHERE failed_at IS NULL;
