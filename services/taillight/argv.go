package main

import (
	"errors"
	"fmt"
	"strings"
)

// splitArgv splits a command into program and arguments: at spaces, except in
// 'single' or "double" quotes; a backslash takes the next character as it is,
// except in single quotes. No shell is asked: nothing is expanded, and pipes or
// redirections are arguments like any other.
func splitArgv(text string) ([]string, error) {
	var argv []string
	var arg strings.Builder
	var quote rune
	in, escaped := false, false
	for _, r := range text {
		switch {
		case escaped:
			arg.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			in, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			in, quote = true, r
		case quote == 0 && strings.ContainsRune(" \t\n", r):
			if in {
				argv = append(argv, arg.String())
			}
			arg.Reset()
			in = false
		default:
			in = true
			arg.WriteRune(r)
		}
	}
	switch {
	case escaped:
		return nil, errors.New("it ends in a backslash: write two for one")
	case quote != 0:
		return nil, fmt.Errorf("a %c is not closed", quote)
	}
	if in {
		argv = append(argv, arg.String())
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("there is no command")
	}
	return argv, nil
}
