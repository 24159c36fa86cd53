package main

// The comparison: the server and the baseline are asked the same, in turn, on the same database.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"studio/db"
)

type compareCommand struct {
	Organizations int      `default:"2000" help:"How many organizations the database holds; at least 20."`
	Rounds        int      `default:"5" help:"How often each is asked each question."`
	Seconds       float64  `default:"1" help:"How long a round lasts."`
	Questions     []string `default:"q0,q1,q2,q3,q4,m1" help:"What to ask."`
	Database      string   `default:"both" enum:"sqlite,postgres,both" help:"sqlite, postgres or both."`
}

// concurrencies are over how many connections is asked.
var concurrencies = []int{1, 32}

// Run compares on each database.
func (c *compareCommand) Run(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "studio-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	program, err := build(ctx, folder)
	if err != nil {
		return err
	}
	fmt.Println("Throughput, p50 and p99 are the server's divided by the baseline's; p50 and p99 are over all rounds.")
	for _, engine := range []string{"postgres", "sqlite"} {
		if c.Database != engine && c.Database != "both" {
			continue
		}
		if err := c.compare(ctx, program, filepath.Join(folder, engine), engine); err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
	}
	return nil
}

// compare compares on one database.
func (c *compareCommand) compare(ctx context.Context, program, folder, engine string) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	address, drop, err := seeded(ctx, program, folder, engine, c.Organizations)
	if err != nil {
		return err
	}
	defer drop()
	subjects, err := signIn(ctx, address, 50)
	if err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	server, err := startStudio(ctx, folder, program, address)
	if err != nil {
		return err
	}
	defer server.stop()
	baseline, err := start(ctx, filepath.Join(folder, "baseline.log"), own, []string{"STUDIO_DATABASE_URL=" + address}, "baseline")
	if err != nil {
		return err
	}
	defer baseline.stop()
	if err := server.settle(ctx); err != nil {
		return err
	}

	fmt.Printf("\n%s, %d organizations, %d rounds of %v s\n", engine, c.Organizations, c.Rounds, c.Seconds)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "question\tconnections\tmin\tmedian\tmax\tp50\tp99\tserver/s\tserver p50\tserver p99\tserver CPU a request\t")
	for _, q := range questions {
		if !slices.Contains(c.Questions, q.name) {
			continue
		}
		if err := same(ctx, &q, subjects, server, baseline); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		for _, connections := range concurrencies {
			row, err := c.measure(ctx, &q, subjects, connections, server, baseline)
			if err != nil {
				return fmt.Errorf("%s over %d connections: %w", q.name, connections, err)
			}
			fmt.Fprintln(table, row)
		}
	}
	used, err := server.usage()
	if err != nil {
		return err
	}
	_ = table.Flush()
	fmt.Printf("The server's resident memory at the end: %d MiB\n", used.memory>>20)
	return nil
}

