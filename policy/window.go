package policy

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // hosts without the package tzdata know the zones as well
)

// Window is a time in which changes may be made. What counts is what a clock
// on the wall of its zone shows: where the clocks are put forward the minutes that they leave out
// are in no window, where they are put back the minutes that come twice are in it twice.
type Window struct {
	Days [7]bool   // by time.Weekday: on which the window opens
	Date time.Time // the only day on which it opens, 00:00 UTC; zero: by Days
	// From and To are minutes since midnight. A To that is not later than From is
	// on the next day; 1440 is the end of the day.
	From, To int
	Zone     *time.Location
	Line     int // of the file
}

const minutesOfDay = 24 * 60

// Contains says whether the window is open at a moment.
func (w *Window) Contains(t time.Time) bool {
	local := t.In(w.Zone)
	minute := local.Hour()*60 + local.Minute()
	if w.To > w.From {
		return w.opensOn(local, 0) && minute >= w.From && minute < w.To
	}
	return w.opensOn(local, 0) && minute >= w.From || w.opensOn(local, -1) && minute < w.To
}

// opensOn says whether the window opens on the day of a local time, or some
// days beside it.
func (w *Window) opensOn(local time.Time, beside int) bool {
	y, m, d := local.Date()
	day := time.Date(y, m, d+beside, 0, 0, 0, 0, time.UTC) // UTC: every day has a midnight
	if !w.Date.IsZero() {
		return day.Equal(w.Date)
	}
	return w.Days[day.Weekday()]
}

// horizon is how far ahead an opening is looked for. Windows come again every
// week; the hour of one week may be left out when the clocks are put forward.
const horizon = 15 * 24 * time.Hour

// next gives the first minute after a moment in which the window opens or is
// open; false for never. It asks minute by minute: so it cannot disagree with Contains.
func (w *Window) next(after time.Time) (time.Time, bool) {
	t := after.UTC().Truncate(time.Minute).Add(time.Minute)
	if early := w.Date.Add(-minutesOfDay * time.Minute); !w.Date.IsZero() && t.Before(early) {
		t = early // no zone is a day ahead of UTC
	}
	for end := t.Add(horizon); t.Before(end); t = t.Add(time.Minute) {
		if w.Contains(t) {
			return t.In(w.Zone), true
		}
	}
	return time.Time{}, false
}

// String writes the window in one line: "Mon-Fri 22:00-04:00 Europe/Berlin".
func (w *Window) String() string {
	days := dayWords(w.Days)
	if !w.Date.IsZero() {
		days = w.Date.Format(day)
	}
	return fmt.Sprintf("%s %02d:%02d-%02d:%02d %s", days, w.From/60, w.From%60, w.To/60, w.To%60, w.Zone)
}

// week begins on Monday, as most rosters do (ISO 8601).
func week() []time.Weekday {
	return []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}
}

// dayWords joins neighbours: "Mon-Fri", "Sat,Sun", "daily".
func dayWords(days [7]bool) string {
	var runs []string
	week := week()
	for i := 0; i < len(week); i++ {
		if !days[week[i]] {
			continue
		}
		first := i
		for i+1 < len(week) && days[week[i+1]] {
			i++
		}
		text := short3(week[first])
		if i > first {
			text += "-" + short3(week[i])
		}
		runs = append(runs, text)
	}
	if text := strings.Join(runs, ","); text != "Mon-Sun" {
		return text
	}
	return "daily"
}

func short3(d time.Weekday) string { return d.String()[:3] }

// IsOpen says whether a change may be made at a moment.
func (c *Change) IsOpen(now time.Time) bool {
	for i := range c.Windows {
		if c.Windows[i].Contains(now) {
			return true
		}
	}
	return len(c.Windows) == 0
}

// NextOpen is when the first window opens after a moment, in its own zone;
// false where none ever does.
func (c *Change) NextOpen(now time.Time) (at time.Time, ever bool) {
	for i := range c.Windows {
		if t, opens := c.Windows[i].next(now); opens && (!ever || t.Before(at)) {
			at, ever = t, true
		}
	}
	return at, ever
}
