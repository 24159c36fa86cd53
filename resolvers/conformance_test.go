package resolvers_test

// What the GraphQL over HTTP specification asks for, of the schema that is really served: package
// transport tests the rest of it with a schema of its own.

import (
	"net/http"
	"testing"

	"github.com/tidwall/gjson"

	"studio/fault"
)

func TestConformance(t *testing.T) {
	const (
		acceptsAny      = ""
		acceptsResponse = "application/graphql-response+json"
		acceptsHTML     = "text/html"
		sendsJSON       = "application/json"
		signOut         = "mutation{signOut{signedOut}}"
		isQuery         = `{"query":"{__typename}"}`
	)
	type request struct {
		contentType, accept, body string // a GET request's body is its query
	}
	cases := map[string]struct {
		request
		status  int
		code    fault.Code // "" when __typename is answered
		hasData bool
	}{
		"Post":             {request{sendsJSON, acceptsResponse, isQuery}, 200, "", true},
		"PostUTF8":         {request{sendsJSON + "; charset=utf-8", acceptsAny, isQuery}, 200, "", true},
		"Get":              {request{"", acceptsResponse, "{__typename}"}, 200, "", true},
		"GetMutation":      {request{"", acceptsResponse, signOut}, 405, fault.BadRequest, false},
		"NotAcceptable":    {request{sendsJSON, acceptsHTML, isQuery}, 406, fault.BadRequest, false},
		"NotJSON":          {request{"text/plain", acceptsAny, isQuery}, 415, fault.BadRequest, false},
		"MalformedJSON":    {request{sendsJSON, acceptsAny, "{"}, 400, fault.BadRequest, false},
		"NoQuery":          {request{sendsJSON, acceptsAny, "{}"}, 400, fault.BadRequest, false},
		"QueryIsNumber":    {request{sendsJSON, acceptsAny, `{"query":1}`}, 400, fault.BadRequest, false},
		"VariablesAreText": {request{sendsJSON, acceptsAny, `{"query":"{__typename}","variables":"{}"}`}, 400, fault.BadRequest, false},
		"ParseFailed":      {request{sendsJSON, acceptsResponse, `{"query":"{"}`}, 400, fault.ParseFailed, false},
		"ParseFailedJSON":  {request{sendsJSON, acceptsAny, `{"query":"{"}`}, 200, fault.ParseFailed, false},
		"Empty":            {request{sendsJSON, acceptsResponse, `{"query":""}`}, 400, fault.ParseFailed, false},
		"EmptyGet":         {request{"", acceptsResponse, ""}, 400, fault.ParseFailed, false},
		"Comment":          {request{sendsJSON, acceptsResponse, `{"query":"# query"}`}, 400, fault.ParseFailed, false},
		"FragmentAlone":    {request{sendsJSON, acceptsResponse, `{"query":"fragment F on Query{__typename}"}`}, 400, fault.ValidationFailed, false},
		"ValidationFailed": {request{sendsJSON, acceptsResponse, `{"query":"{nope}"}`}, 400, fault.ValidationFailed, false},
		"UnknownOperation": {request{sendsJSON, acceptsResponse, `{"query":"query A{__typename}","operationName":"B"}`}, 400, fault.ValidationFailed, false},
		"MissingVariable":  {request{sendsJSON, acceptsResponse, `{"query":"query($id:ID!){node(id:$id){id}}"}`}, 400, fault.ValidationFailed, false},
		"Defer":            {request{sendsJSON, acceptsResponse, `{"query":"{viewer{...@defer{id}}}"}`}, 400, fault.ValidationFailed, false},
		"Subscription":     {request{sendsJSON, acceptsResponse, `{"query":"subscription{invitationReceived{id}}"}`}, 400, fault.BadRequest, false},
		"NullField":        {request{sendsJSON, acceptsResponse, `{"query":"{node(id:\"org_1\"){id}}"}`}, 200, fault.Unauthenticated, true},
		"NullData":         {request{sendsJSON, acceptsResponse, `{"query":"` + signOut + `"}`}, 200, fault.Unauthenticated, true},
		"PersistedUnknown": {request{sendsJSON, acceptsAny, `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}`}, 200, fault.PersistedQueryNotFound, false},
	}
	on(t, func(s *studio) {
		for name, test := range cases {
			header := http.Header{}
			header.Set("Accept", test.accept)
			var got *answer
			if test.contentType == "" {
				got = s.fetch(test.body, header)
			} else {
				header.Set("Content-Type", test.contentType)
				got = s.nobody().post(header, test.body)
			}
			if hasData := gjson.Get(got.body, "data").Exists(); got.status != test.status || hasData != test.hasData {
				s.Errorf("%s: got the status %d and %s, want %d, with data: %t", name, got.status, got.body, test.status, test.hasData)
			}
			if test.code == "" {
				got.want("__typename", `"Query"`)
				continue
			}
			got.check(test.code, gjson.Get(got.body, "errors.0.extensions.field").String())
			if gjson.Get(got.body, "errors.0.message").String() == "" {
				s.Errorf("%s: there is no message for people", name)
			}
		}
	})
}

// TestDirectives holds that introspection tells of no directive that is refused.
func TestDirectives(t *testing.T) {
	on(t, func(s *studio) {
		s.nobody().do(`{ __schema { directives { name } } }`, nil).want("__schema.directives.#.name",
			`["authenticated","deprecated","include","member","oneOf","owner","public","secret","skip","specifiedBy"]`)
	})
}
