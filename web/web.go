// Package web serves what people open in a browser: the front end and the Playground, both built by
// Vite from src.
package web

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
)

// The build is in dist, which is not committed. A pattern has to match something, also before the
// build: dist.html, which is shown instead.
//
//go:embed all:dist*
var files embed.FS

// Built tells whether the front end and the Playground have been built into this program.
func Built() bool {
	return built(files)
}

func built(files fs.FS) bool {
	_, err := fs.Stat(files, "dist/index.html")
	return err == nil
}

// Pages serves the front end and the Playground, or without a build a page that says how to build
// them. With stripe, the browser may load Stripe's card form from Stripe.
func Pages(stripe bool) http.Handler {
	return pages(files, stripe)
}

func pages(files fs.FS, stripe bool) http.Handler {
	opener := "same-origin"
	if stripe {
		opener = "same-origin-allow-popups" // wallets in Stripe's form open a window, and wait for its answer
	}
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy(stripe))
		header.Set("Cross-Origin-Opener-Policy", opener)
		header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		header.Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		name := page(r.URL.Path)
		if !built(files) && path.Ext(name) == ".html" {
			name = "dist.html"
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(name, "dist/assets/") {
			// The name holds a hash of the content, so another content has another name.
			header.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		if mediaType := mediaTypes[path.Ext(name)]; mediaType != "" {
			header.Set("Content-Type", mediaType)
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
	return gzhttp.GzipHandler(served)
}

// page is the file behind a path. The front end itself finds out what to show at the paths that are
// no files; a missing asset is no such path, or a browser would take a page for a script.
func page(requested string) string {
	name := path.Clean("/" + requested)
	switch {
	case name == "/playground":
		return "dist/playground.html"
	case strings.HasPrefix(name, "/assets/"), strings.Contains(path.Base(name), "."):
		return "dist" + name
	}
	return "dist/index.html"
}

// mediaTypes are set because those that the system knows differ from one machine to the next.
var mediaTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".ttf":   "font/ttf",
	".woff2": "font/woff2",
}

// policy is the Content-Security-Policy of all pages: scripts come from this server's files only.
// Styles may be inline because the Playground's editor, Monaco, writes style elements. What Stripe's
// card form needs is from https://docs.stripe.com/security/guide#content-security-policy.
func policy(stripe bool) string {
	var scripts, frames, connections, images string
	if stripe {
		scripts = " https://js.stripe.com https://*.js.stripe.com"
		frames = "; frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com"
		connections = " https://api.stripe.com"
		images = " https://*.stripe.com"
	}
	return "default-src 'none'; script-src 'self'" + scripts + "; style-src 'self' 'unsafe-inline'" +
		"; img-src 'self' data:" + images + "; font-src 'self' data:; connect-src 'self'" + connections + frames +
		"; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}
