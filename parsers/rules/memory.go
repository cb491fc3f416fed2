package rules

// Memory remembers of one transaction which clauses cannot become true any more, as what they ask for does not change while it
// lasts: who the client is and who sends. Facts that have a method Memory give it, so that a rule that names no phase
// is not asked the same at each of them. The zero value is ready; it is for one Set at a time, and not for concurrent use.
type Memory struct {
	set  *Set
	over []uint64 // a bit for each clause
}

// Forget is to be called when a transaction begins (MAIL), and where the client says HELO or turns out to be another one.
func (m *Memory) Forget() { clear(m.over) }

// of is the Memory of facts for a Set; nil: they have none.
func (s *Set) memory(f Facts) *Memory {
	r, ok := f.(interface{ Memory() *Memory })
	if !ok {
		return nil
	}
	m := r.Memory()
	if m != nil && m.set != s {
		m.set, m.over = s, make([]uint64, (s.clauses+63)/64)
	}
	return m
}

// knows reports whether a clause cannot be true any more.
func (m *Memory) knows(c *clause) bool {
	return m != nil && m.over[c.number/64]&(1<<(c.number%64)) != 0
}

func (m *Memory) note(c *clause) {
	if m != nil {
		m.over[c.number/64] |= 1 << (c.number % 64)
	}
}

// settled is the phase from which on a condition stays what it is, once that is known, until the next transaction; phases: there is none.
func settled(n node) Phase {
	switch n := n.(type) {
	case leaf:
		if p, ok := settling[n.op]; ok {
			return p
		}
	case notOf:
		return settled(n.node)
	case allOf:
		return settledAll(n)
	case anyOf:
		return settledAll(n)
	}
	return phases
}

// settling are the operators of which that is so.
var settling = map[string]Phase{"all": AtConnect, "ip": AtConnect, "host": AtConnect, "dns": AtConnect, "helo": AtHelo, "ehlo": AtHelo, "helo-has": AtHelo,
	"from": AtFrom, "source": AtFrom, "user": AtFrom, "trusted": AtFrom, "tls": AtFrom}

func settledAll(nodes []node) (last Phase) {
	for _, n := range nodes {
		last = max(last, settled(n))
	}
	return last
}
