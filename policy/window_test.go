package policy

import (
	"strings"
	"testing"
	"time"
)

func change(t *testing.T, windows string) *Change {
	t.Helper()
	return &parsedPolicy(t, "version: 1\nchange: {windows: ["+windows+"]}").Change
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

const (
	nights = `{days: Mon-Fri, from: "22:00", to: "04:00", zone: Europe/Berlin}`
	daily  = `{from: "02:15", to: "02:45", zone: Europe/Berlin}`
	twice  = `{from: "02:30", to: "03:30", zone: Europe/Berlin}`
	eve    = `{date: 2026-12-24, from: "23:00", to: "01:00", zone: Pacific/Auckland}`
	whole  = `{days: Sat, from: "00:00", to: "24:00", zone: UTC}`
)

func TestWindowsAreOpenByTheClockOnTheWall(t *testing.T) {
	for _, c := range []struct {
		windows, at string
		want        bool
	}{
		{nights, "2026-11-23T20:59:59Z", false}, // a Monday, in winter an hour behind
		{nights, "2026-11-23T21:00:00Z", true},
		{nights, "2026-11-24T02:59:59Z", true},
		{nights, "2026-11-24T03:00:00Z", false},
		{nights, "2026-07-06T20:00:00Z", true},  // in summer two hours
		{nights, "2026-11-23T02:00:00Z", false}, // Monday morning belongs to Sunday
		{nights, "2026-11-28T02:59:00Z", true},  // Saturday morning belongs to Friday
		{nights, "2026-11-28T21:00:00Z", false},
		{whole, "2026-11-28T00:00:00Z", true},
		{whole, "2026-11-28T23:59:59Z", true},
		{whole, "2026-11-29T00:00:00Z", false},
		{eve, "2026-12-24T09:59:00Z", false},
		{eve, "2026-12-24T10:00:00Z", true}, // 23:00 there
		{eve, "2026-12-24T11:59:00Z", true},
		{eve, "2026-12-24T12:00:00Z", false},
		{eve, "2027-12-24T10:00:00Z", false},
		// 2026-03-29 02:00 becomes 03:00: the clock never shows 02:15.
		{daily, "2026-03-29T01:15:00Z", false},
		{daily, "2026-03-29T00:30:00Z", false},
		{twice, "2026-03-29T01:00:00Z", true}, // 03:00
		{twice, "2026-03-29T00:59:00Z", false},
		// 2026-10-25 03:00 becomes 02:00: 02:15 comes twice.
		{daily, "2026-10-25T00:15:00Z", true},
		{daily, "2026-10-25T01:15:00Z", true},
		{daily, "2026-10-25T00:45:00Z", false},
		{nights + "," + whole, "2026-11-28T12:00:00Z", true},
	} {
		if got := change(t, c.windows).IsOpen(at(t, c.at)); got != c.want {
			t.Errorf("%s at %s: %v", c.windows, c.at, got)
		}
	}
	if !(&Change{}).IsOpen(time.Time{}) {
		t.Error("without windows every moment is fine")
	}
}

func TestTheNextOpening(t *testing.T) {
	for _, c := range []struct{ windows, after, want string }{
		{nights, "2026-11-23T12:00:30Z", "2026-11-23T22:00:00+01:00"},
		{nights, "2026-11-28T12:00:00Z", "2026-11-30T22:00:00+01:00"},
		{nights, "2026-11-23T21:30:00Z", "2026-11-23T22:31:00+01:00"}, // it is open
		{daily, "2026-03-28T12:00:00Z", "2026-03-30T02:15:00+02:00"},  // on the 29th there is none
		{`{days: Sun, from: "02:15", to: "02:45", zone: Europe/Berlin}`, "2026-03-28T12:00:00Z", "2026-04-05T02:15:00+02:00"},
		{nights + "," + whole, "2026-11-27T12:00:00Z", "2026-11-27T22:00:00+01:00"},
		{eve, "2026-01-01T00:00:00Z", "2026-12-24T23:00:00+13:00"},
		{eve, "2026-12-25T00:00:00Z", ""},
	} {
		got := ""
		if when, ever := change(t, c.windows).NextOpen(at(t, c.after)); ever {
			got = when.Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%s after %s: %q, want %q", c.windows, c.after, got, c.want)
		}
	}
}

func TestWindowsInWords(t *testing.T) {
	for text, want := range map[string]string{
		nights: "Mon-Fri 22:00-04:00 Europe/Berlin", daily: "daily 02:15-02:45 Europe/Berlin", eve: "2026-12-24 23:00-01:00 Pacific/Auckland",
		`{days: "fri - monday", from: 22:00, to: 24:00, zone: UTC}`:           "Mon,Fri-Sun 22:00-24:00 UTC",
		`{days: [Tue, "Thu,Sat-Sun"], from: 00:00, to: 00:01, zone: Etc/UTC}`: "Tue,Thu,Sat-Sun 00:00-00:01 Etc/UTC",
	} {
		if got := change(t, text).Windows[0].String(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestBadWindows(t *testing.T) {
	good := map[string]string{"days": "Mon", "from": "22:00", "to": "04:00", "zone": "UTC"}
	for text, want := range map[string]string{
		"days: Moonday": `"Moonday" is no day`, "days: Mon-": `"" is no day`, "days: []": "empty list", "days: 1": "is no day",
		"from: 2200": "no time of day", "from: 25:00": "no time of day", "from: 24:00": "later than 23:59", "to: 24:30": "later than 24:00", "to: 22:00": "closes in the moment",
		"from: 9:00": "two digits", "from: [22:00]": "must be text",
		"zone: Local": "no time zone", "zone: CEST": "Europe/Berlin", "zone: ../../etc/passwd": "no time zone", "zone: Mars/Olympus": "no time zone", "zone: ": "must be text",
		"date: 2026-12-24": "days or a date", "until: x": "unknown key",
	} {
		key, _, _ := strings.Cut(text, ":")
		parts := []string{text}
		for k, v := range good {
			if k != key {
				parts = append(parts, k+": "+v)
			}
		}
		_, err := Parse([]byte("version: 1\nchange:\n  windows:\n    - {"+strings.Join(parts, ", ")+"}\n"), "p")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "p:4:") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{"windows: []": "empty list", "windows: {}": "must be a list", "windows: [" + strings.Repeat("{},", 101) + "]": "100 are the most", "windows: [{}]": "has no zone", "window: []": `did you mean "windows"`} {
		if _, err := Parse([]byte("version: 1\nchange: {"+text+"}\n"), "p"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// The day and the minute of an opening are those of the definition, around every
// change of the clocks of a few odd zones.
func TestNextOpenIsOpenAndNothingBeforeIs(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"} {
		c := change(t, `{days: "Sat,Sun", from: "23:30", to: "02:10", zone: `+zone+"}")
		for day := range 366 {
			now := time.Date(2026, 1, 1+day, 5, 17, 11, 0, time.UTC)
			next, ever := c.NextOpen(now)
			if !ever || !c.IsOpen(next) || !next.After(now) || next.Sub(now) > 8*24*time.Hour {
				t.Fatalf("%s: after %s: %s %v", zone, now, next, ever)
			}
			if before := next.Add(-time.Second); before.After(now) && c.IsOpen(before) && next.Sub(now) > time.Minute {
				t.Fatalf("%s: %s is open before %s", zone, before, next)
			}
		}
	}
}

func TestLintTellsWindowsThatAreOver(t *testing.T) {
	p := parsedPolicy(t, `version: 1
change:
  windows:
    - `+nights+`
    - {date: 2026-11-20, from: "22:00", to: "04:00", zone: UTC}
    - {date: 2026-11-23, from: "00:00", to: "24:00", zone: UTC}
`)
	got := Lint(p, nil, today)
	if len(got) != 1 || got[0] != (Finding{Warning, "change", 5, "window 2026-11-20 22:00-04:00 UTC never opens again"}) {
		t.Errorf("%+v", got)
	}
}
