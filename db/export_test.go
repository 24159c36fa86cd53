package db

// Ways is how many connections reads use.
func Ways() int { return ways }

// Waiting is how many requests' reads wait for one of them.
func (d *DB) Waiting() int {
	d.trips.mu.Lock()
	defer d.trips.mu.Unlock()
	return len(d.trips.waiting)
}
