package event

const (
	// Backlog is how many entries wait at the most.
	Backlog = backlog
	// PageSize is how many events are read at once.
	PageSize = pageSize
)

// Waiting is how many entries were sent and not yet taken.
func (s *Stream[T]) Waiting() int { return len(s.entries) }
