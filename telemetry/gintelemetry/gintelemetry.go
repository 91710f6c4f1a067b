// Package gintelemetry is the gin middleware of package telemetry, apart from
// it so that services without gin do not link gin.
package gintelemetry

import (
	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"

	"github.com/taillight-load/taillight/telemetry"
)

// Middleware traces and measures the requests of a gin engine or group. A span
// is named after the method and the route, such as GET /profile. While
// telemetry is off, or t is nil, it only hands the request on.
func Middleware(t *telemetry.Telemetry) gin.HandlerFunc {
	if !t.Enabled() {
		return func(c *gin.Context) { c.Next() }
	}
	traced := otelgin.Middleware("",
		otelgin.WithTracerProvider(t.TracerProvider()),
		otelgin.WithMeterProvider(t.MeterProvider()),
		otelgin.WithPropagators(t.Propagator()),
	)
	return func(c *gin.Context) {
		plain := c.Request.Context()
		labelled, done := t.Label(plain, c.Request.Header)
		defer done()
		ctx, end := t.Task(labelled, c.Request.Header)
		defer end()
		c.Request = c.Request.WithContext(ctx)
		traced(c) // runs the handlers after this one
		c.Request = c.Request.WithContext(plain)
	}
}
