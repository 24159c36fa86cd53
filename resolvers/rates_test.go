package resolvers_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/realclientip/realclientip-go"
	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
	"studio/resolvers"
)

// rated runs a test against a server that allows one operation a second to a caller, hence ten at
// once, and forty to an address. It believes proxies on this machine if it is to.
func rated(t *testing.T, behindProxy bool, test func(s *studio)) {
	t.Helper()
	options := resolvers.HandlerOptions{RateLimit: 1}
	if behindProxy {
		trusted, err := realclientip.AddressesAndRangesToIPNets("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		options.TrustedProxies = trusted
	}
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		test(start(t, open, &dbtest.Clock{Start: time.Now()}).beside(options, loaderWait))
	})
}

// allowed sends an operation until it is refused, and returns how often it was not.
func allowed(send func() *answer) (count int, refusal *answer) {
	for ; count < 100; count++ {
		if a := send(); gjson.Get(a.body, "errors.0.extensions.code").String() == string(fault.RateLimited) {
			return count, a
		}
	}
	return count, &answer{} // it is never refused
}

func TestRates(t *testing.T) {
	t.Parallel()
	const anything = `{"query":"{ viewer { id } }"}`
	t.Run("Caller", func(t *testing.T) {
		rated(t, false, func(s *studio) {
			// Who is slowed down must not have signed up here, as that counts too.
			greedy, other := s.with("greedy"), s.with("other")
			for _, wants := range []int{10, 0} {
				if count, _ := allowed(func() *answer { return greedy.postJSON(anything) }); count != wants {
					s.Errorf("%d operations were allowed, want %d", count, wants)
				}
			}
			for range 40 { // which must not be what the address may send
				greedy.postJSON(anything)
			}
			s.statements.take()
			a := greedy.postJSON(anything)
			if sent := s.ofRequests(); len(sent) > 0 {
				s.Errorf("statements were sent for what is refused: %v", sent)
			}
			if wait := gjson.Get(a.body, "errors.0.extensions.retryAfter").Int(); a.status != http.StatusTooManyRequests ||
				a.header.Get("Retry-After") != "1" || wait != 1 {
				s.Errorf("got %d, Retry-After %q and %s", a.status, a.header.Get("Retry-After"), a.body)
			}
			if count, _ := allowed(func() *answer { return other.postJSON(anything) }); count != 10 {
				s.Errorf("%d operations of somebody else were allowed, want 10", count)
			}
			s.clock.Advance(time.Second)
			if count, _ := allowed(func() *answer { return greedy.postJSON(anything) }); count != 1 {
				s.Errorf("after a second %d operations were allowed, want 1", count)
			}
		})
	})
	t.Run("Batch", func(t *testing.T) {
		rated(t, false, func(s *studio) {
			const three = "[" + anything + "," + anything + "," + anything + "]"
			if count, a := allowed(func() *answer { return s.nobody().postJSON(three) }); count != 3 || a.status != http.StatusTooManyRequests {
				s.Errorf("%d batches of three were allowed, want 3, and the next was answered %+v", count, a)
			}
		})
	})
	t.Run("LogFile", func(t *testing.T) {
		rated(t, false, func(s *studio) {
			ways := map[string]func(p *person) *answer{
				"operations": func(p *person) *answer { return p.postJSON(anything) },
				"NDJSON":     func(p *person) *answer { return p.download("org", "events.ndjson", nil) },
				"CSV":        func(p *person) *answer { return p.download("org", "events.csv", nil) },
			}
			for spent, spend := range ways {
				caller := s.with(spent)
				for range 10 {
					if a := spend(caller); a.status == http.StatusTooManyRequests {
						s.Errorf("%s were refused before the limit", spent)
					}
				}
				for asked, ask := range ways {
					if a := ask(caller); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
						s.Errorf("after ten %s, %s was answered %d with %v", spent, asked, a.status, a.header)
					}
				}
			}
		})
	})
	t.Run("SSE", func(t *testing.T) {
		rated(t, false, func(s *studio) {
			follow := http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
			count, a := allowed(func() *answer { return s.nobody().post(follow, anything) })
			if count != 10 || a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
				s.Errorf("%d streams were allowed, want 10, and the next was answered %+v", count, a)
			}
		})
	})
	t.Run("WebSocket", func(t *testing.T) {
		rated(t, false, func(s *studio) {
			send := overOpen(s.nobody())
			count, a := allowed(func() *answer { return send(nil, "{ viewer { id } }") })
			if wait := gjson.Get(a.body, "errors.0.extensions.retryAfter").Int(); count != 9 || wait != 1 {
				s.Errorf("%d operations were allowed after the opening, want 9, and the next was answered %s", count, a.body)
			}
			socket, response, err := s.dial(nil)
			if err != nil {
				s.Fatalf("%v: %v", response, err)
			}
			socket.send(vars{"type": "connection_init"})
			if message, err := socket.receive(); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
				s.Errorf("got %s, %v instead of a close with 1013", message, err)
			}
		})
	})
	t.Run("Address", func(t *testing.T) {
		rated(t, false, func(s *studio) {
			callers := 0
			count, _ := allowed(func() *answer {
				callers++
				return s.with(fmt.Sprint("token", callers)).postJSON(anything)
			})
			if count != 40 {
				s.Errorf("%d operations of as many callers were allowed, want 40", count)
			}
		})
	})
	t.Run("ForgedAddress", func(t *testing.T) {
		rated(t, false, func(s *studio) {
			clients := 0
			count, _ := allowed(func() *answer {
				clients++
				return s.from(fmt.Sprint("203.0.113.", clients), anything)
			})
			if count != 10 {
				s.Errorf("%d operations were allowed, want 10", count)
			}
		})
	})
	t.Run("BehindProxy", func(t *testing.T) {
		rated(t, true, func(s *studio) {
			for _, test := range []struct {
				client string
				want   int
			}{
				{"203.0.113.1", 10},
				{"203.0.113.2", 10},
				{"203.0.113.66, 203.0.113.1", 0},
				{"2001:db8::1", 10},
				{"2001:db8::2", 0}, // of the same /64
				{"2001:db8:0:1::1", 10},
			} {
				if count, _ := allowed(func() *answer { return s.from(test.client, anything) }); count != test.want {
					s.Errorf("%d operations from %s were allowed, want %d", count, test.client, test.want)
				}
			}
		})
	})
}

// from sends a request that says which client it comes from.
func (s *studio) from(client, body string) *answer {
	s.Helper()
	return s.nobody().post(http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {client}}, body)
}
