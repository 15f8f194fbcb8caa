package relay

import (
	"fmt"
	"os"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// Many processes with many listeners each: what is asked of a process is asked once.
func BenchmarkRead(b *testing.B) {
	s := &host.Space{}
	for port := range 3000 {
		l := host.Listener{Proto: "tcp", Address: "0.0.0.0", Port: uint16(10000 + port)}
		for range 300 {
			l.Processes = append(l.Processes, host.Process{PID: os.Getpid(), Name: "x", Exe: "/usr/bin/x"})
		}
		s.Listeners = append(s.Listeners, l)
	}
	for b.Loop() {
		s.Redirects = nil
		if _, err := (Source{}).Read(b.Context(), s); err != nil || len(s.Redirects) != 0 {
			b.Fatal(fmt.Sprint(err, len(s.Redirects)))
		}
	}
}
