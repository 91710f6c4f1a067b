package target

import (
	"bytes"
	_ "embed" // the index page
	"html/template"
	"net/http"
	"runtime/trace"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/taillight-load/taillight/services/target/regions"
)

//go:embed index.html
var indexSource string

type indexPage struct {
	Style         template.CSS
	Program       string
	Formats       []string
	Kinds         []indexKind
	MaxConcurrent int
	HeavyUnits    int
	HeavyWait     int // ms
	Downstream    string
	Traced        bool
	MinSamples    int     // of engine=cpu
	MaxSeconds    float64 // of engine=cpu
	MostSampling  int     // of engine=cpu, at once
	Sampled       bool    // engine=cpu works
	Flight        bool    // engine=trace works
}

type indexKind struct {
	Name, About string
	Usual, Most int
}

// index renders the index page once; it does not change.
func (s *server) index() gin.HandlerFunc {
	page := indexPage{
		Style: regions.Style(), Program: s.program(), MaxConcurrent: s.MaxConcurrent, HeavyUnits: heavyUnits,
		HeavyWait: int(heavyWait / time.Millisecond), Downstream: s.Downstream, Traced: s.Telemetry.Enabled(),
		MinSamples: usualSamples, MaxSeconds: usualSeconds, MostSampling: mostSampling,
		Sampled: s.Telemetry != nil, Flight: trace.IsEnabled(),
	}
	for _, f := range s.formats {
		page.Formats = append(page.Formats, f.Name)
	}
	for _, k := range kinds() {
		page.Kinds = append(page.Kinds, indexKind{Name: k.name, About: k.about, Usual: k.usual, Most: k.most})
	}
	var b bytes.Buffer
	if err := template.Must(template.New("index").Parse(indexSource)).Execute(&b, page); err != nil {
		panic("target: the index page does not fit its data: " + err.Error()) // a fault of this package, seen at start
	}
	return func(c *gin.Context) {
		c.Header("Content-Security-Policy", pagePolicy)
		c.Header("X-Content-Type-Options", "nosniff")
		c.Data(http.StatusOK, "text/html; charset=utf-8", b.Bytes())
	}
}
