package job

// Metrics: what waits in the outbox, whichever process made it.

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// backlog reads the metrics when they are asked for.
type backlog struct{ *Queue }

var (
	jobsWaiting = prometheus.NewDesc("studio_jobs_waiting", "Jobs that are to be done, those under way and those due later included.", nil, nil)
	jobsFailed  = prometheus.NewDesc("studio_jobs_failed", "Jobs that were given up within the last 30 days.", nil, nil)
	jobsOverdue = prometheus.NewDesc("studio_jobs_oldest_due_seconds", "For how long the job has been due that has waited longest; 0 when none is.", nil, nil)
)

// Collectors are the metrics.
func (q *Queue) Collectors() []prometheus.Collector { return []prometheus.Collector{backlog{q}} }

// Describe lists the metrics.
func (b backlog) Describe(to chan<- *prometheus.Desc) {
	to <- jobsWaiting
	to <- jobsFailed
	to <- jobsOverdue
}

// Collect reads them.
func (b backlog) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	found, err := b.db.JobBacklog(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(jobsWaiting, err)
		return
	}
	overdue := 0.0
	if found.OldestDue != nil {
		overdue = b.db.Now().Sub(*found.OldestDue).Seconds()
	}
	to <- prometheus.MustNewConstMetric(jobsWaiting, prometheus.GaugeValue, float64(found.Waiting))
	to <- prometheus.MustNewConstMetric(jobsFailed, prometheus.GaugeValue, float64(found.Failed))
	to <- prometheus.MustNewConstMetric(jobsOverdue, prometheus.GaugeValue, overdue)
}
