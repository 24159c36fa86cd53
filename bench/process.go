package main

// The processes that are measured, and the databases that they use.

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"
)

// build compiles the server into a folder, from the folder that bench runs in.
func build(ctx context.Context, folder string) (program string, err error) {
	program = filepath.Join(folder, "studio")
	out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("the server does not build: %s", out)
	}
	return program, nil
}

// seeded makes a database with so many organizations, and returns its URL.
func seeded(ctx context.Context, program, folder, engine string, organizations int) (address string, drop func(), err error) {
	address, drop = "sqlite:"+filepath.Join(folder, "studio.db"), func() {}
	if engine == "postgres" {
		if address, drop, err = newPostgres(ctx); err != nil {
			return "", nil, err
		}
	}
	seed := exec.CommandContext(ctx, program, "seed", "--organizations", strconv.Itoa(organizations))
	seed.Env = append(os.Environ(), "STUDIO_DATABASE_URL="+address)
	if out, err := seed.CombinedOutput(); err != nil {
		drop()
		return "", nil, fmt.Errorf("the database cannot be seeded: %s", out)
	}
	if engine == "postgres" { // as autovacuum would, a minute later
		err = onPostgres(ctx, address, "VACUUM ANALYZE")
	}
	return address, drop, err
}

// newPostgres makes a database on the server that with-postgres has started.
func newPostgres(ctx context.Context) (address string, drop func(), err error) {
	server := os.Getenv("STUDIO_TEST_POSTGRES_URL")
	if server == "" {
		return "", nil, errors.New("STUDIO_TEST_POSTGRES_URL is not set; use make bench or make bench-live, which start a PostgreSQL")
	}
	name := fmt.Sprintf("bench_%d", time.Now().UnixNano())
	if err := onPostgres(ctx, server, "CREATE DATABASE "+name); err != nil {
		return "", nil, err
	}
	before, query, _ := strings.Cut(server, "?")
	address = before[:strings.LastIndex(before, "/")+1] + name + "?" + query
	return address, func() {
		if err := onPostgres(context.WithoutCancel(ctx), server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}, nil
}

func onPostgres(ctx context.Context, address, statement string) error {
	pool, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(ctx, statement)
	return errors.Join(err, pool.Close())
}

// process is one that serves HTTP on the loopback interface.
type process struct {
	address string
	cmd     *exec.Cmd
}

// production are the settings that deploy/ makes, for the baseline too.
var production = []string{"GOGC=300", "GOMEMLIMIT=344MiB"}

// start starts a program at an address, by STUDIO_ADDR, and waits until it is ready.
// What it writes goes to a file.
func start(ctx context.Context, log, program string, settings []string, arguments ...string) (*process, error) {
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{address: free.Addr().String()}
	_ = free.Close()
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()
	p.cmd = exec.Command(program, arguments...)
	p.cmd.Env = slices.Concat(os.Environ(), production, settings, []string{"STUDIO_ADDR=" + p.address})
	p.cmd.Stdout, p.cmd.Stderr = output, output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		response, err := http.Get("http://" + p.address + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.stop()
	text, _ := os.ReadFile(log)
	return nil, fmt.Errorf("%s did not become ready: %s", filepath.Base(program), text)
}

// startStudio starts the server. Its limit of rates is there and never reached: one address asks all.
func startStudio(ctx context.Context, folder, program, database string) (*process, error) {
	return start(ctx, filepath.Join(folder, "studio.log"), program,
		[]string{"STUDIO_DATABASE_URL=" + database, "STUDIO_PUBLIC_URL=https://studio.example.com", "STUDIO_RATE_LIMIT=1000000"}, "serve")
}

// stop ends the process and waits for that.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	stuck := time.AfterFunc(40*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer stuck.Stop()
	_ = p.cmd.Wait()
}

// usage is what the server has taken of the machine, and how many streams it has.
type usage struct {
	cpu     time.Duration
	memory  int64 // resident, in bytes
	streams int
}

// usage asks the process for its metrics.
func (p *process) usage() (usage, error) {
	response, err := http.Get("http://" + p.address + "/metrics")
	if err != nil {
		return usage{}, err
	}
	defer func() { _ = response.Body.Close() }()
	values := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if name, value, found := strings.Cut(lines.Text(), " "); found && !strings.HasPrefix(name, "#") {
			values[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	cpu := values["process_cpu_seconds_total"]
	if cpu == 0 {
		return usage{}, errors.New("the server does not tell what it uses of the machine; bench needs Linux")
	}
	return usage{
		time.Duration(cpu * float64(time.Second)), int64(values["process_resident_memory_bytes"]), int(values["studio_streams"]),
	}, nil
}

// settle waits until the process has little to do: after its start, when the sweep compares
// each organization with Stripe, and after mutations, whose mails are sent after the answer.
func (p *process) settle(ctx context.Context) error {
	const look = 500 * time.Millisecond
	before, err := p.usage()
	if err != nil {
		return err
	}
	for calm, looks := 0, 0; calm < 2; looks++ {
		if looks == 1200 {
			return errors.New("the server does not come to rest")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		after, err := p.usage()
		if err != nil {
			return err
		}
		calm++
		if after.cpu-before.cpu > look/10 {
			calm = 0
		}
		before = after
	}
	return nil
}
