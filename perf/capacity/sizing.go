package main

import (
	"math"

	"restante/perf/sweep"
)

// The assumptions are what mailboxes do and what machines are. Nothing of it is measured.
type assumptions struct {
	Mailboxes []float64 `default:"1e6,1e7,1e8" help:"How many mailboxes to size for."`

	Mails     float64 `default:"10" help:"Mails that a mailbox gets a day."`
	Size      float64 `default:"64" help:"Mean size of a mail, KiB."`
	Retention float64 `default:"7" help:"Days until a mail is removed."`
	Logins    float64 `default:"24" help:"Logins of a mailbox a day."`
	Fetched   float64 `default:"1" help:"How often a mail is retrieved before it is removed."`
	Asked     float64 `default:"1" help:"Statements of a delivery besides those that the sweep of sizes has counted, where all mail went to one address: with many, a server asks Cassandra for each."`
	Hashed    float64 `default:"1" help:"Share of the logins that hash the password: a server remembers one for five minutes, and 16384 of them at most."`
	Peak      float64 `default:"3" help:"The busiest second, times the mean of the day."`

	Datacenters float64 `default:"2" help:"Data centres, each with all mail."`
	Replication float64 `default:"3" help:"Copies of each mail in a data centre."`

	Cores       float64 `default:"16" help:"Cores of a node, like those that were measured."`
	Disk        float64 `default:"4" help:"Disk of a Cassandra node, TiB."`
	Utilization float64 `default:"0.5" help:"Share of the cores that the busiest second may take."`
	Full        float64 `default:"0.5" help:"Share of the disk that mail may take; the rest is for compaction."`
}

// A need is what a number of mailboxes takes.
type need struct {
	mailboxes           float64
	mails, logins       float64 // a second, at the peak
	restante, cassandra float64 // cores busy at the peak, in all data centres together
	disk                float64 // TiB of mail in all data centres together

	// Nodes in each data centre, and what the number of those of Cassandra is for.
	restanteNodes, cassandraNodes float64
	because                       string
}

const day = 24 * 60 * 60

// A mailbox in the middle of its life, as the model asks for it.
func (a assumptions) conditions(series string) map[string]float64 {
	at := map[string]float64{sweep.Size: a.Size, sweep.Recipients: 1, sweep.Messages: a.Mails * a.Retention, sweep.Copies: a.copies()}
	if series == sweep.Delivery {
		at[sweep.Statements] = a.Asked
	}
	return at
}

func (a assumptions) copies() float64 { return a.Datacenters * a.Replication }

// logins are what one costs with a password that is hashed, and with one that a server
// remembers. Both list the maildrop. First logins are measured on empty ones, so what a
// listing costs comes on top of them.
func (a assumptions) logins(m model, metric string) (hashed, remembered float64) {
	remembered, _ = m.cost(sweep.Login, metric, a.conditions(sweep.Login))
	first, ok := m.cost(sweep.FirstLogin, metric, nil)
	if !ok {
		return remembered, remembered // which is one of the doubts
	}
	empty, _ := m.cost(sweep.Login, metric, nil)
	return first + remembered - empty, remembered
}

// login is the mean of all of them.
func (a assumptions) login(m model, metric string) float64 {
	hashed, remembered := a.logins(m, metric)
	return a.Hashed*hashed + (1-a.Hashed)*remembered
}

// size says what a number of mailboxes needs. A data centre that is lost leaves its
// clients to the others, so each has nodes for all clients there are; and one node
// more, which may be lost as well.
func (a assumptions) size(m model, mailboxes float64) need {
	n := need{mailboxes: mailboxes}
	n.mails = mailboxes * a.Mails / day * a.Peak
	n.logins = mailboxes * a.Logins / day * a.Peak
	cost := func(series, metric string) float64 {
		c, _ := m.cost(series, metric, a.conditions(series))
		return c
	}
	cores := func(metric string) (writing, reading float64) {
		reading = n.mails*a.Fetched*cost(sweep.Retrieve, metric) + n.logins*a.login(m, metric)
		return n.mails * cost(sweep.Delivery, metric) / 1000, reading / 1000
	}
	nodes := func(needed, room float64) float64 { return math.Ceil(needed/room) + 1 }
	room := a.Cores * a.Utilization

	writing, reading := cores(sweep.RestanteCPU)
	n.restante = writing + reading
	n.restanteNodes = nodes(n.restante, room)

	writing, reading = cores(sweep.CassandraCPU)
	n.cassandra = writing + reading
	n.disk = mailboxes * a.Mails * a.Retention * cost(sweep.Delivery, sweep.Stored) / (1 << 40)
	// Every data centre writes its own copies, whoever sends them; reading is wherever
	// the clients are.
	byCPU := nodes(writing/a.Datacenters+reading, room)
	byDisk := nodes(n.disk/a.Datacenters, a.Disk*a.Full)
	n.cassandraNodes = max(byCPU, byDisk, a.Replication)
	switch n.cassandraNodes {
	case byDisk:
		n.because = "disk"
	case byCPU:
		n.because = "CPU"
	default:
		n.because = "copies"
	}
	return n
}
