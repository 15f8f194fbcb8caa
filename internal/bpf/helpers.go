package bpf

import (
	"bufio"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// harmless are helpers that neither change a packet nor choose where it or a
// connection goes: they read, count, store in maps and report. Names are those of
// the kernel's functions (net/core/filter.c, kernel/bpf/helpers.c).
func harmlessHelpers() []string {
	return []string{
		"bpf_map_lookup_elem", "bpf_map_update_elem", "bpf_map_delete_elem", "bpf_map_push_elem", "bpf_map_pop_elem", "bpf_map_peek_elem", "bpf_map_lookup_percpu_elem",
		"bpf_get_prandom_u32", "bpf_user_rnd_u32", "bpf_get_raw_cpu_id", "bpf_get_smp_processor_id", "bpf_get_numa_node_id",
		"bpf_ktime_get_ns", "bpf_ktime_get_boot_ns", "bpf_ktime_get_coarse_ns", "bpf_ktime_get_tai_ns", "bpf_jiffies64",
		"bpf_perf_event_output", "bpf_event_output", "bpf_skb_event_output", "bpf_xdp_event_output", "bpf_sockopt_event_output", "bpf_event_output_data",
		"bpf_ringbuf_output", "bpf_ringbuf_reserve", "bpf_ringbuf_submit", "bpf_ringbuf_discard", "bpf_ringbuf_query",
		"bpf_trace_printk", "bpf_trace_vprintk", "bpf_snprintf", "bpf_strtol", "bpf_strtoul", "bpf_strncmp",
		"bpf_skb_load_bytes", "bpf_skb_load_bytes_relative", "bpf_flow_dissector_load_bytes", "bpf_xdp_load_bytes", "bpf_xdp_get_buff_len", "bpf_skb_pull_data", "sk_skb_pull_data",
		"bpf_skb_load_helper_8", "bpf_skb_load_helper_16", "bpf_skb_load_helper_32",
		"bpf_skb_load_helper_8_no_cache", "bpf_skb_load_helper_16_no_cache", "bpf_skb_load_helper_32_no_cache",
		"bpf_csum_diff", "bpf_get_cgroup_classid", "bpf_skb_cgroup_classid", "bpf_get_cgroup_classid_curr", "bpf_get_route_realm", "bpf_get_hash_recalc",
		"bpf_skb_under_cgroup", "bpf_skb_cgroup_id", "bpf_skb_ancestor_cgroup_id", "bpf_get_current_cgroup_id", "bpf_get_current_ancestor_cgroup_id",
		"bpf_get_socket_cookie", "bpf_get_socket_cookie_sock_addr", "bpf_get_socket_cookie_sock", "bpf_get_socket_cookie_sock_ops", "bpf_get_socket_ptr_cookie",
		"bpf_get_netns_cookie_sock", "bpf_get_netns_cookie_sock_addr", "bpf_get_netns_cookie_sock_ops", "bpf_get_netns_cookie", "bpf_get_socket_uid",
		"bpf_skb_fib_lookup", "bpf_xdp_fib_lookup", "bpf_get_current_pid_tgid", "bpf_get_current_uid_gid", "bpf_get_current_comm", "bpf_get_current_task",
		"bpf_spin_lock", "bpf_spin_unlock", "bpf_get_netns_cookie_sk_msg", "bpf_skb_check_mtu", "bpf_xdp_check_mtu",
	}
}

// mapFunctions are the functions of map types, which the kernel calls directly
// in place of the general helper (map_gen_lookup, BPF_EMIT_CALL in do_misc_fixups).
var mapFunctions = regexp.MustCompile(`^_{0,2}(htab|htab_lru|htab_percpu|htab_lru_percpu|array|percpu_array|trie|queue_stack|queue|stack|bloom)(_map)?_(lookup|update|delete|push|pop|peek)(_percpu)?_elem$`)

// inert says whether a helper is known to be harmless.
func inert(name string) bool {
	return slices.Contains(harmlessHelpers(), name) || mapFunctions.MatchString(name)
}

// returnsMapMemory says whether what the helper gives belongs to a map.
func returnsMapMemory(name string) bool {
	return name == "bpf_ringbuf_reserve" || inert(name) && strings.Contains(name, "_lookup_") && strings.HasSuffix(name, "elem")
}

// symbols are the kernel's function names by address relative to
// __bpf_call_base, by which the kernel's dump names helpers.
type symbols map[int64][]string

// readSymbols reads /proc/kallsyms, text symbols of the kernel itself only:
// those of modules and programs bear names that others chose. Where addresses are hidden it is empty.
func readSymbols() symbols {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseSymbols(f)
}

func parseSymbols(r io.Reader) symbols {
	wanted := map[uint64][]string{}
	base := uint64(0)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || !strings.EqualFold(fields[1], "t") {
			continue
		}
		name := fields[2]
		address, err := strconv.ParseUint(fields[0], 16, 64)
		if err != nil || address == 0 {
			continue
		}
		if name == "__bpf_call_base" {
			base = address
		} else if strings.Contains(name, "bpf_") || strings.Contains(name, "map_lookup") || strings.HasSuffix(name, "_elem") {
			wanted[address] = append(wanted[address], name)
		}
	}
	if base == 0 {
		return nil
	}
	out := make(symbols, len(wanted))
	for address, names := range wanted {
		out[int64(address-base)] = names
	}
	return out
}
