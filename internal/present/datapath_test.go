package present

import (
	"context"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/genl"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// The attributes of a new datapath (include/uapi/linux/openvswitch.h).
const (
	datapathNew    = 1 // OVS_DP_CMD_NEW
	datapathUpcall = 2 // OVS_DP_ATTR_UPCALL_PID
)

func TestADatapathOfOpenVSwitchIsNamed(t *testing.T) {
	space := labtest.New(t)
	var lacks error
	space.MustDo(t, func(ctx context.Context) error {
		c, err := genl.Dial(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		var id uint16
		if id, lacks = c.Load(familyDatapath); lacks != nil {
			return nil
		}
		request := append(make([]byte, datapathHeader), genl.Attribute(datapathName, []byte("dp0\x00"))...)
		return c.Send(id, datapathNew, datapathVersion, append(request, genl.Attribute(datapathUpcall, make([]byte, 4))...))
	})
	if lacks != nil {
		labtest.Lacking(t, lacks.Error())
	}
	if got := look(t, space); len(got) != 1 || !strings.Contains(got[0], `Open vSwitch datapath "dp0"`) {
		t.Errorf("%q", got)
	}
}
