package nft

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// nft 1.0.6 lists no chain whose devices are named by how they begin; Linux
// 6.18 runs it all the same, and dumps it so (measured).
func TestDevicesByHowTheyBegin(t *testing.T) {
	devices := AppendText(nil, deviceName, "lo")
	devices = AppendText(devices, 2, "eth")
	hook := AppendNest(nil, hookDevs, devices)
	c, _, err := ParseChain(AppendNest(AppendText(nil, unix.NFTA_CHAIN_NAME, "c"), unix.NFTA_CHAIN_HOOK, hook))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"lo", "eth*"}; !slices.Equal(c.Hook.Devices, want) {
		t.Errorf("devices %q, want %q", c.Hook.Devices, want)
	}
}
