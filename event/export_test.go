package event

// Backlog is how many entries wait at the most.
const Backlog = backlog

// Waiting is how many entries were sent and not yet taken.
func (s *Stream[T]) Waiting() int { return len(s.entries) }
