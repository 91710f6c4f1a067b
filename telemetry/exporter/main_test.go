package exporter_test

import (
	"testing"

	"github.com/taillight-load/taillight/loadgen/busytest"
)

func TestMain(m *testing.M) { busytest.Main(m) }
