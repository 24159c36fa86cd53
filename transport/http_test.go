package transport

// Tests of operations over HTTP POST and GET.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// answer is what a test looks at in an HTTP response.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request; headers are given as "Name: value".
func send(t *testing.T, server *httptest.Server, method, query, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Add(name, value)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(content)}
}

// expect compares an answer with the status, and the code of its first error or else its body.
func (a answer) expect(t *testing.T, status int, want string) {
	t.Helper()
	var body struct {
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
	}
	got := a.body
	if err := json.Unmarshal([]byte(got), &body); err == nil && len(body.Errors) > 0 {
		got = body.Errors[0].Extensions.Code
		if body.Errors[0].Message == "" {
			t.Errorf("the error has no message: %s", a.body)
		}
		if strings.Contains(a.body, "hunter2") {
			t.Errorf("the answer shows what is inside: %s", a.body)
		}
	}
	if a.status != status || got != want {
		t.Errorf("got %d %s, want %d %s\n%s", a.status, got, status, want, a.body)
	}
}

const (
	sendsJSON       = "Content-Type: application/json"
	acceptsResponse = "Accept: application/graphql-response+json"
	acceptsEvents   = "Accept: text/event-stream"
	withCookie      = "Cookie: studio_session=1"
	typename        = `{"query":"{__typename}"}`
	isQuery         = `{"data":{"__typename":"Query"}}`
)

func TestPost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body    string
		headers []string
		status  int
		want    string
	}{
		"Query":               {typename, nil, 200, isQuery},
		"Mutation":            {`{"query":"mutation{touch}"}`, nil, 200, `{"data":{"touch":1}}`},
		"Nulls":               {`{"query":"{__typename}","variables":null,"operationName":null,"extensions":null}`, nil, 200, isQuery},
		"OperationName":       {`{"query":"query A{__typename} query B{b:__typename}","operationName":"B"}`, nil, 200, `{"data":{"b":"Query"}}`},
		"Charset":             {typename, []string{"Content-Type: application/json; charset=UTF-8"}, 200, isQuery},
		"WrongCharset":        {typename, []string{"Content-Type: application/json; charset=latin1"}, 415, "BAD_REQUEST"},
		"Compressed":          {typename, []string{sendsJSON, "Content-Encoding: gzip"}, 415, "BAD_REQUEST"},
		"Form":                {"query=%7B__typename%7D", []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "BAD_REQUEST"},
		"NotAcceptable":       {typename, []string{sendsJSON, "Accept: text/html"}, 406, "BAD_REQUEST"},
		"Empty":               {"", nil, 400, "BAD_REQUEST"},
		"MalformedJSON":       {`{"query":"{__typename}"`, nil, 400, "BAD_REQUEST"},
		"TrailingGarbage":     {typename + "x", nil, 400, "BAD_REQUEST"},
		"TrailingBrace":       {typename + "}", nil, 400, "BAD_REQUEST"},
		"TwoValues":           {typename + typename, nil, 400, "BAD_REQUEST"},
		"InvalidUTF8":         {"{\"query\":\"{__typename}\xff\"}", nil, 400, "BAD_REQUEST"},
		"TooLarge":            {`{"query":"` + strings.Repeat(" ", 5000) + `{__typename}"}`, nil, 413, "BAD_REQUEST"},
		"NoQuery":             {`{"Query":"{__typename}"}`, nil, 400, "BAD_REQUEST"},
		"NullBody":            {`null`, nil, 400, "BAD_REQUEST"},
		"QueryType":           {`{"query":1}`, nil, 400, "BAD_REQUEST"},
		"VariablesType":       {`{"query":"{__typename}","variables":[]}`, nil, 400, "BAD_REQUEST"},
		"OperationNameType":   {`{"query":"{__typename}","operationName":{}}`, nil, 400, "BAD_REQUEST"},
		"ExtensionsType":      {`{"query":"{__typename}","extensions":"x"}`, nil, 400, "BAD_REQUEST"},
		"ParseFailure":        {`{"query":"{"}`, nil, 200, "GRAPHQL_PARSE_FAILED"},
		"ParseFailure400":     {`{"query":"{"}`, []string{sendsJSON, acceptsResponse}, 400, "GRAPHQL_PARSE_FAILED"},
		"ValidationFailed":    {`{"query":"{nope}"}`, nil, 200, "GRAPHQL_VALIDATION_FAILED"},
		"ValidationFailed400": {`{"query":"{nope}"}`, []string{sendsJSON, acceptsResponse}, 400, "GRAPHQL_VALIDATION_FAILED"},
		"FieldError":          {`{"query":"{fails}"}`, []string{sendsJSON, acceptsResponse}, 200, "INTERNAL"},
		"NullData":            {`{"query":"{broken}"}`, []string{sendsJSON, acceptsResponse}, 200, "INTERNAL"},
		"Panic":               {`{"query":"{panics}"}`, []string{sendsJSON, acceptsResponse}, 500, "INTERNAL"},
		"Subscription":        {`{"query":"subscription{wait}"}`, nil, 400, "BAD_REQUEST"},
		"Token":               {`{"query":"{caller}"}`, []string{sendsJSON, "Authorization: Bearer ada"}, 200, `{"data":{"caller":"Ada"}}`},
		"Cookie":              {`{"query":"{caller}"}`, []string{sendsJSON, withCookie}, 200, `{"data":{"caller":"session 1"}}`},
		"ForgedCookie":        {typename, []string{"Content-Type: text/plain", withCookie}, 403, "FORBIDDEN"},
		"ForgedCookieNoType":  {typename, []string{withCookie}, 403, "FORBIDDEN"},
		"CookieAndToken":      {`{"query":"{caller}"}`, []string{sendsJSON, withCookie, "Authorization: Bearer ada"}, 200, `{"data":{"caller":"Ada"}}`},
		"BadToken":            {typename, []string{sendsJSON, "Authorization: Bearer no"}, 401, "UNAUTHENTICATED"},
		"RateLimited":         {typename, []string{sendsJSON, "Authorization: Bearer busy"}, 429, "RATE_LIMITED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := serve(t, nil)
			headers := test.headers
			if headers == nil {
				headers = []string{sendsJSON}
			}
			send(t, server, "POST", "", test.body, headers...).expect(t, test.status, test.want)
		})
	}
}

