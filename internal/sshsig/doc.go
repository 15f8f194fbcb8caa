// Package sshsig verifies detached SSH signatures (PROTOCOL.sshsig of OpenSSH)
// against an allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS).
//
// Who may sign, for what and until when is decided by OpenSSH's own ssh-keygen:
// principals, certificates, namespaces and validity mean here what they mean
// everywhere else. The package gives it private copies of the bytes in memory, so that what is
// verified is what the caller holds, whatever happens to the files meanwhile.
//
// It signs nothing, and decides nothing about changes. natwarden is a program,
// not a library.
package sshsig
