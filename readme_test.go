package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"studio/graph"
)

// TestReadme holds the operations that README shows against the schema.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	operations := regexp.MustCompile("(?s)\n```graphql\n(.*?)\n```\n").FindAllStringSubmatch(string(text), -1)
	if len(operations) < 10 {
		t.Errorf("README shows %d operations", len(operations))
	}
	schema := graph.NewExecutableSchema(graph.Config{}).Schema()
	for _, operation := range operations {
		if _, err := gqlparser.LoadQueryWithRules(schema, operation[1], rules.NewDefaultRules()); err != nil {
			t.Errorf("%v in\n%s", err, operation[1])
		}
	}
}
