package resolvers

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/realclientip/realclientip-go"

	"studio/account"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted, err := realclientip.AddressesAndRangesToIPNets("10.0.0.0/8", "2001:db8::/32")
	if err != nil {
		t.Fatal(err)
	}
	addressOf := clientAddress(trusted)
	for _, test := range []struct {
		name, remote, forwarded, want string
	}{
		{"Direct", "198.51.100.7:4711", "", "198.51.100.7"},
		{"ForgedHeader", "198.51.100.7:4711", "203.0.113.9", "198.51.100.7"},
		{"BehindProxy", "10.1.2.3:80", "203.0.113.9", "203.0.113.9"},
		{"BehindTwoProxies", "10.1.2.3:80", "203.0.113.9, 10.9.9.9", "203.0.113.9"},
		{"ForgedBeforeProxy", "10.1.2.3:80", "127.0.0.1, 203.0.113.9", "203.0.113.9"},
		{"ProxyWithoutHeader", "10.1.2.3:80", "", "10.1.2.3"},
		{"ProxyWithGarbage", "10.1.2.3:80", "somewhere", "10.1.2.3"},
		{"IPv6Proxy", "[2001:db8::1]:80", "203.0.113.9", "203.0.113.9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequestWithContext(t.Context(), "POST", "/graphql", nil)
			request.RemoteAddr = test.remote
			if test.forwarded != "" {
				request.Header.Set("X-Forwarded-For", test.forwarded)
			}
			if got := addressOf(request); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestRatesForgotten(t *testing.T) {
	t.Parallel()
	r := newRates(1, time.Now)
	for key := range uint64(maxRates + 10) {
		r.take(key, key, 1)
	}
	if addresses, callers := r.addresses.byKey.Len(), r.callers.byKey.Len(); addresses != maxRates || callers != maxRates {
		t.Errorf("%d addresses and %d callers are remembered, want %d", addresses, callers, maxRates)
	}
}

// BenchmarkRates measures what counting adds to an operation.
func BenchmarkRates(b *testing.B) {
	in := &request{token: "studio_ses_0123456789", client: account.Client{IPAddress: "203.0.113.9"}}
	ctx := context.WithValue(b.Context(), requestKey{}, in)
	r := newRates(1_000_000, time.Now)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = r.limit(ctx, 1)
		}
	})
}
