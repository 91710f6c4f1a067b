//go:build race

package loadgen_test

const raceDetector = true
