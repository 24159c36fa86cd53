// Command bench measures the server against a program written by hand that answers the same
// questions (the baseline), and how quickly the server delivers what happens to many streams.
package main

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

var commands struct {
	Compare  compareCommand  `cmd:"" default:"withargs" help:"Ask the server and the baseline the same questions (the default)."`
	Live     liveCommand     `cmd:"" help:"Open many streams to a server, and see how quickly and how completely events reach them."`
	Baseline baselineCommand `cmd:"" hidden:"" help:"Serve the baseline."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	parsed := kong.Parse(&commands, kong.Name("bench"), kong.Description("Run it with make bench or make bench-live, which start a PostgreSQL."))
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.FatalIfErrorf(parsed.Run())
}
