package event

const (
	// Backlog is how many entries wait at the most.
	Backlog = backlog
	// PageSize is how many events are read at once.
	PageSize = pageSize
)

// Waiting is how many entries were sent and not yet taken.
func (s *Stream[T]) Waiting() int { return len(s.entries) }

// Hides reports whether an entry would not be received if it were waiting.
func (s *Stream[T]) Hides(entry T) bool {
	hides := s.hides.Load()
	return hides != nil && (*hides)(entry)
}
