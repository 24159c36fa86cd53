package resolvers_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, origin, want string
	}{
		{"Allowed", "https://front-end.example.com", "https://front-end.example.com"},
		{"Foreign", "https://elsewhere.example.com", ""},
		{"OtherScheme", "http://front-end.example.com", ""},
		{"Null", "null", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			on(t, func(s *studio) {
				headers := "authorization,content-type,graphql-require-preflight"
				preflight := s.preflight(http.Header{
					"Origin":                         {test.origin},
					"Access-Control-Request-Method":  {http.MethodPost},
					"Access-Control-Request-Headers": {headers},
				})
				if got := preflight.Get("Access-Control-Allow-Origin"); got != test.want {
					t.Errorf("the preflight allows %q, want %q", got, test.want)
				}
				allowed := test.want != ""
				if got := preflight.Get("Access-Control-Allow-Credentials") == "true"; got != allowed {
					t.Errorf("the preflight allows credentials: %t", got)
				}
				if got := strings.EqualFold(preflight.Get("Access-Control-Allow-Headers"), headers); got != allowed {
					t.Errorf("the preflight allows the headers %q", preflight.Get("Access-Control-Allow-Headers"))
				}
				a := s.nobody().post(http.Header{"Content-Type": {"application/json"}, "Origin": {test.origin}}, `{"query":"{ __typename }"}`)
				if got := a.header.Get("Access-Control-Allow-Origin"); got != test.want {
					t.Errorf("the answer is for %q, want %q", got, test.want)
				}
			})
		})
	}
}

// preflight is what a browser asks before a page of another origin may call.
func (s *studio) preflight(header http.Header) http.Header {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodOptions, s.url+"/graphql", nil)
	if err != nil {
		s.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.Header
}
