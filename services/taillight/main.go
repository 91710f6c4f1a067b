// Command taillight is a load test that explains its own tail.
package main

import (
	"os"
	"runtime/debug"
)

// version is stamped by the linker: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	executable, _ := os.Executable()
	os.Exit(execute(&world{
		args: os.Args[1:], getenv: os.LookupEnv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		version: stamped(version), executable: executable,
	}))
}

// stamped falls back to what the module system knows.
func stamped(v string) string {
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	return v
}
