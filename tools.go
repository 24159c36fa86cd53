//go:build tools

// Package tools pins the programs that generate code, so that everybody runs the same version.
package tools

import _ "github.com/99designs/gqlgen"
