package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// oddities adds what is odd about a row's process to its evidence.
func oddities(rows []host.Redirect) {
	for i := range rows {
		r := &rows[i]
		if r.Process == nil {
			continue
		}
		for _, note := range r.Process.Notes {
			r.Evidence = appendOnce(r.Evidence, note)
		}
		if r.Process.Netns != r.Netns && r.Mechanism != "rule" {
			r.Evidence = appendOnce(r.Evidence, fmt.Sprintf("%s (pid %d) lives in another network namespace: %s",
				r.Process.Name, r.Process.PID, orHome(r.Process.Netns)))
		}
	}
}

func orHome(label string) string {
	if label == "" {
		return "the one in which natwarden was started"
	}
	return label
}

func appendOnce(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// joinQueues names the program that takes the packets which a rule hands to a
// netfilter queue.
func joinQueues(rows []host.Redirect, space *host.Space) {
	for i := range rows {
		r := &rows[i]
		if r.Mechanism != "rule" || r.Kind != "queue" {
			continue
		}
		lo, hi, ok := queuesOf(r.Evidence)
		if !ok {
			continue
		}
		for q := range space.Queues {
			if n := space.Queues[q].Number; n >= lo && n <= hi {
				nameReader(r, &space.Queues[q])
			}
		}
	}
}

func nameReader(r *host.Redirect, q *host.QueueReader) {
	for i := range q.Processes {
		p := q.Processes[i]
		r.Evidence = appendOnce(r.Evidence, fmt.Sprintf("%s (pid %d) takes packets from queue %d and may change them", p.Name, p.PID, q.Number))
		if r.Process == nil {
			r.Process = &p
		}
	}
}

// queuesOf reads the numbers from the evidence that decoders give: "queue 7",
// "queues 0-3".
func queuesOf(evidence []string) (lo, hi uint16, ok bool) {
	for _, text := range evidence {
		word, rest, _ := strings.Cut(text, " ")
		if word != "queue" && word != "queues" {
			continue
		}
		from, to, ranged := strings.Cut(rest, "-")
		if !ranged {
			to = from
		}
		a, err := strconv.ParseUint(from, 10, 16)
		b, err2 := strconv.ParseUint(to, 10, 16)
		if err == nil && err2 == nil {
			return uint16(a), uint16(b), true
		}
	}
	return 0, 0, false
}
