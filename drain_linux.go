package main

// No new connections, on Linux: only its kernel can ignore them while those in the making come through.

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// ignoreNew makes the system drop what asks for a new connection. The client's system asks again
// after a second, and is then refused, or answered by whoever listens by then.
func ignoreNew(listener *net.TCPListener) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	const flags, syn = 13, 0x02 // where a TCP segment has its flags, and the one that begins a connection
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},          // bytes to keep: none
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff}, // all
	}
	program := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program)
	})
	return errors.Join(err, refused)
}
