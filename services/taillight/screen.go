package main

import (
	"fmt"
	"io"
	"sync"
)

// screen is where a display shows what goes on: lines that stay, and below them
// on a terminal a few that are drawn over themselves.
type screen struct {
	out   io.Writer
	style style

	mu    sync.Mutex
	drawn int // lines that the next drawing replaces
}

// measured returns the style with the terminal's width as it is now. mu is held.
func (s *screen) measured() style {
	if s.style.columns != nil {
		s.style.width = s.style.columns()
	}
	return s.style
}

// draw puts lines in the place of those drawn last. mu is held.
func (s *screen) draw(lines ...string) {
	s.clear()
	for _, l := range lines {
		fmt.Fprintln(s.out, s.style.fit(l))
	}
	s.drawn = len(lines)
}

// clear removes the lines drawn last. mu is held.
func (s *screen) clear() {
	if s.drawn > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}

// say prints a line that stays.
func (s *screen) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintln(s.out, s.style.paint(yellow, line))
}

// end takes what is drawn off the screen.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}
