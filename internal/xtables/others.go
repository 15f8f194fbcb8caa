package xtables

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// lookAtOthers sees whether arptables-legacy or ebtables-legacy have rules.
// They are not decoded; where they may hold some, that is a Blind.
func (d *Dump) lookAtOthers() error {
	names, _, err := tableNames("arp_tables_names")
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if err := d.lookAtARP(names); err != nil {
			return err
		}
	}
	for _, table := range ebtablesInUse() {
		d.blind("bridge "+table, "rules of ebtables-legacy are not decoded; see them with ebtables-legacy -t "+table+" -L, or move them to nft")
	}
	return nil
}

func (d *Dump) lookAtARP(names []string) error {
	s, err := OpenSocket(host.IP)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, name := range names {
		rules, policies, err := arpRules(s, name)
		if err != nil {
			d.blind("arp "+name, fmt.Sprintf("reading arp table %s: %v", name, err))
			continue
		}
		if rules > 0 {
			d.blind("arp "+name, fmt.Sprintf("%d entries besides the %d policies: rules of arptables-legacy are not decoded; see them with arptables-legacy -t %s -L", rules, policies, name))
		}
	}
	return nil
}

// arpRules asks for struct arpt_getinfo (include/uapi/linux/netfilter_arp/arp_tables.h),
// which has three hooks, and gives how many entries there are besides the
// policies of its hooks and the end mark.
func arpRules(s *Socket, name string) (rules, policies int, err error) {
	buf := make([]byte, tableName+4+12+12+8)
	if len(name) >= tableName {
		return 0, 0, fmt.Errorf("table name %q is too long", name)
	}
	copy(buf, name)
	if _, err := s.Get(arpGetInfo, buf); err != nil {
		return 0, 0, err
	}
	for valid := u32(buf, 32); valid != 0; valid &= valid - 1 {
		policies++
	}
	return int(u32(buf, 60)) - policies - 1, policies, nil
}
