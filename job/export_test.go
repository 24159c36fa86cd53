package job

import "time"

// Limit sets how long an attempt at a job may take.
func (q *Queue) Limit(limit time.Duration) { q.timeLimit = limit }
