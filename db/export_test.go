package db

// ReadConnections is how many connections reads use.
func ReadConnections() int { return readConnections }
