// Package loadgen generates load and measures it: see Plan and Attack.
package loadgen
