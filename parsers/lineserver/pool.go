package lineserver

import "sync"

// Pool is what groups share, such as the servers on the ports of one program:
// the descriptors of one process. Its field must not change once a group of it
// serves.
type Pool struct {
	// MaxConns is how many connections all groups may have together; 0 means no
	// cap. When it is reached, a stranger of whichever group makes room.
	MaxConns int

	mu        sync.Mutex
	conns     int
	strangers strangerList
}

// Len is the number of connections of all groups now.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}
