package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"meridian/server/job"
)

// opsJobs serves the jobs once the runner is there.
func (a *app) opsJobs(w http.ResponseWriter, r *http.Request) {
	if jobs := a.jobs.Load(); jobs != nil {
		jobs.Handler().ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, `{"error":"the server is starting"}`, http.StatusServiceUnavailable)
}

// openJobs begins to run jobs, those left from before too. Kinds of other parts join those of rest here.
func (a *app) openJobs() error {
	kinds := a.rest.Kinds()
	kinds[reindexKind] = job.Kind{Workers: 1, Run: func(ctx context.Context, t *job.Task) error { return a.service.Load().RunReindex(ctx, t) }}
	jobs, err := job.New(job.Options{Queue: a.store.Queue(), Kinds: kinds, Logger: a.log})
	if err != nil {
		return err
	}
	for kind := range kinds {
		a.jobMetrics(jobs, kind)
	}
	jobs.Start()
	a.jobs.Store(jobs)
	return nil
}

// reindexKind is the kind of the jobs that make added search parameters ready.
const reindexKind = "reindex"

// startReindex adds the job of a generation, where there is none yet, and begins one that failed again.
func (a *app) startReindex(ctx context.Context, generation uint64) error {
	jobs := a.jobs.Load()
	if jobs == nil {
		return nil // open asks again when they run
	}
	id, existing, err := jobs.Add(ctx, job.NewJob{Kind: reindexKind, Key: "generation-" + strconv.FormatUint(generation, 10)})
	if err != nil || !existing {
		return err
	}
	j, err := jobs.Get(ctx, id)
	if err == nil && j.State == job.Failed {
		err = jobs.Retry(ctx, id)
	}
	return err
}

// jobCountTime is how long a scrape waits for one count.
const jobCountTime = time.Second

// jobMetrics shows how many jobs of a kind wait, run and have failed, over all processes; -1 when the store does not say.
func (a *app) jobMetrics(jobs *job.Runner, kind string) {
	for _, state := range []job.State{job.Waiting, job.Running, job.Failed} {
		a.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "meridian_jobs", Help: "Jobs by kind and state.",
			ConstLabels: prometheus.Labels{"kind": kind, "state": string(state)}}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), jobCountTime)
			defer cancel()
			n, err := jobs.Counts(ctx, kind)
			if err != nil {
				return -1
			}
			return float64(n[state])
		}))
	}
}
