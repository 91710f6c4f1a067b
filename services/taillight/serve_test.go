package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// What a run waits for is cut by hand, or when the time for it is up, and not
// before it is interrupted.
func TestCutInTime(t *testing.T) {
	closed := func(c <-chan struct{}) bool {
		synctest.Wait()
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		late, release := cutInTime(ctx, nil)
		defer release()
		time.Sleep(time.Hour)
		if closed(late) {
			t.Error("cut although nobody interrupted")
		}
		interrupt()
		time.Sleep(serveDrain - time.Nanosecond)
		if closed(late) {
			t.Error("cut too early")
		}
		time.Sleep(time.Nanosecond)
		if !closed(late) {
			t.Error("not cut in time")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		cut := make(chan struct{})
		late, release := cutInTime(ctx, cut)
		defer release()
		interrupt()
		close(cut)
		if !closed(late) {
			t.Error("not cut by hand")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, release := cutInTime(t.Context(), nil)
		release() // returns, or the bubble reports a deadlock
	})
}
