package plan

// Programs: how a row becomes JSON.

import (
	"encoding/json"
)

// program writes a row, but for the lists in it, which come later.
type program []step

// step is one of the kinds below.
type step struct {
	kind    kind
	literal string
	column  int
	derive  func(text string) (json string, ok bool)
	inner   program
	source  *source
	part    part
}

type kind int

const (
	literalStep  kind = iota // writes literal
	valueStep                // writes the column's value
	derivedStep              // writes what derive makes of the column's text; null of none
	optionalStep             // runs inner, which leaves no gap, if the column has a value; or else writes null
	cursorStep               // writes the row's cursor
	gapStep                  // leaves a gap for a part of what is read of source
)

// part is what is written of the rows of a source.
type part int

const (
	theRow part = iota
	theRows
	hasNextPage
	hasPreviousPage
	startCursor
	endCursor
)

func (p *program) add(added step) { *p = append(*p, added) }

// literal adds a text, to the one before where there is one.
func (p *program) literal(text string) {
	if last := len(*p) - 1; last >= 0 && (*p)[last].kind == literalStep {
		(*p)[last].literal += text
		return
	}
	p.add(step{kind: literalStep, literal: text})
}

// gaps are the steps that leave one.
func (p program) gaps() []step {
	var gaps []step
	for _, s := range p {
		if s.kind == gapStep {
			gaps = append(gaps, s)
		}
	}
	return gaps
}

// quoted is a text as JSON.
func quoted(text string) string {
	data, _ := json.Marshal(text) // a text is always JSON
	return string(data)
}
