package main

import (
	"encoding/xml"
	"fmt"
	"os"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// junitSuite is a run as CI systems show test results: a case a threshold, and
// one for whether the run can be trusted.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Started  string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
	Output   string      `xml:"system-out"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(path string, run *archive.Run) error {
	suite := junitSuite{
		Name: "taillight " + run.Name, Started: run.Started.Format("2006-01-02T15:04:05"),
		Time: fmt.Sprintf("%.3f", run.Ended.Sub(run.Started).Seconds()), Output: run.Reason,
	}
	trust := junitCase{Class: "taillight." + run.Name, Name: "the run is valid", Time: "0"}
	if run.Verdict == signal.Invalid || run.Verdict == signal.Aborted {
		trust.Error = &junitMessage{Message: run.Reason}
		suite.Errors++
	}
	suite.Cases = append(suite.Cases, trust)
	for i := range run.Thresholds {
		t := &run.Thresholds[i]
		c := junitCase{Class: "taillight." + run.Name, Name: t.Text, Time: "0"}
		if !t.OK {
			c.Failure = &junitMessage{Message: observed(t)}
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Tests = len(suite.Cases)
	b, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return fmt.Errorf("--junit %s: %w", path, err)
	}
	if err := os.WriteFile(path, append([]byte(xml.Header), append(b, '\n')...), 0o644); err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	return nil
}
