package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// runState is a run as it stands, or as it ended. What is not known is absent.
type runState struct {
	ID       string            `json:"id"`
	Running  bool              `json:"running"`
	Stage    json.RawMessage   `json:"stage,omitempty"`    // what is waited for
	Start    json.RawMessage   `json:"start,omitempty"`    // bench.Started
	Progress json.RawMessage   `json:"progress,omitempty"` // bench.Progress, of the last second
	Changes  []json.RawMessage `json:"changes,omitempty"`  // of the load
	Exit     *int              `json:"exit,omitempty"`
	Error    string            `json:"error,omitempty"` // what kept it from being run or archived
	Run      json.RawMessage   `json:"run,omitempty"`   // run.json, of one that does not go on
}

// state answers how a run stands.
func (r *runner) state(w http.ResponseWriter, q *http.Request) {
	s := runState{ID: q.PathValue("id"), Running: r.goesOn(q.PathValue("id"))}
	j := r.find(s.ID)
	if j != nil {
		s.told(j)
	}
	if !s.Running {
		s.Stage, s.Start, s.Progress, s.Changes = nil, nil, nil, nil
		if data, ok := r.document(s.ID); ok {
			s.Run = data
			var doc struct {
				Exit int `json:"exit"`
			}
			if s.Exit == nil && json.Unmarshal(data, &doc) == nil {
				s.Exit = &doc.Exit
			}
		} else if j == nil {
			reply(w, http.StatusNotFound, accepted{Error: "no such run"})
			return
		}
	}
	reply(w, http.StatusOK, s)
}

// told takes in what a run told so far.
func (s *runState) told(j *job) {
	for _, e := range j.told.Events() {
		switch e.Name {
		case eventStage:
			s.Stage = e.Data
		case eventStart:
			s.Start, s.Stage = e.Data, nil
		case eventProgress:
			s.Progress = e.Data
		case eventChange:
			s.Changes = append(s.Changes, e.Data)
		case eventEnd:
			var end ended
			if json.Unmarshal(e.Data, &end) == nil {
				s.Exit, s.Error = &end.Exit, end.Error
			}
		}
	}
}

// document returns the run.json of a stored run.
func (r *runner) document(id string) (json.RawMessage, bool) {
	dir, err := r.openRun(id)
	if err != nil {
		return nil, false
	}
	defer func() { _ = dir.Close() }() // only read
	data, err := dir.ReadFile("run.json")
	return data, err == nil && json.Valid(data)
}

// newLoad is what a client asks the load to be.
type newLoad struct {
	Users     *int     `json:"users,omitempty"`
	SpawnRate float64  `json:"spawn_rate,omitempty"` // users per second; 0 is all at once
	Rate      *float64 `json:"rate,omitempty"`       // iterations per second
}

// maxSmall bounds the bodies of requests that say little.
const maxSmall = 4 << 10

// changeLoad changes the load of a run that goes on.
func (r *runner) changeLoad(w http.ResponseWriter, q *http.Request) {
	j := r.find(q.PathValue("id"))
	if j == nil {
		reply(w, http.StatusNotFound, accepted{Error: "no such run"})
		return
	}
	var to newLoad
	d := json.NewDecoder(http.MaxBytesReader(w, q.Body, maxSmall))
	d.DisallowUnknownFields()
	if err := d.Decode(&to); err != nil {
		reply(w, http.StatusBadRequest, accepted{Error: "the load: " + err.Error()})
		return
	}
	ch := loadgen.Change{Users: to.Users, SpawnRate: to.SpawnRate, Rate: to.Rate}
	if err := r.o.checkChange(&j.plan, &ch); err != nil {
		reply(w, http.StatusBadRequest, accepted{Error: err.Error()})
		return
	}
	ch, err := j.control.Change(ch)
	switch {
	case errors.Is(err, loadgen.ErrCannotChange):
		reply(w, http.StatusConflict, accepted{ID: j.id, Error: err.Error()})
	case err != nil:
		reply(w, http.StatusBadRequest, accepted{Error: err.Error()})
	default:
		reply(w, http.StatusAccepted, archive.ChangeOf(&j.plan, ch))
	}
}
