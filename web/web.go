// Package web serves what people open in a browser: the Playground, and the pages that the links
// in mails lead to.
package web

import (
	"embed"
	"html/template"
	"net/http"

	"github.com/99designs/gqlgen/graphql/playground"
	"github.com/rs/zerolog"
)

//go:embed link.html
var files embed.FS

var linkPage = template.Must(template.ParseFS(files, "link.html"))

// Playground serves GraphiQL at any path, for the API at endpoint. Its scripts come from a CDN,
// checked by their hashes.
func Playground(endpoint string) http.Handler {
	page := playground.Handler("Studio Organizations", endpoint)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// In another site's frame, clicks could be lured onto its buttons.
		w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		page(w, r)
	})
}

// Link is what the page of a mailed link tells.
type Link struct {
	Title     string
	Operation string // ready for the Playground, but for the token
	Token     string
}

// The links that mails hold.
var (
	Invitation = Link{
		Title:     "You are invited",
		Operation: "mutation Accept($token: String!) {\n  acceptInvitation(input: { token: $token }) {\n    organizationUser { status organization { name } }\n  }\n}",
	}
	VerifyEmail = Link{
		Title:     "Verify your email address",
		Operation: "mutation Verify($token: String!) {\n  verifyEmail(input: { token: $token }) {\n    user { email }\n  }\n}",
	}
	ResetPassword = Link{
		Title:     "Choose a new password",
		Operation: "mutation Reset($token: String!) {\n  resetPassword(input: { token: $token, newPassword: \"…\" }) {\n    user { email }\n  }\n}",
	}
)

// Page serves the page of a link; its path holds the token as {token}. Opening it changes nothing,
// since mail scanners open links too.
func (l Link) Page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
		header.Set("Referrer-Policy", "no-referrer") // the address holds the token
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		page := l
		page.Token = r.PathValue("token")
		if err := linkPage.Execute(w, page); err != nil {
			zerolog.Ctx(r.Context()).Warn().Err(err).Msg("cannot write a page")
		}
	})
}
