// Package queue keeps mail for other hosts on stable storage until every one
// of its recipients is settled: delivered, refused for good, or given up.
//
// An Entry is what was accepted; it never changes. A State is how far its
// delivery has come, recipient by recipient; it is replaced as a whole each
// time something is learnt. Both live in a Spool, of which smtp/queue/spool
// keeps one in a directory. A Transport makes attempts; smtp/queue/relay
// speaks SMTP and LMTP to other hosts. The Queue between them decides when:
//
//	due → write the attempt down → Transport → write the result down → done, later, or bounce
//
// An attempt is written down before it is made, so that a crash in the middle
// of one costs patience and not a storm of repeated mail. A result is written
// down before anything rests on it. The queue may therefore repeat a delivery
// whose acknowledgement it had no time to record, and never loses one.
//
// Locks: active.mu is of one entry in memory and is held while its state is changed
// and written to the disk; Queue.mu is of everything else and never held while
// anything is waited for. Who needs both takes active.mu first.
//
// Memory holds ids and times, and the contents of those entries only that are
// being delivered.
package queue
