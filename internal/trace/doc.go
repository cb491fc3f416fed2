// Package trace reads the daemon's log and tells the way of a message: what came,
// from whom, into which mailbox or queue entry, what other hosts said to it, and
// what was refused.
package trace
