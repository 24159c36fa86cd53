package organization

import "context"

// Close is the job of Delete.
func (o *Organizations) Close(ctx context.Context, organizationID, actorID string) error {
	return o.close(ctx, "job_1", closePayload{organizationID, actorID})
}