// signIn gives some owners sessions, and chooses organizations of theirs.
func signIn(ctx context.Context, address string, most int) ([]*subject, error) {
	database, err := db.Open(address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = database.Close() }()
	all, err := subjectsOf(ctx, database, owners)
	if err != nil {
		return nil, err
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(most, len(all))]
	for _, s := range all {
		if s.token, err = newSession(ctx, database, s.viewer); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// owners are the founders of organizations.
const owners = `SELECT o.id, u.id, u.email FROM organizations AS o JOIN users AS u ON u.id = o.created_by_id ORDER BY o.id`

// subjectsOf reads who is not signed in yet.
func subjectsOf(ctx context.Context, database *db.DB, statement string) ([]*subject, error) {
	rows, err := database.Pool().QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []*subject
	for rows.Next() {
		s := &subject{}
		if err := rows.Scan(&s.organization, &s.viewer, &s.email); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// newSession signs a user in without a password, whose hashing would take most of the time.
func newSession(ctx context.Context, database *db.DB, userID string) (token string, err error) {
	token = db.NewToken()
	now := database.Now()
	return token, database.InsertSession(ctx, &db.Session{
		ID: db.NewID(db.SessionPrefix), UserID: userID, TokenHash: db.HashToken(token),
		CreatedAt: now, LastUsedAt: now, ExpiresAt: now.AddDate(0, 0, 30),
	})
}

// same makes sure that both answer a question alike, about each subject.
func same(ctx context.Context, q *question, subjects []*subject, server, baseline *process) error {
	for _, s := range subjects {
		var answers [2]any
		for i, one := range []struct {
			address string
			request []byte
		}{
			{server.address, q.toServer(s, newEmail())}, {baseline.address, q.toBaseline(s, newEmail())},
		} {
			connection, err := dial(ctx, one.address)
			if err != nil {
				return err
			}
			text, err := connection.ask(one.request)
			_ = connection.Close()
			if err != nil {
				return err
			}
			text = invitedPattern.ReplaceAll(text, []byte("invited")) // no two are invited by one address
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.UseNumber()
			if err := decoder.Decode(&answers[i]); err != nil {
				return err
			}
		}
		if !reflect.DeepEqual(answers[0], answers[1]) {
			first, _ := json.Marshal(answers[0])
			second, _ := json.Marshal(answers[1])
			return fmt.Errorf("the server and the baseline do not answer alike:\n%.3000s\n%.3000s", first, second)
		}
	}
	return nil
}

// measure asks both in rounds, each first in every other one, and returns a row of the table.
func (c *compareCommand) measure(ctx context.Context, q *question, subjects []*subject, connections int, server, baseline *process) (string, error) {
	type side struct {
		process   *process
		request   func(s *subject, email string) []byte
		prepared  [][]byte
		rates     []float64
		latencies []time.Duration
		cpu       time.Duration
	}
	sides := []*side{{process: server, request: q.toServer}, {process: baseline, request: q.toBaseline}}
	changes := slices.Contains(q.variables, "email")
	for _, s := range sides {
		for _, of := range subjects {
			s.prepared = append(s.prepared, s.request(of, ""))
		}
	}
	round := func(s *side, duration time.Duration) (*result, error) {
		var next atomic.Int64
		return load(ctx, s.process.address, connections, duration, func() []byte {
			i := int(next.Add(1)) % len(subjects)
			if changes {
				return s.request(subjects[i], newEmail())
			}
			return s.prepared[i]
		})
	}
	for _, s := range sides { // to warm up
		if _, err := round(s, 300*time.Millisecond); err != nil {
			return "", err
		}
	}
	for number := range c.Rounds {
		for i := range sides {
			s := sides[(i+number)%2]
			before, err := server.usage()
			if err != nil {
				return "", err
			}
			found, err := round(s, time.Duration(c.Seconds*float64(time.Second)))
			if err != nil {
				return "", err
			}
			if changes && s == sides[0] { // what follows the answer is part of it
				if err := server.settle(ctx); err != nil {
					return "", err
				}
			}
			after, err := server.usage()
			if err != nil {
				return "", err
			}
			s.rates = append(s.rates, found.perSecond())
			s.latencies = append(s.latencies, found.latencies...)
			s.cpu += after.cpu - before.cpu
		}
	}
	ours, theirs := sides[0], sides[1]
	ratios := make([]float64, c.Rounds)
	for i := range ratios {
		ratios[i] = ours.rates[i] / theirs.rates[i]
	}
	slices.Sort(ratios)
	slices.Sort(ours.rates)
	times := func(share float64) (ratio float64, own time.Duration) {
		own = quantile(ours.latencies, share)
		return float64(own) / float64(quantile(theirs.latencies, share)), own.Round(10 * time.Microsecond)
	}
	half, ownHalf := times(0.5)
	most, ownMost := times(0.99)
	return fmt.Sprintf("%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%v\t%v\t%v\t", q.name, connections,
		ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1], half, most,
		ours.rates[len(ours.rates)/2], ownHalf, ownMost, (ours.cpu / time.Duration(max(1, len(ours.latencies)))).Round(time.Microsecond)), nil
}
