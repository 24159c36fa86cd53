package mail

// Mails: one constructor for each; the words are in the templates.

import (
	"embed"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"
)

//go:embed templates
var templates embed.FS

// pair is the two renderings of one mail: a text template, which defines the subject too, and an
// HTML template, which fills the layout all mails share.
type pair struct {
	text *texttemplate.Template
	html *htmltemplate.Template
}

var (
	invitation    = parse("invitation")
	welcome       = parse("welcome")
	verification  = parse("verification")
	passwordReset = parse("password-reset")
	paymentFailed = parse("payment-failed")
)

func parse(name string) pair {
	text := texttemplate.New(name + ".txt").Funcs(texttemplate.FuncMap{"date": date})
	html := htmltemplate.New("layout.html").Funcs(htmltemplate.FuncMap{"date": date})
	return pair{
		text: texttemplate.Must(text.ParseFS(templates, "templates/"+name+".txt")),
		html: htmltemplate.Must(html.ParseFS(templates, "templates/layout.html", "templates/"+name+".html")),
	}
}

// InvitationParams is what a mail about an invitation says.
type InvitationParams struct {
	OrganizationName, InvitedBy, Link string
	ExpiresAt                         time.Time
}

// Invitation asks a person who has an account to join an organization.
func Invitation(to string, p InvitationParams) Message {
	return invitation.message(to, p.presentable())
}

// Welcome asks a person without an account to sign up and join an organization.
func Welcome(to string, p InvitationParams) Message {
	return welcome.message(to, p.presentable())
}

// Verification asks a person who signed up to prove that the address is theirs.
func Verification(to, name, link string, expiresAt time.Time) Message {
	return verification.message(to, personal{presentable(name), link, expiresAt})
}

// PasswordReset lets a person choose a new password.
func PasswordReset(to, name, link string, expiresAt time.Time) Message {
	return passwordReset.message(to, personal{presentable(name), link, expiresAt})
}

// PaymentFailedParams is what a mail about a failed payment says; Amount is written out, with its
// currency.
type PaymentFailedParams struct{ OrganizationName, Amount, Link string }

// PaymentFailed informs an owner that an invoice could not be collected.
func PaymentFailed(to string, p PaymentFailedParams) Message {
	p.OrganizationName = presentable(p.OrganizationName)
	return paymentFailed.message(to, p)
}

// personal is what a mail about one's own account says.
type personal struct {
	Name, Link string
	ExpiresAt  time.Time
}

func (p pair) message(to string, data any) Message {
	var subject, text, html strings.Builder
	// The templates are part of the program, and so is an error in one of them.
	for _, err := range []error{
		p.text.ExecuteTemplate(&subject, "subject", data),
		p.text.Execute(&text, data),
		p.html.Execute(&html, data),
	} {
		if err != nil {
			panic(err)
		}
	}
	return Message{To: to, Subject: subject.String(), Text: text.String(), HTML: html.String()}
}

func (p InvitationParams) presentable() InvitationParams {
	p.OrganizationName, p.InvitedBy = presentable(p.OrganizationName), presentable(p.InvitedBy)
	return p
}

// presentable makes a name, which anybody may choose, stay what it is in a mail: part of one line.
// A line break would begin another header in the subject and a paragraph of the sender's own in
// the text, and a change of direction would rearrange the words around the name.
func presentable(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Bidi_Control, r)
	}), " ")
}

func date(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
