package db

// ReadConnections is how many connections reads use.
func ReadConnections() int { return readConnections }

// Waiting is how many requests wait for one of them.
func (d *DB) Waiting() int {
	d.batches.mu.Lock()
	defer d.batches.mu.Unlock()
	return len(d.batches.waiting)
}
