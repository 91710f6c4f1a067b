//go:build !linux

package bench

import (
	"errors"
	"time"
)

// quotaGroup is a matter of Linux.
type quotaGroup struct{}

func newQuotaGroup(int) *quotaGroup { return nil }

func (*quotaGroup) limit(_, _ time.Duration) error { return errors.ErrUnsupported }

func (*quotaGroup) unlimit() {}

func (*quotaGroup) throttled() time.Duration { return 0 }

func (*quotaGroup) remove() {}
