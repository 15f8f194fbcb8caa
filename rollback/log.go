package rollback

import (
	"encoding/json"
	"time"
)

const (
	logName = "actions.log"
	// logLine is the longest line of the log in bytes. Writers keep far below it.
	logLine = 64 << 10
	// logLimit is how much of a log is read, in bytes: some hundred thousand actions.
	logLimit = 512 << 20
	// logRoom is claimed on the disk before an action begins, in bytes, so that a
	// disk that fills up meanwhile cannot keep its end from being written.
	logRoom = 64 << 10
)

// The events of the action log.
const (
	LogOpened  = "opened"  // the first line: on which host and boot the log was begun
	LogBegin   = "begin"   // the action is the next thing to happen
	LogEnd     = "end"     // the action came to an end; Of is the line of its begin
	LogTorn    = "torn"    // the line before was not written whole, and was cut off; Why holds it
	LogDamaged = "damaged" // the line before cannot be read; the log goes on behind it
	LogLost    = "lost"    // lines before it are gone that had been written; Why names the last of them
)

// Action is what a line of the action log says: who did what to this host.
type Action struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"`
	// Action is what is done: remediate, confirm, rollback, recover, prune.
	Action  string   `json:"action,omitempty"`
	Command []string `json:"command,omitempty"` // the command line, secrets masked
	Who     *Who     `json:"who,omitempty"`

	Change     string `json:"change,omitempty"`
	Snapshot   string `json:"snapshot,omitempty"`
	PlanSHA256 string `json:"plan_sha256,omitempty"`
	// PlanFile is the SHA-256 of the plan file that is carried out, Approved who
	// signed it: principals and key.
	PlanFile string   `json:"plan_file,omitempty"`
	Approved []string `json:"approved,omitempty"`

	Of       int    `json:"of,omitempty"` // of an end: the line that began it
	Status   string `json:"status,omitempty"`
	ExitCode *int   `json:"exit_code,omitempty"`
	Why      string `json:"why,omitempty"`

	Version string `json:"version,omitempty"` // of natwarden
	Host    string `json:"host,omitempty"`
	Machine string `json:"machine,omitempty"` // hash of /etc/machine-id
	BootID  string `json:"boot_id,omitempty"`
}

// Who is the caller of an action as the kernel knows it. SudoUser and SSH come
// from the environment, which the caller could have set: they are hints.
type Who struct {
	UID  int    `json:"uid"`
	User string `json:"user,omitempty"`
	// LoginUID is who logged in, whatever became of the uid since
	// (/proc/self/loginuid, audit_getloginuid(3)); nil where nobody did.
	LoginUID  *uint32 `json:"login_uid,omitempty"`
	LoginUser string  `json:"login_user,omitempty"`
	SudoUser  string  `json:"sudo_user,omitempty"`
	TTY       string  `json:"tty,omitempty"`
	SSH       string  `json:"ssh,omitempty"` // the client's address and port
	PID       int     `json:"pid"`
}

// Head names a line of the action log. The hash of the last one stands for all
// lines before it.
type Head struct {
	Seq  int    `json:"seq"` // from 1
	Hash string `json:"hash"`
}

// logged is how an action stands in the file. Hash is the SHA-256 of Prev,
// which is the hash of the line before, and of the action's bytes: no line can be
// changed, lost or moved unless all that follow are written anew.
type logged struct {
	Seq    int             `json:"seq"`
	Prev   string          `json:"prev"`
	Hash   string          `json:"hash"`
	Action json.RawMessage `json:"entry"`
}

func logHash(prev string, action []byte) string {
	return sha256Hex(append([]byte(prev+"\n"), action...))
}

// genesis is what stands for the line before the first one.
func genesis(a *Action) string {
	return sha256Hex([]byte("natwarden action log\n" + a.Host + "\n" + a.Machine + "\n" + a.BootID))
}

// encodeLog makes a line that follows head, and the head that it is.
func encodeLog(head Head, a Action) ([]byte, Head, error) {
	a.Time = a.Time.UTC().Truncate(time.Millisecond)
	entry, err := json.Marshal(a)
	if err != nil {
		return nil, head, err
	}
	next := Head{head.Seq + 1, logHash(head.Hash, entry)}
	text, err := json.Marshal(logged{next.Seq, head.Hash, next.Hash, entry})
	return append(text, '\n'), next, err
}
