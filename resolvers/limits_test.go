package resolvers_test

// Limits hold on every way to send an operation, before the database hears of it.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"studio/fault"
)

// ways are all that there are to send an operation. Each returns its response.
var ways = map[string]func(p *person, query string) *answer{
	"Post": func(p *person, query string) *answer { return p.send(query, nil) },
	"Get": func(p *person, query string) *answer {
		return p.fetch(query, http.Header{"Authorization": {"Bearer " + p.token}})
	},
	"Batch": func(p *person, query string) *answer {
		p.Helper()
		body, err := json.Marshal([]vars{{"query": query}})
		if err != nil {
			p.Fatal(err)
		}
		a := p.postJSON(string(body))
		a.body = gjson.Get(a.body, "0").Raw
		return a
	},
	"SSE":       func(p *person, query string) *answer { return first(overSSE(p, query, nil)) },
	"WebSocket": func(p *person, query string) *answer { return first(overWebSocket(p, query, nil)) },
}

// first is the first answer of a stream, whatever it is.
func first(s *stream) *answer {
	s.Helper()
	a, err := s.next()
	if err != nil || a == nil {
		s.Fatalf("there is no answer: %v", err)
	}
	return a
}

// nestedFragments is as deep as nested, with a fragment for each two levels.
func nestedFragments(depth int) string {
	levels := (depth - 4) / 2
	var fragments strings.Builder
	for i := range levels {
		fmt.Fprintf(&fragments, " fragment F%d on Organization { viewerMembership { organization { ...F%d } } }", i, i+1)
	}
	return fmt.Sprintf("{ viewer { organizations { nodes { ...F0 } } } }%s fragment F%d on Organization { id }", &fragments, levels)
}

func TestLimitsOnEveryWay(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		s.settle()
		for name, query := range map[string]string{
			"Aliases":         "{" + numbered(101, " a%d: viewer { id }") + "}",
			"Depth":           nested(22),
			"DepthFragments":  nestedFragments(22),
			"DoubleFragments": doubling(60),
			"Directives":      "{" + strings.Repeat(" viewer @include(if: true) { id }", 101) + "}",
			"Fields":          "{ viewer {" + strings.Repeat(" ...A", 10) + " } } fragment A on Viewer {" + strings.Repeat(" id", 100) + " }",
			"Tokens":          "{ viewer {" + numbered(2500, " a%d: id") + " } }",
			"SameField":       "{ viewer {" + strings.Repeat(" id", 224) + " } }",
			"Conflicts":       "{ viewer { user {" + strings.Repeat(" id id: email", 112) + " } } }",
			"SameFragment":    "{ viewer {" + strings.Repeat(" ...A", 224) + " } } fragment A on Viewer { id }",
			"ManyOperations":  numbered(130, " query a%d { ...A }") + " fragment A on Query {" + numbered(300, " b%d") + " }",
			"Sessions":        "{ viewer {" + numbered(20, " a%d: sessions { id userAgent ipAddress createdAt expiresAt }") + " } }",
			"APITokens":       "{ viewer {" + numbered(20, " a%d: apiTokens { id name createdAt lastUsedAt expiresAt }") + " } }",
			"Invitations":     "{ viewer {" + numbered(50, " a%d: invitations { id email status invitedAt organization { id } }") + " } }",
			"Complexity":      `{ viewer { organizations(first: 100) { nodes { users(first: 50) { nodes { id } } } } } }`,
		} {
			for way, send := range ways {
				s.Run(name+way, func(t *testing.T) {
					p := owner.in(t)
					if way == "WebSocket" {
						send = overOpen(p) // which was authenticated when it was opened
					}
					s.statements.take()
					send(p, query).check(fault.QueryTooComplex, "")
					if sent := s.ofRequests(); len(sent) > 0 {
						t.Errorf("statements were sent: %v", sent)
					}
				})
			}
		}
		for _, query := range []string{nested(20), nestedFragments(20), "{ viewer {" + strings.Repeat(" id", 200) + " } }"} {
			for _, send := range ways {
				if a := send(owner, query); gjson.Get(a.body, "errors").Exists() {
					s.Errorf("what is within the limits is refused: %s", a.body)
				}
			}
		}
		for way, send := range ways {
			if errs := gjson.Get(send(owner, "{ viewer {"+numbered(200, " a%d")+" } }").body, "errors.#").Int(); errs != 100 {
				s.Errorf("%s: the answer has %d errors", way, errs)
			}
		}
	})
}

// overOpen sends operations over one WebSocket.
func overOpen(p *person) func(p *person, query string) *answer {
	p.Helper()
	socket, response, err := p.dial(nil)
	if err != nil {
		p.Fatalf("%v: %v", response, err)
	}
	socket.initialize(vars{"Authorization": "Bearer " + p.token})
	return func(_ *person, query string) *answer {
		stream := socket.subscribe("1", query, nil)
		a := first(stream)
		if more, err := stream.next(); more != nil || err != nil {
			socket.Fatalf("got %+v, %v instead of the end", more, err)
		}
		return a
	}
}
