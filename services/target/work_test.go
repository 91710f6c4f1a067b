package target

import "testing"

func BenchmarkWork(b *testing.B) {
	w := newWork(1)
	for _, s := range w.steps() {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.run(1)
			}
		})
	}
}
