package db

// ReadConnections is how many connections reads use.
func ReadConnections() int { return readConnections }

// NewCursors makes those of a list that only a test has.
func NewCursors(list string, like Key) Cursors { return Cursors{list, like} }

// Name is the list's.
func (c Cursors) Name() string { return c.list }
