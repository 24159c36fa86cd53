package main

// The questions, as the server and as the baseline are asked them.

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"
)

const (
	usersPart = `users(first: %d) { nodes { id isOwner status user { id email firstName lastName } } }
		instances(first: %d) { nodes { id name type status computePlan { ramMb } storageGb region { id } } }`
	invoicesPart = `invoices(first: %d) { nodes { id number total { amount currency } status periodStart } }`
)

// question is one, in GraphQL. Of the subject, those variables are sent that it names.
type question struct {
	name, document string
	variables      []string
}

var questions = []question{
	{"q0", `{ __typename }`, nil},
	{"q1", `{ viewer { organizations(first: 20) { nodes { id name users { totalCount } instanceCount } } } }`, nil},
	{"q2", fmt.Sprintf(`query ($organization: ID!) { organization(id: $organization) { id `+usersPart+`
		billing { `+invoicesPart+` coupons { id code percentOff } } } }`, 20, 20, 12), []string{"organization"}},
	{"q3", fmt.Sprintf(`{ viewer { organizations(first: 20) { nodes { id name `+usersPart+`
		billing { `+invoicesPart+` } } } } }`, 10, 10, 5), nil},
	{"q4", `query ($organization: ID!) { organization(id: $organization) { id name } }`, []string{"organization"}},
	{"m1", `mutation ($organization: ID!, $email: String!) {
		inviteUser(input: { organizationId: $organization, email: $email }) { organizationUser { email status } } }`,
		[]string{"organization", "email"}},
}

// subject is whom a question is about: a user who is signed in, and an organization of theirs.
type subject struct {
	viewer, email, token, organization string
}

var (
	invited   atomic.Int64
	startedAt = time.Now().UnixNano()
)

// invitedPattern finds what newEmail makes.
var invitedPattern = regexp.MustCompile(`invited-\d+-\d+`)

// newEmail is an address that nobody has.
func newEmail() string { return fmt.Sprintf("invited-%d-%d@example.com", startedAt, invited.Add(1)) }

// toServer is the HTTP request that asks the server a question.
func (q *question) toServer(of *subject, email string) []byte {
	values := map[string]string{"organization": of.organization, "email": email}
	variables := map[string]string{}
	for _, name := range q.variables {
		variables[name] = values[name]
	}
	return post("/graphql", of.token, map[string]any{"query": q.document, "variables": variables})
}

// toBaseline is the HTTP request that asks the baseline.
func (q *question) toBaseline(of *subject, email string) []byte {
	return post("/"+q.name, "", &asked{Viewer: of.viewer, Organization: of.organization, Email: email})
}

// asked is what the baseline is sent.
type asked struct {
	Viewer       string `json:"viewer"`
	Organization string `json:"organization"`
	Email        string `json:"email"`
}

func post(path, token string, body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings all through
	}
	authorization := ""
	if token != "" {
		authorization = "Authorization: Bearer " + token + "\r\n"
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: studio.example.com\r\nContent-Type: application/json\r\nAccept: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
		path, authorization, len(text), text)
}
