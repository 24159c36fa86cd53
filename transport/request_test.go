package transport

// Requests that nobody would think of.

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzBody shows that every body has a response in JSON, with data or with errors that have a code.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		typename, "[" + typename + "]", "[[]]", "null", "{}", `"{}"`, "\xff", typename + "}", `{"query":"{"}`, `{"query":"{nope}"}`,
		`{"query":"query A($to:Int){caller}","operationName":"A","variables":{"to":1e999},"extensions":{}}`,
		`{"query":"subscription{count(to:1)}"}`, `{"query":"mutation{touch}"}`, `{"query":"{...F}fragment F on Query{...F}"}`,
		`{"query":"{fails broken panics}"}`, `{"query":"{__schema{types{name}}}"}`, `{"query":"{__type(name:1){name}}"}`,
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":1}}}`, `{"query":"query($a:[[Int!]!]=[[null]]){caller @skip(if:$a)}"}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		schema, handler := newHandler()
		handler.timeout = 10 * time.Millisecond // of what waits
		close(schema.finish)
		request := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(body))
		request.Header.Set("Content-Type", typeJSON)
		request.Header.Set("Accept", typeGraphQLResponse)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)

		if !slices.Contains([]int{200, 400, 413, 500, 503}, recorder.Code) {
			t.Errorf("answered with the status %d", recorder.Code)
		}
		if recorder.Code == 500 && !strings.Contains(recorder.Body.String(), "Something failed here") {
			t.Errorf("failed with %s", recorder.Body)
		}
		type response struct {
			Data   json.RawMessage
			Errors []struct {
				Message    string
				Extensions struct{ Code string }
			}
		}
		text := recorder.Body.String()
		if !strings.HasPrefix(text, "[") {
			text = "[" + text + "]"
		}
		var responses []response
		if err := json.Unmarshal([]byte(text), &responses); err != nil || len(responses) == 0 {
			t.Fatalf("answered with %s: %v", recorder.Body, err)
		}
		for _, response := range responses {
			if len(response.Data) == 0 && len(response.Errors) == 0 {
				t.Errorf("neither data nor errors: %s", recorder.Body)
			}
			for _, problem := range response.Errors {
				if problem.Message == "" || problem.Extensions.Code == "" {
					t.Errorf("an error without a code or a message: %s", recorder.Body)
				}
			}
		}
	})
}
