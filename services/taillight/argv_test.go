package main

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitArgv(t *testing.T) {
	for text, want := range map[string][]string{
		"shop --addr {addr}":        {"shop", "--addr", "{addr}"},
		"  shop\t-v \n":             {"shop", "-v"},
		`shop "a b" 'c "d"' e\ f`:   {"shop", "a b", `c "d"`, "e f"},
		`shop ''`:                   {"shop", ""},
		`shop --x="a"b`:             {"shop", "--x=ab"},
		`shop 'a\b' "c\"d" \\`:      {"shop", `a\b`, `c"d`, `\`},
		`shop $HOME | tee > x && y`: {"shop", "$HOME", "|", "tee", ">", "x", "&&", "y"},
	} {
		if got, err := splitArgv(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "no command", " ": "no command", "''": "no command", "shop 'a": "' is not closed", `shop "a`: `" is not closed`, `shop \`: "backslash",
	} {
		if got, err := splitArgv(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q %v, want an error with %q", text, got, err, want)
		}
	}
}

// What is quoted comes back as it was.
func FuzzSplitArgv(f *testing.F) {
	f.Add("shop --addr {addr}")
	f.Add(`a\'b "c`)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = splitArgv(text)
		if strings.ContainsRune(text, '\uFFFD') || !strings.Contains(strings.ToValidUTF8(text, ""), text) {
			t.Skip("no text")
		}
		quoted := "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
		if got, err := splitArgv("x " + quoted); err != nil || !slices.Equal(got, []string{"x", text}) {
			t.Errorf("%q: %q %v", quoted, got, err)
		}
	})
}
