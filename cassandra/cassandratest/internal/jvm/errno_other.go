//go:build !unix

package jvm

import "restante/cassandra/cassandratest/internal/process"

var errAddrInUse = process.ErrUnsupported