func TestPostHeaders(t *testing.T) {
	t.Parallel()
	_, server := serve(t, nil)
	for _, test := range []struct{ request, header, want string }{
		{"Authorization: Bearer no", "WWW-Authenticate", "Bearer"},
		{"Authorization: Bearer busy", "Retry-After", "2"},
		{"Accept: application/json", "Cache-Control", "no-store"},
	} {
		got := send(t, server, "POST", "", typename, sendsJSON, test.request).header.Get(test.header)
		if got != test.want {
			t.Errorf("%s: %s is %q, want %q", test.request, test.header, got, test.want)
		}
	}
}

func TestPostNoDataBeforeExecution(t *testing.T) {
	t.Parallel()
	_, server := serve(t, nil)
	for query, present := range map[string]bool{"{": false, "{nope}": false, "{panics}": false, "{broken}": true} {
		body := send(t, server, "POST", "", fmt.Sprintf(`{"query":%q}`, query), sendsJSON).body
		if strings.Contains(body, `"data":null`) != present {
			t.Errorf("%s: data present, want %t: %s", query, present, body)
		}
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	_, server := serve(t, nil)
	for accept, want := range map[string]string{
		"":                                  typeJSON,
		"*/*":                               typeJSON,
		"application/*":                     typeJSON,
		"application/json":                  typeJSON,
		"application/graphql-response+json": typeGraphQLResponse,
		"text/html, */*;q=0.1":              typeJSON,
		"text/event-stream":                 typeEventStream,
		"TEXT/EVENT-STREAM":                 typeEventStream,
		"application/json;q=0.5, text/event-stream":                                        typeEventStream,
		"application/graphql-response+json; charset=utf-8, application/json;charset=utf-8": typeGraphQLResponse,
		"application/json;q=0.9, application/graphql-response+json;q=1":                    typeGraphQLResponse,
	} {
		got := send(t, server, "POST", "", typename, sendsJSON, "Accept: "+accept).header.Get("Content-Type")
		if got != want+"; charset=utf-8" {
			t.Errorf("%q: got %s, want %s", accept, got, want)
		}
	}
}

func TestMethod(t *testing.T) {
	t.Parallel()
	_, server := serve(t, nil)
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		answer := send(t, server, method, "", typename, sendsJSON)
		answer.expect(t, 405, "BAD_REQUEST")
		if allow := answer.header.Get("Allow"); allow != "GET, POST" {
			t.Errorf("%s: Allow is %q", method, allow)
		}
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		query   string
		headers []string
		status  int
		want    string
	}{
		"Query":            {"query={__typename}", nil, 200, isQuery},
		"Variables":        {`query=query($s:Boolean!){__typename @skip(if:$s)}&variables={"s":false}&extensions=&operationName=`, nil, 200, isQuery},
		"BadVariables":     {`query={__typename}&variables={`, nil, 400, "BAD_REQUEST"},
		"VariablesType":    {`query={__typename}&variables=[]`, nil, 400, "BAD_REQUEST"},
		"NoQuery":          {"", nil, 400, "BAD_REQUEST"},
		"Mutation":         {"query=mutation{touch}", nil, 405, "BAD_REQUEST"},
		"Subscription":     {"query=subscription{wait}", nil, 400, "BAD_REQUEST"},
		"ForgedCookie":     {"query={caller}", []string{withCookie}, 403, "FORBIDDEN"},
		"ForgedCookieText": {"query={caller}", []string{withCookie, "Content-Type: text/plain"}, 403, "FORBIDDEN"},
		"CookieJSON":       {"query={caller}", []string{withCookie, sendsJSON}, 200, `{"data":{"caller":"session 1"}}`},
		"Preflighted":      {"query={caller}", []string{withCookie, "GraphQL-Require-Preflight: 1"}, 200, `{"data":{"caller":"session 1"}}`},
		"InvalidUTF8":      {"query={__typename}\xff", nil, 400, "BAD_REQUEST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema, server := serve(t, nil)
			query := strings.NewReplacer("%3D", "=", "%26", "&").Replace(url.QueryEscape(test.query))
			answer := send(t, server, "GET", "?"+query, "", test.headers...)
			answer.expect(t, test.status, test.want)
			if answer.status == 405 && answer.header.Get("Allow") != "POST" {
				t.Errorf("Allow is %q", answer.header.Get("Allow"))
			}
			if schema.touched > 0 {
				t.Error("the mutation was executed")
			}
		})
	}
	t.Run("MalformedURL", func(t *testing.T) {
		t.Parallel()
		_, server := serve(t, nil)
		send(t, server, "GET", "?query={__typename}&x=%zz", "").expect(t, 400, "BAD_REQUEST")
	})
}

