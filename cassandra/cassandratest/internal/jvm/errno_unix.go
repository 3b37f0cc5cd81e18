//go:build unix

package jvm

import "syscall"

const errAddrInUse = syscall.EADDRINUSE
