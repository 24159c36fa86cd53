package webhook

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"code.dny.dev/ssrf"
)

// TestDial is about names, whose addresses are known only when they are dialed.
func TestDial(t *testing.T) {
	t.Parallel()
	var reached int
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(server.Close)
	for _, test := range []struct {
		name     string
		networks []netip.Prefix
		refused  bool
	}{
		{"Closed", nil, true},
		{"OtherNetwork", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true},
		{"Allowed", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			reached = 0
			client := newClient(newGuard(test.networks))
			for _, address := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, nil)
				if err != nil {
					t.Fatal(err)
				}
				response, err := client.Do(request)
				if err == nil {
					_ = response.Body.Close()
				}
				if errors.Is(err, ssrf.ErrProhibitedIP) != test.refused || (err == nil) == test.refused {
					t.Errorf("%s: %v", address, err)
				}
			}
			if (reached == 0) != test.refused {
				t.Errorf("reached %d times", reached)
			}
		})
	}
}
