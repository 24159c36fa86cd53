package main

// The load: so many connections, each of which asks anew as soon as it is answered. It speaks HTTP
// by itself, as net/http's client would take as much of the machine as what is measured.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// connection is one that is kept.
type connection struct {
	net.Conn
	reader *bufio.Reader
	body   bytes.Buffer
}

func dial(ctx context.Context, address string) (*connection, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, reader: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// ask sends a request and reads the answer, which is good until the next.
func (c *connection) ask(request []byte) ([]byte, error) {
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	c.body.Reset()
	_, err = io.Copy(&c.body, response.Body)
	_ = response.Body.Close()
	if err == nil && (response.StatusCode != http.StatusOK || bytes.Contains(c.body.Bytes(), []byte(`"errors":`))) {
		err = fmt.Errorf("answered %d: %.500s", response.StatusCode, c.body.Bytes())
	}
	return c.body.Bytes(), err
}

// result is what a round of load saw.
type result struct {
	latencies []time.Duration
	took      time.Duration
}

// perSecond is the throughput.
func (r *result) perSecond() float64 { return float64(len(r.latencies)) / r.took.Seconds() }

// load asks over so many connections for a time.
func load(ctx context.Context, address string, connections int, duration time.Duration, request func() []byte) (*result, error) {
	var mu sync.Mutex
	var failed error
	all := &result{}
	var open []*connection
	for range connections {
		c, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		open = append(open, c)
	}
	began := time.Now()
	var asking sync.WaitGroup
	for _, c := range open {
		asking.Go(func() {
			var latencies []time.Duration
			var err error
			for at := time.Now(); err == nil && at.Sub(began) < duration && ctx.Err() == nil; {
				_, err = c.ask(request())
				now := time.Now()
				latencies = append(latencies, now.Sub(at))
				at = now
			}
			mu.Lock()
			defer mu.Unlock()
			all.latencies = append(all.latencies, latencies...)
			if err != nil {
				failed = err
			}
		})
	}
	asking.Wait()
	all.took = time.Since(began)
	if failed == nil {
		failed = ctx.Err()
	}
	return all, failed
}

// quantile is the latency that such a share of all stay within.
func quantile(latencies []time.Duration, share float64) time.Duration {
	if len(latencies) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(latencies))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
