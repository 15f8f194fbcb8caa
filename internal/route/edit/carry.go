package edit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/route"
)

// carryOut does one step. Deleting what is gone already, and adding what is
// there already, is success: the host is as planned.
func carryOut(c *netlink.Conn, s change.Step) error {
	switch {
	case s.Object().Kind == route.KindSysctl:
		return setSysctl(s.After)
	case s.After == nil:
		return ignore(send(c, s.Before, false), unix.ESRCH, unix.ENOENT)
	}
	return ignore(send(c, s.After, true), unix.EEXIST)
}

func ignore(err error, harmless ...error) error {
	for _, h := range harmless {
		if errors.Is(err, h) {
			return nil
		}
	}
	return err
}

func send(c *netlink.Conn, o *change.Object, add bool) error {
	kinds := map[string][2]netlink.HeaderType{
		route.KindRoute:     {unix.RTM_DELROUTE, unix.RTM_NEWROUTE},
		route.KindRule:      {unix.RTM_DELRULE, unix.RTM_NEWRULE},
		route.KindNeighbour: {unix.RTM_DELNEIGH, unix.RTM_NEWNEIGH},
	}
	kind, ok := kinds[o.Kind]
	if !ok {
		return fmt.Errorf("%q is no kind of rtnetlink object", o.Kind)
	}
	if len(o.Raw) == 0 {
		return errors.New("its bytes are missing")
	}
	header := netlink.Header{Type: kind[0], Flags: netlink.Request | netlink.Acknowledge}
	if add {
		header.Type = kind[1]
		header.Flags |= netlink.Create | netlink.Excl
	}
	_, err := c.Execute(netlink.Message{Header: header, Data: o.Raw})
	return err
}

// setSysctl writes a switch below /proc/sys/net. The key comes from a plan or
// journal, so it must be one that natwarden reads.
func setSysctl(o *change.Object) error {
	key := o.Names["key"]
	name, ok := strings.CutSuffix(strings.TrimPrefix(key, "ipv4/conf/"), "/proxy_arp")
	if !ok || !strings.HasPrefix(key, "ipv4/conf/") || name == "" || name != filepath.Base(name) || name == ".." {
		return fmt.Errorf("%q is no sysctl that natwarden sets", key)
	}
	f, err := os.OpenFile("/proc/sys/net/"+key, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("setting sysctl %s: %w", key, err)
	}
	defer f.Close()
	if _, err := f.Write(o.Raw); err != nil {
		return fmt.Errorf("setting sysctl %s: %w", key, err)
	}
	return nil
}
