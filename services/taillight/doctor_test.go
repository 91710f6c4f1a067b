package main

import (
	"bytes"
	"testing"

	"github.com/taillight-load/taillight/services/doctor"
)

func fixedDiagnosis() *doctor.Report {
	panel := 23.4
	return &doctor.Report{
		Run: "20261123-153012-7f3a", FirstPanel: &panel,
		Checks: []doctor.Check{
			{Name: "target", Kind: doctor.KindPart, Status: doctor.OK, Detail: "ready at http://127.0.0.1:8000"},
			{Name: "tempo", Kind: doctor.KindPart, Status: doctor.Broken, Detail: "nothing listens at 127.0.0.1:3200", Remedy: "start it: docker compose up --detach tempo"},
			{Name: "trace -> tempo", Kind: doctor.KindLink, Status: doctor.Unknown, Detail: "not looked at: it needs tempo", Remedy: "mend tempo first"},
		},
	}
}

func TestDoctorGolden(t *testing.T) {
	for name, s := range map[string]style{"doctor.txt": {}, "doctor-colour.txt": {colour: true, width: 80}} {
		var b bytes.Buffer
		printReport(&b, fixedDiagnosis(), s)
		golden(t, name, b.Bytes())
	}
}

// What is waited for is said when it changes.
func TestDoctorSaysWhatItWaitsFor(t *testing.T) {
	var b bytes.Buffer
	told := progressOf(&b, style{})
	r := fixedDiagnosis()
	told(r)
	told(r)
	r.Checks[1].Status = doctor.OK
	told(r)
	r.Checks[2].Status = doctor.OK
	told(r)
	if want := "waiting for tempo, trace -> tempo\nwaiting for trace -> tempo\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
