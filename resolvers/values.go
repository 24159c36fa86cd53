package resolvers

// Values: whether the arguments of an operation fit their types. gqlparser checks neither times nor how large a
// number is, and gqlgen only when a field runs, by which time another field may have taken effect.

import (
	"fmt"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"studio/graph"
)

// values are those of the types of a schema.
type values struct{ schema *ast.Schema }

// fit finds a value that does not fit among the arguments of what is selected.
func (v values) fit(set ast.SelectionSet, variables map[string]any) *gqlerror.Error {
	for _, selection := range set {
		var inner ast.SelectionSet
		switch selection := selection.(type) {
		case *ast.Field:
			for _, argument := range selection.Arguments {
				value, _ := argument.Value.Value(variables) // which gqlparser has read before
				if err := v.fits(selection.Definition.Arguments.ForName(argument.Name).Type, value); err != nil {
					return within(ast.PathName("variable"), within(ast.PathName(argument.Name), err)) // as gqlparser's begin
				}
			}
			inner = selection.SelectionSet
		case *ast.InlineFragment:
			inner = selection.SelectionSet
		case *ast.FragmentSpread:
			inner = selection.Definition.SelectionSet
		}
		if err := v.fit(inner, variables); err != nil {
			return err
		}
	}
	return nil
}

// fits compares a value, in which gqlparser has found nothing missing and nothing unknown, with its type.
func (v values) fits(is *ast.Type, value any) *gqlerror.Error {
	if value == nil {
		return nil
	}
	if is.Elem != nil {
		list := reflect.ValueOf(value)
		if list.Kind() != reflect.Slice { // one is as good as a list of it
			return v.fits(is.Elem, value)
		}
		for i := range list.Len() {
			if err := v.fits(is.Elem, list.Index(i).Interface()); err != nil {
				return within(ast.PathIndex(i), err)
			}
		}
		return nil
	}
	var err error
	switch definition := v.schema.Types[is.NamedType]; {
	case is.NamedType == "Int":
		_, err = graphql.UnmarshalInt32(value)
	case is.NamedType == "Time":
		_, err = graph.UnmarshalTime(value)
	case definition.Kind == ast.Enum:
		if name, _ := value.(string); definition.EnumValues.ForName(name) == nil { // gqlparser takes any case
			err = fmt.Errorf("%v is none of the values", value)
		}
	case definition.Kind == ast.InputObject:
		fields, _ := value.(map[string]any)
		for _, field := range definition.Fields {
			if err := v.fits(field.Type, fields[field.Name]); err != nil {
				return within(ast.PathName(field.Name), err)
			}
		}
	}
	return gqlerror.Wrap(err)
}

// within makes the path of an error begin with one more element.
func within(outer ast.PathElement, err *gqlerror.Error) *gqlerror.Error {
	err.Path = append(ast.Path{outer}, err.Path...)
	return err
}
