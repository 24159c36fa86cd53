// Package event is the organization's log: it writes what happened along with the change itself,
// and carries it to those who follow the organization live.
package event

import (
	"context"
	"errors"
	"time"

	"studio/db"
	"studio/fault"
)

// Retention is how far back a client can resume from.
const Retention = 30 * 24 * time.Hour

// Record writes an event in the transaction of the change that it is about. With the commit, and
// not before, it goes to everybody who follows the organization, on every replica. The actor is
// nil for what the system did; the summary must stay true when the subject is gone.
func Record(ctx context.Context, tx *db.DB, organizationID string, kind db.EventType, actor *db.User, subjectID, summary string) error {
	entry := &db.Event{
		ID:             db.NewID(db.EventPrefix),
		OrganizationID: organizationID,
		Type:           kind,
		SubjectID:      subjectID,
		Summary:        summary,
		CreatedAt:      tx.Now(),
	}
	if actor != nil {
		entry.ActorID = &actor.ID
	}
	endpoints, err := tx.InsertEvent(ctx, entry)
	if err != nil {
		return err
	}
	text := organizationID + " " + string(kind)
	if endpoints > 0 {
		if err := deliver(ctx, tx, entry); err != nil {
			return err
		}
		text += withDeliveries
	}
	tx.Signal(text)
	return nil
}

// Cursor is the place of an event in its organization's log.
func Cursor(e *db.Event) string { return db.EventList.Cursors(e.OrganizationID).Of(e.Key()) }

// Position reads a cursor to resume from: INVALID_INPUT when it is none of this organization's
// log, CURSOR_EXPIRED when it is older than Retention.
func Position(ctx context.Context, database *db.DB, organizationID, cursor string) (int64, error) {
	invalid := fault.Invalid("after", "This is not a cursor of the organization's events; use the cursor of an event that you received.")
	key, err := db.EventList.Cursors(organizationID).Parse(cursor)
	if err != nil {
		return 0, invalid
	}
	seq, _ := key[0].(int64)
	last, err := database.EventBySeq(ctx, organizationID, seq)
	if errors.Is(err, db.ErrNotFound) {
		return 0, invalid
	}
	if err != nil {
		return 0, err
	}
	if last.CreatedAt.Before(database.Now().Add(-Retention)) {
		return 0, fault.New(fault.CursorExpired,
			"This cursor is older than %d days. Read the organization anew, then subscribe without a cursor.", Retention/(24*time.Hour)).On("after")
	}
	return seq, nil
}

// VisibleTo reports whether a member may see an event: an owner all, another member the
// organization itself, its instances and their own membership.
func VisibleTo(member *db.Membership, e *db.Event) bool {
	if member.IsOwner || e.SubjectID == member.ID {
		return true
	}
	prefix := db.PrefixOf(e.SubjectID)
	return prefix == db.OrganizationPrefix || prefix == db.InstancePrefix
}
