-- +goose Up
-- Whether a job is the first of its lane is found however many wait in the lane, or in others.
CREATE INDEX jobs_of_lane ON jobs (lane, run_at, id) WHERE lane IS NOT NULL AND failed_at IS NULL;

-- +goose Down
DROP INDEX jobs_of_lane;
