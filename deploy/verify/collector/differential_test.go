package collector_test

import "slices"

// same fails the test unless both make the same of a request: decision,
// status, type and shape of the answer, what came in and what was handed on.
// It returns whether they took it.
func (p *pair) same(t failer, r request) (taken bool) {
	t.Helper()
	ours, theirs := p.both(t, r)
	if ours.next != theirs.next || ours.code != theirs.code {
		t.Errorf("ours %d (%s), the collector's %d (%s)", ours.code, ours.next, theirs.code, theirs.next)
	}
	if ours.shape != theirs.shape || ours.contentType != theirs.contentType {
		t.Errorf("ours is a %s in %q, the collector's a %s in %q", ours.shape, ours.contentType, theirs.shape, theirs.contentType)
	}
	if ours.units != theirs.units {
		t.Errorf("ours holds %d units, the collector's %d", ours.units, theirs.units)
	}
	content, told := p.wanted()
	if !slices.Equal(ours.content, content) {
		t.Errorf("ours handed on\n%v\nthe collector's\n%v", ours.content, content)
	}
	if ours.told != told || theirs.told != 0 {
		t.Errorf("a partial success counts %d rejected units, want %d", ours.told, told)
	}
	return theirs.next == "taken"
}
