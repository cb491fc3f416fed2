package textual

import "sync"

const (
	// smallSize is what a Reader owns while it waits: enough for MAIL, a few
	// RCPT and DATA in one packet, and for every single command but AUTH.
	smallSize = 512
	// bulkSize is what it borrows for bodies and long pipelines.
	bulkSize = 32 << 10
	// batchSize is what a Writer borrows between two flushes.
	batchSize = 4 << 10
)

// MaxLine is the longest line, in octets without its ending, that any Reader
// can be asked for.
const MaxLine = bulkSize - 2

// The pools keep arrays rather than slices, so that putting one back does not
// allocate a slice header.
var (
	bulkPool  = sync.Pool{New: func() any { return new([bulkSize]byte) }}
	batchPool = sync.Pool{New: func() any { return new([batchSize]byte) }}
)