func TestBatch(t *testing.T) {
	t.Parallel()
	const touch = `{"query":"mutation{touch}"}`
	for name, test := range map[string]struct {
		body    string
		accept  string
		status  int
		want    string
		touched int
	}{
		"Order":        {"[" + touch + "," + touch + "]", acceptsResponse, 200, `[{"data":{"touch":1}},{"data":{"touch":2}}]`, 2},
		"One":          {"[" + touch + "]", acceptsResponse, 200, `[{"data":{"touch":1}}]`, 1},
		"Empty":        {"[]", acceptsResponse, 400, "BAD_REQUEST", 0},
		"TooLong":      {"[" + touch + "," + touch + "," + touch + "," + touch + "]", acceptsResponse, 400, "QUERY_TOO_COMPLEX", 0},
		"Malformed":    {"[" + touch + ",1]", acceptsResponse, 400, "BAD_REQUEST", 0},
		"Nested":       {"[[" + touch + "]]", acceptsResponse, 400, "BAD_REQUEST", 0},
		"Stream":       {"[" + touch + "]", acceptsEvents, 400, "BAD_REQUEST", 0},
		"FailureFirst": {`[{"query":"subscription{wait}"},{"query":"{"},` + touch + "]", acceptsResponse, 200, "BAD_REQUEST GRAPHQL_PARSE_FAILED ", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema, server := serve(t, func(h *Handler) { h.maxBatch = 3 })
			answer := send(t, server, "POST", "", test.body, sendsJSON, test.accept)
			if name == "FailureFirst" {
				answer.body = codes(t, answer.body)
			}
			answer.expect(t, test.status, test.want)
			if schema.touched != test.touched {
				t.Errorf("touched %d times, want %d", schema.touched, test.touched)
			}
		})
	}
}

// codes lists the first error code of each response in a batch.
func codes(t *testing.T, body string) (list string) {
	t.Helper()
	var responses []struct {
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.Unmarshal([]byte(body), &responses); err != nil {
		t.Fatal(err)
	}
	for _, response := range responses {
		for _, err := range response.Errors {
			list += err.Extensions.Code + " "
		}
	}
	return list
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	_, server := serve(t, func(h *Handler) { h.timeout = 50 * time.Millisecond })
	send(t, server, "POST", "", `{"query":"{slow}"}`, sendsJSON).expect(t, 200, "UNAVAILABLE")
}

func TestCallerGone(t *testing.T) {
	t.Parallel()
	for _, mediaType := range []string{typeJSON, typeEventStream} {
		t.Run(mediaType, func(t *testing.T) {
			t.Parallel()
			schema, server := serve(t, func(h *Handler) { h.timeout, h.keepAlive = time.Hour, time.Hour }) // which would end it, too
			ctx, cancel := context.WithCancel(t.Context())
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(`{"query":"{slow}"}`))
			if err != nil {
				t.Fatal(err)
			}
			request.Header = http.Header{"Content-Type": {typeJSON}, "Accept": {mediaType}}
			request.Header.Set(IdempotencyHeader, "key") // which lets only mutations go on
			go func() {
				<-schema.started
				cancel()
			}()
			if response, err := server.Client().Do(request); err == nil { // a stream begins before the query ends
				body, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if err == nil {
					t.Fatalf("the request was answered %s", body)
				}
			}
			arrives(t, schema.canceled, "cancellation")
		})
	}
}
