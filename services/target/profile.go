package target

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/taillight-load/taillight/services/target/regions"
	"github.com/taillight-load/taillight/services/target/shop"
	"github.com/taillight-load/taillight/telemetry"
)

// The heavy workload of /profile.
const (
	heavyUnits = 3                     // about 3 ms of CPU
	heavyWait  = 10 * time.Millisecond // of waiting for nothing
)

// profile runs the heavy workload and answers with what it did with its time.
func (s *server) profile(c *gin.Context) {
	engine := c.DefaultQuery("engine", "regions")
	if engine != "regions" && engine != "trace" && engine != "cpu" {
		problem(c, http.StatusBadRequest, "engine="+clip(engine)+" is not known: there are engine=regions, engine=trace and engine=cpu")
		return
	}
	format, status, why := s.format(c.Query("format"), c.GetHeader("Accept"))
	if status != http.StatusOK {
		problem(c, status, why)
		return
	}
	switch engine {
	case "trace":
		s.traced(c, format)
		return
	case "cpu":
		s.sampled(c, format)
		return
	}
	rec := regions.Record("GET /profile")
	s.heavy(c.Request.Context(), rec)
	p := rec.Profile(regions.Profile{
		URL: clip(c.Request.URL.RequestURI()), Program: s.program(), TraceID: telemetry.TraceID(c.Request.Context()),
	})
	answer(c, format, p, p.ServerTiming())
}

// answer sends a profile in the format asked for.
func answer(c *gin.Context, format regions.Format, p *regions.Profile, timing string) {
	var body bytes.Buffer
	if err := format.Write(&body, p); err != nil {
		problem(c, http.StatusInternalServerError, err.Error())
		return
	}
	c.Header("Server-Timing", timing)
	c.Header("Vary", "Accept")
	c.Header("Cache-Control", "no-store")
	c.Header("X-Content-Type-Options", "nosniff")
	if format.Download != "" {
		c.Header("Content-Disposition", `attachment; filename="`+format.Download+`"`)
	}
	if format.Name == "html" {
		c.Header("Content-Security-Policy", pagePolicy)
	}
	c.Data(http.StatusOK, format.ContentType, body.Bytes())
}

// pagePolicy lets a page use what is written in it and fetch nothing.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

// heavy computes for about 3 ms, then waits for 10. The wait ends early when
// the client has gone.
func (s *server) heavy(ctx context.Context, rec *regions.Recorder) {
	shop.Fulfil(ctx)
	rec.Do("work", regions.CPU, func() {
		for _, step := range s.work.steps() {
			rec.Do(step.name, regions.CPU, func() { step.run(heavyUnits) })
		}
	})
	rec.Do("wait", regions.Wait, func() { wait(ctx, heavyWait) })
}

// wait returns after d or once ctx ends, whichever comes first.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// format chooses by ?format=, else by Accept, else the first. A status other
// than 200 comes with the reason.
func (s *server) format(name, accept string) (regions.Format, int, string) {
	if name != "" {
		for _, f := range s.formats {
			if f.Name == name {
				return f, http.StatusOK, ""
			}
		}
		return regions.Format{}, http.StatusBadRequest,
			"format=" + clip(name) + " is not known: there are " + strings.Join(s.formatNames(), ", ")
	}
	if f, ok := negotiate(accept, s.formats); ok {
		return f, http.StatusOK, ""
	}
	return regions.Format{}, http.StatusNotAcceptable,
		"no format fits Accept: " + clip(accept) + ": there are " + strings.Join(s.formatNames(), ", ") + ", also by ?format="
}

// clip bounds what of a request is said back to it.
func clip(s string) string {
	const longest = 200
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}
