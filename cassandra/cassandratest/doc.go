// Package cassandratest gives tests a real Cassandra.
//
// [Start] leads to a cluster of one node that all test binaries of one go test
// run share, and that ends some seconds after the last of them. [StartDatacenters]
// makes a cluster of several data centres for one test, which may kill, stop,
// freeze and start its nodes. Each test works in keyspaces of its own.
//
// The shared cluster is, in this order: the hosts in RESTANTE_CASSANDRA_HOSTS
// (host:port, separated by commas); a container of cassandra:5.0, where a Docker
// engine answers; a Java process, with Java 17 and the jars that Maven fetches
// from Maven Central the first time. StartDatacenters always takes Java
// processes, on 127.0.i.j. A machine that has none of these skips the tests, and
// fails them where RESTANTE_REQUIRE_CASSANDRA is 1.
//
// A node takes about 900 MiB of memory and starts in about 10 seconds. The logs
// of a cluster stay, in the directory the test names, when a test fails.
package cassandratest
