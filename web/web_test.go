package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPages(t *testing.T) {
	t.Parallel()
	unbuilt := fstest.MapFS{"dist.html": {Data: []byte("how to build")}, "web.go": {Data: []byte("package web")}}
	built := fstest.MapFS{
		"dist.html":                  unbuilt["dist.html"],
		"web.go":                     unbuilt["web.go"],
		"dist/index.html":            {Data: []byte("the front end")},
		"dist/playground.html":       {Data: []byte("the playground")},
		"dist/favicon.svg":           {Data: []byte("<svg/>")},
		"dist/assets/index-Ab1_.js":  {Data: []byte("script")},
		"dist/assets/index-Ab1_.css": {Data: []byte("style")},
	}
	const forever, never = "public, max-age=31536000, immutable", "no-store"
	for name, test := range map[string]struct {
		files              fstest.MapFS
		path               string
		status             int
		body, media, cache string
	}{
		"Home":             {built, "/", 200, "the front end", "text/html; charset=utf-8", never},
		"DeepLink":         {built, "/organizations/demo/users", 200, "the front end", "text/html; charset=utf-8", never},
		"MailedLink":       {built, "/invitations/abc-DEF_1", 200, "the front end", "text/html; charset=utf-8", never},
		"Playground":       {built, "/playground", 200, "the playground", "text/html; charset=utf-8", never},
		"Script":           {built, "/assets/index-Ab1_.js", 200, "script", "text/javascript; charset=utf-8", forever},
		"Style":            {built, "/assets/index-Ab1_.css", 200, "style", "text/css; charset=utf-8", forever},
		"Icon":             {built, "/favicon.svg", 200, "<svg/>", "image/svg+xml", never},
		"MissingScript":    {built, "/assets/index-Old.js", 404, "not found", "text/plain; charset=utf-8", never},
		"MissingAsset":     {built, "/assets/index", 404, "not found", "text/plain; charset=utf-8", never},
		"MissingFile":      {built, "/wp-login.php", 404, "not found", "text/plain; charset=utf-8", never},
		"Traversal":        {built, "/assets/../../web.go", 404, "not found", "text/plain; charset=utf-8", never},
		"EncodedTraversal": {built, "/..%2f..%2fweb.go", 404, "not found", "text/plain; charset=utf-8", never},
		"Unbuilt":          {unbuilt, "/", 200, "how to build", "text/html; charset=utf-8", never},
		"UnbuiltDeepLink":  {unbuilt, "/playground", 200, "how to build", "text/html; charset=utf-8", never},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := httptest.NewRecorder()
			pages(test.files, false).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, test.path, http.NoBody))
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.body) {
				t.Errorf("answered with %d and %q", answer.Code, answer.Body)
			}
			header := answer.Header()
			for key, want := range map[string]string{
				"Content-Type": test.media, "Cache-Control": test.cache,
			} {
				if got := header.Get(key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
			if header.Get("Content-Security-Policy") != policy(false) {
				t.Error("there is no policy")
			}
		})
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	for method, status := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405} {
		answer := httptest.NewRecorder()
		Pages(false).ServeHTTP(answer, httptest.NewRequest(method, "/", http.NoBody))
		if answer.Code != status {
			t.Errorf("%s is answered with %d", method, answer.Code)
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	for stripe, sources := range map[bool]string{
		false: "script-src 'self';",
		true:  "script-src 'self' https://js.stripe.com https://*.js.stripe.com;",
	} {
		got := policy(stripe)
		if !strings.Contains(got, sources) || strings.Contains(got, "stripe.com") != stripe {
			t.Errorf("with Stripe %t the policy is %s", stripe, got)
		}
		answer := httptest.NewRecorder()
		Pages(stripe).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
		if sent := answer.Header().Get("Content-Security-Policy"); sent != got {
			t.Errorf("with Stripe %t the policy sent is %s", stripe, sent)
		}
		if popups := strings.HasSuffix(answer.Header().Get("Cross-Origin-Opener-Policy"), "allow-popups"); popups != stripe {
			t.Errorf("with Stripe %t windows that the page opens are kept: %t", stripe, popups)
		}
	}
}
