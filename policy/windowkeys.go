package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func windowObject() object[Window] {
	return object[Window]{what: "a window", extra: schema{"not": schema{"required": []string{"days", "date"}}}, done: finishWindow, keys: []key[Window]{
		parsed("days", "the days on which it opens: Mon-Fri, \"Sat,Sun\", a list; absent: every day", schema{"type": "string"}, addDays),
		date("date", "the only day on which it opens, in place of days: 2026-12-24", func(w *Window) *time.Time { return &w.Date }),
		clock("from", "when it opens: 22:00", 23*60+59, func(w *Window) *int { return &w.From }).must(),
		clock("to", "when it closes: 04:00; not later than from: on the next day; at most 24:00", minutesOfDay, func(w *Window) *int { return &w.To }).must(),
		zone("zone", "the time zone by its IANA name: Europe/Berlin, UTC", func(w *Window) **time.Location { return &w.Zone }).must(),
	}}
}

// finishWindow looks at what the keys of a window say together.
func finishWindow(r *reader, n *yaml.Node, w *Window) {
	w.Line = n.Line
	from, to, days := valueOf(n, "from"), valueOf(n, "to"), valueOf(n, "days")
	if days != nil && valueOf(n, "date") != nil {
		r.add(days, "a window has days or a date, not both", "remove one of the two")
	}
	if days == nil {
		w.Days = [7]bool{true, true, true, true, true, true, true}
	}
	if from != nil && to != nil && w.From == w.To && clockPattern.MatchString(from.Value) && clockPattern.MatchString(to.Value) {
		r.add(to, "the window closes in the moment in which it opens", `a whole day is from: "00:00", to: "24:00"`)
	}
}

// addDays reads "Mon-Fri" or "Mon,Wed,Sat-Sun"; a range may go over the week's end.
func addDays(text string, w *Window) error {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := weekday(first)
		to := from
		if err == nil && isRange {
			to, err = weekday(last)
		}
		if err != nil {
			return err
		}
		for d := from; ; d = (d + 1) % 7 {
			w.Days[d] = true
			if d == to {
				break
			}
		}
	}
	return nil
}

func weekday(text string) (time.Weekday, error) {
	text = strings.TrimSpace(text)
	for _, d := range week() {
		if strings.EqualFold(text, d.String()) || strings.EqualFold(text, short3(d)) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%q is no day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun", text)
}

var clockPattern = regexp.MustCompile(`^([01][0-9]|2[0-4]):([0-5][0-9])$`)

// clock is a key that takes a time of day, in minutes since midnight.
func clock[T any](name, doc string, most int, field func(*T) *int) key[T] {
	s := schema{"type": "string", "pattern": clockPattern.String()}
	return key[T]{name: name, doc: doc, schema: s, read: func(r *reader, n *yaml.Node, into *T) {
		text, ok := r.text(n, name)
		if !ok {
			return
		}
		m := clockPattern.FindStringSubmatch(text)
		if m == nil {
			r.add(n, fmt.Sprintf("%s: %q is no time of day", name, text), `hours and minutes, two digits each: "22:00"`)
			return
		}
		hour, _ := strconv.Atoi(m[1])
		minute, _ := strconv.Atoi(m[2])
		if *field(into) = hour*60 + minute; *field(into) > most {
			r.add(n, fmt.Sprintf("%s: %q is later than %02d:%02d", name, text, most/60, most%60), "24:00 is only an end")
		}
	}}
}

// hostsOwn is what package time calls the zone of the host. time.Local itself
// bears another name where the host has none.
const hostsOwn = "Local"

// zone is a key that takes a time zone. That of the host is none: the policy
// would mean something else on the next one.
func zone[T any](name, doc string, field func(*T) **time.Location) key[T] {
	return key[T]{name: name, doc: doc, schema: schema{"type": "string", "minLength": 1}, read: func(r *reader, n *yaml.Node, into *T) {
		*field(into) = time.UTC // what is refused is asked for nothing
		text, ok := r.text(n, name)
		if !ok {
			return
		}
		loc, err := time.LoadLocation(text)
		if err != nil || text == hostsOwn {
			r.add(n, fmt.Sprintf("%s: %q is no time zone", name, text), zoneHint(text))
			return
		}
		*field(into) = loc
	}}
}

func zoneHint(text string) string {
	known := map[string]string{"CET": "Europe/Berlin", "CEST": "Europe/Berlin", "BST": "Europe/London", "EST": "America/New_York", "EDT": "America/New_York",
		"PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "Z": "UTC", "GMT": "UTC"}
	return "an IANA name such as " + cmp.Or(known[strings.ToUpper(text)], "Europe/Berlin or UTC")
}
