package resolvers

// Errors: what a caller gets to see of them. A fault is shown as it is; what GraphQL itself found
// wrong is shown with its code; anything else is logged and shown as an ID to ask about.

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/hlog"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"studio/db"
	"studio/fault"
)

// present is the one place where an error becomes a part of a response.
func present(ctx context.Context, err error) *gqlerror.Error {
	shown := &gqlerror.Error{Err: err}
	found, is := errors.AsType[*gqlerror.Error](err)
	if is {
		shown.Path, shown.Locations = found.Path, found.Locations
	}
	path, input := fieldAndInput(ctx, shown.Path)
	shown.Path = path

	problem := explain(ctx, err, found, input)
	if problem.Field == "" && problem.Code != fault.Unauthenticated { // which no value could mend
		problem = problem.On(input)
	}
	shown.Message, shown.Extensions = problem.Message, problem.Extensions()
	errorsShown.WithLabelValues(string(problem.Code)).Inc()
	return shown
}

// explain finds or makes the fault that tells a caller about an error.
func explain(ctx context.Context, err error, found *gqlerror.Error, input string) *fault.Error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return inInput(ctx, known)
	case errors.Is(err, db.ErrConflict):
		return fault.New(fault.Conflict, "Somebody changed the same thing at the same moment. Try again.")
	case errors.As(context.Cause(ctx), &known): // the deadline, or why the stream ended
		return known
	case errors.Is(context.Cause(ctx), context.Canceled):
		return fault.New(fault.Unavailable, "The request was canceled.")
	case errors.Is(err, db.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		zerolog.Ctx(ctx).Error().Err(err).Msg("unavailable")
		return fault.New(fault.Unavailable, "The server cannot answer now. Try again.")
	}
	if found != nil && found.Err == nil {
		if problem := ofGraphQL(found, input); problem != nil {
			return problem
		}
	}
	if input != "" {
		return fault.New(fault.ValidationFailed, "This value does not fit the type of %s.", input)
	}
	id, _ := hlog.IDFromCtx(ctx)
	zerolog.Ctx(ctx).Error().Err(err).Msg("unexpected error")
	return fault.New(fault.Internal, "Something went wrong on our side. Quote the ID %s when you ask for help.", id)
}

// ofGraphQL translates the codes of gqlgen and gqlparser; nil when there is none, or not more to say
// than that an input does not fit.
func ofGraphQL(found *gqlerror.Error, input string) *fault.Error {
	code, _ := found.Extensions["code"].(string)
	switch code {
	case "COMPLEXITY_LIMIT_EXCEEDED":
		return fault.New(fault.QueryTooComplex, "This asks for too much at once. Ask for less, or for shorter pages.")
	case string(fault.ParseFailed):
		if strings.Contains(found.Message, "token limit") {
			return fault.New(fault.QueryTooComplex, "This document is too long. Send a shorter one.")
		}
		return fault.New(fault.ParseFailed, "%s", found.Message)
	case string(fault.ValidationFailed):
		switch {
		case found.Message == "operation  not found": // for want of a name
			return fault.New(fault.ValidationFailed, "Name one of the document's operations in operationName.")
		case input != "" && strings.HasPrefix(found.Message, "cannot use "): // a number that is not the one sent
			return nil
		case input != "":
			return fault.New(fault.ValidationFailed, "%s: %s.", input, found.Message)
		}
		return fault.New(fault.ValidationFailed, "%s", suggestion.ReplaceAllString(found.Message, ""))
	case string(fault.PersistedQueryNotFound):
		return fault.New(fault.PersistedQueryNotFound, "%s", found.Message) // clients compare the message
	}
	if strings.Contains(found.Message, "APQ") {
		return fault.New(fault.BadRequest, "The persisted query extension does not fit the query; send the query's SHA-256 and version 1.")
	}
	return nil
}

// suggestion is how gqlparser tells names of the schema to those who guess; introspection is the
// way to learn them.
var suggestion = regexp.MustCompile(` ?Did you mean .*\?`)

// fieldAndInput splits the path of an error that was found while reading variables or arguments, which
// ends in the names of inputs, into the field's path and the input's, such as "input.email".
func fieldAndInput(ctx context.Context, path ast.Path) (field ast.Path, input string) {
	switch current := graphql.GetFieldContext(ctx); {
	case current != nil:
		field = current.Path()
	case len(path) > 0 && path[0] == ast.PathName("variable"): // before there are fields
		path = path[1:]
	default:
		return path, ""
	}
	if len(path) <= len(field) || !strings.HasPrefix(path.String(), field.String()) {
		return path, ""
	}
	var names []string
	for _, element := range path[len(field):] {
		switch element := element.(type) {
		case ast.PathName:
			names = append(names, string(element))
		case ast.PathIndex:
			names = append(names, fmt.Sprint(int(element)))
		}
	}
	return field, strings.Join(names, ".")
}

// inInput completes the path of an input value: domain packages know it by its own name.
func inInput(ctx context.Context, known *fault.Error) *fault.Error {
	current := graphql.GetFieldContext(ctx)
	if current == nil || known.Field == "" {
		return known
	}
	if _, takesInput := current.Args["input"]; takesInput {
		return known.On("input." + known.Field)
	}
	return known
}

// recovered logs a panic of a resolver, which is then shown as any unexpected error.
func recovered(ctx context.Context, reason any) error {
	zerolog.Ctx(ctx).Error().Interface("panic", reason).Bytes("stack", debug.Stack()).Msg("a resolver panicked")
	return fmt.Errorf("panic: %v", reason)
}
