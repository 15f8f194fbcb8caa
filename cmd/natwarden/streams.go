package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// streams is where a verb reads and writes. Data goes to out; everything else
// goes to notes. A write that failed is remembered and ends the program with an
// error: a report that is cut short must not look like a whole one.
type streams struct {
	in       *os.File
	out      *bufio.Writer
	notes    io.Writer
	terminal bool // out is one
}

func newStreams() *streams {
	return &streams{
		in:       os.Stdin,
		out:      bufio.NewWriterSize(os.Stdout, 1<<16),
		notes:    os.Stderr,
		terminal: term.IsTerminal(int(os.Stdout.Fd())),
	}
}

// asks says whether there is somebody to ask.
func (s *streams) asks() bool { return term.IsTerminal(int(s.in.Fd())) }

// flush writes what is still held back.
func (s *streams) flush() error {
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("writing the result to standard output: %w: what arrived is not all of it", err)
	}
	return nil
}

// note tells the person something that is not data.
func (s *streams) note(format string, args ...any) {
	fmt.Fprintf(s.notes, "natwarden: "+format+"\n", args...)
}
