package relay

// IgnoreLease has a node send whether its lease is valid or not.
func (n *Node) IgnoreLease() { n.rules.noLease = true }
