//go:build !linux

package main

// No new connections, elsewhere: there a connection that is made at the very last moment may be reset.

import "net"

func ignoreNew(*net.TCPListener) error { return nil }
