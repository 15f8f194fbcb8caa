// Package qemu boots Debian's own kernel in a virtual machine, for what the
// kernel below the tests may lack: IPVS, classifiers of tc, netkit, SCTP, modules that load
// on demand. It has nothing but tests.
//
// The machine's only program is this package's own test binary: it is /init, it
// is /sbin/modprobe, and it runs the tests of other packages and those named
// TestGuest… here. Files: qemu_test.go builds, boots and reports; image_test.go and
// cpio_test.go pack the file system; modules_test.go and init_test.go are what
// runs inside; guest_*_test.go are its tests.
package qemu
