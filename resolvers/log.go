package resolvers

// The log as a file: an organization's whole log, for its owners, as NDJSON or as CSV.

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"studio/db"
	"studio/fault"
	"studio/transport"
)

const (
	// logPage is how many events are in memory at once.
	logPage = 500
	// logPageTimeout is how long a client may take to take them.
	logPageTimeout = 30 * time.Second
)

// logColumns are the CSV's header, and the keys of an object in NDJSON.
var logColumns = []string{"seq", "id", "type", "createdAt", "actorId", "actorName", "actorEmail", "subjectId", "summary"}

// logEntry is an event as it stands in the file.
type logEntry struct {
	Seq        int64     `json:"seq"`
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	CreatedAt  time.Time `json:"createdAt"`
	ActorID    *string   `json:"actorId"` // these three are null for what the system did
	ActorName  *string   `json:"actorName"`
	ActorEmail *string   `json:"actorEmail"`
	SubjectID  string    `json:"subjectId"`
	Summary    string    `json:"summary"`
}

// log serves the log oldest first, up to what has happened meanwhile. Who may not read it gets the answer
// that GraphQL gives them.
func (r *Resolvers) log(options HandlerOptions, limit limiter) http.Handler {
	admit := r.admit(options, limit)
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		organizationID, asCSV := request.PathValue("id"), strings.HasSuffix(request.URL.Path, ".csv")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		ctx, err := admit(request.Context(), nil, request, request.Header.Get("Authorization"))
		if err == nil {
			err = limit(ctx, 1)
		}
		if err == nil {
			ctx, err = r.permitLog(ctx, organizationID)
		}
		var organization *db.Organization
		if err == nil {
			organization, err = loadersOf(ctx).existingOrganization(ctx, organizationID)
		}
		if err != nil {
			refuseLog(ctx, w, err)
			return
		}
		write, mediaType, name := ndjson(w), "application/x-ndjson", "events.ndjson"
		if asCSV {
			write, mediaType, name = commaSeparated(w), "text/csv; charset=utf-8; header=present", "events.csv"
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s"`, organization.Subdomain, name))
		if request.Method == http.MethodHead {
			return
		}
		if err := r.writeLog(ctx, w, organizationID, write); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("a log was not sent to its end")
			panic(http.ErrAbortHandler) // so that half a file does not pass for a whole one
		}
	})
}

// permitLog refuses who does not own the organization now.
func (r *Resolvers) permitLog(ctx context.Context, organizationID string) (context.Context, error) {
	caller, err := r.lookUp(ctx, requestOf(ctx).current())
	if err != nil {
		return ctx, err
	}
	ctx = r.withLoaders(context.WithValue(ctx, operationKey{}, &operation{caller: caller}))
	return ctx, r.permit(ctx, organizationID, true, fault.ErrNoOrganization)
}

// writeLog reads page by page, and asks before each whether the caller may still read.
func (r *Resolvers) writeLog(ctx context.Context, w http.ResponseWriter, organizationID string, write func([]logEntry) error) error {
	controller := http.NewResponseController(w)
	for seq := int64(0); ; {
		ctx, err := r.permitLog(ctx, organizationID)
		if err != nil {
			return err
		}
		events, err := r.DB.EventsAfter(ctx, organizationID, seq, logPage)
		if err != nil {
			return err
		}
		entries, err := r.logEntries(ctx, events)
		if err != nil {
			return err
		}
		_ = controller.SetWriteDeadline(time.Now().Add(logPageTimeout))
		if err := write(entries); err != nil || len(events) < logPage {
			return err
		}
		seq = events[len(events)-1].Seq
	}
}

func (r *Resolvers) logEntries(ctx context.Context, events []*db.Event) ([]logEntry, error) {
	actors := map[string]*db.User{}
	var ids []string
	for _, e := range events {
		if e.ActorID != nil && actors[*e.ActorID] == nil {
			actors[*e.ActorID] = &db.User{}
			ids = append(ids, *e.ActorID)
		}
	}
	if len(ids) > 0 {
		users, err := r.DB.UsersByID(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i, user := range users {
			actors[ids[i]] = user
		}
	}
	entries := make([]logEntry, len(events))
	for i, e := range events {
		entries[i] = logEntry{
			Seq: e.Seq, ID: e.ID, Type: string(e.Type), CreatedAt: e.CreatedAt, ActorID: e.ActorID, SubjectID: e.SubjectID, Summary: e.Summary,
		}
		if e.ActorID != nil {
			name := actors[*e.ActorID].Name()
			entries[i].ActorName, entries[i].ActorEmail = &name, &actors[*e.ActorID].Email
		}
	}
	return entries, nil
}

// ndjson writes an object a line.
func ndjson(w io.Writer) func([]logEntry) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return func(entries []logEntry) error {
		for _, entry := range entries {
			if err := encoder.Encode(entry); err != nil {
				return err
			}
		}
		return nil
	}
}

// commaSeparated writes a header, and then a row an entry, as in RFC 4180.
func commaSeparated(w io.Writer) func([]logEntry) error {
	writer := csv.NewWriter(w)
	writer.UseCRLF = true
	_ = writer.Write(logColumns) // the next Flush returns its error
	return func(entries []logEntry) error {
		for _, e := range entries {
			_ = writer.Write([]string{
				strconv.FormatInt(e.Seq, 10), e.ID, e.Type, e.CreatedAt.Format(time.RFC3339Nano),
				optionalCell(e.ActorID), optionalCell(e.ActorName), optionalCell(e.ActorEmail), e.SubjectID, cell(e.Summary),
			})
		}
		writer.Flush()
		return writer.Error()
	}
}

// cell keeps a spreadsheet from taking what a user typed for a formula.
func cell(text string) string {
	if strings.IndexAny(text, "=+-@\t\r") == 0 {
		return "'" + text
	}
	return text
}

func optionalCell(text *string) string {
	if text == nil {
		return ""
	}
	return cell(*text)
}

// refuseLog answers with the status of an error and its message.
func refuseLog(ctx context.Context, w http.ResponseWriter, err error) {
	shown := present(ctx, err)
	status := transport.Refuse(w.Header(), shown)
	if shown.Extensions["code"] == string(fault.NotFound) { // GraphQL answers this with another status
		status = http.StatusNotFound
	}
	http.Error(w, shown.Message, status)
}
