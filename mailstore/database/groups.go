package database

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Groups makes one transaction of what is to be made durable at one time (group commit): while one group is written, the next comes
// together. It is safe for concurrent use. Make it with Gather.
type Groups[T any] struct {
	come   chan []T // has no buffer, in which something could stay unanswered at the end
	ends   context.Context
	octets func(T) int
	write  func(group []T)
}

const (
	groupsAtOnce = 2 // on their way, each on a connection of its own

	// MostOfGroup is how many a group has, but for what comes in one Put.
	MostOfGroup = 256

	// MostOctets is after how many octets a group takes in no more.
	MostOctets = 8 << 20
)

// Gather has groups written until ends is over; runs waits for what is on its way then. octets is how much of a group one makes up; write
// answers each in its own way, and is called from several goroutines.
func Gather[T any](ends context.Context, runs *sync.WaitGroup, octets func(T) int, write func(group []T)) *Groups[T] {
	g := &Groups[T]{come: make(chan []T), ends: ends, octets: octets, write: write}
	for range groupsAtOnce {
		runs.Go(g.run)
	}
	return g
}

// ErrEnded is what Put says when nothing is written any more.
var ErrEnded = errors.New("the database is not written to any more")

// Put hands over what is to be in one group. Without an error it is written and answered; with one (ErrEnded, or the context's) it is not.
func (g *Groups[T]) Put(ctx context.Context, all ...T) error {
	select {
	case g.come <- all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-g.ends.Done():
		return ErrEnded
	}
}

func (g *Groups[T]) run() {
	for {
		select {
		case first := <-g.come:
			g.write(g.gather(first))
		case <-g.ends.Done():
			return
		}
	}
}

// gather takes what waits beside the first, without waiting for more.
func (g *Groups[T]) gather(group []T) []T {
	octets := g.sum(group)
	for len(group) < MostOfGroup && octets < MostOctets {
		select {
		case more := <-g.come:
			group = append(group, more...)
			octets += g.sum(more)
		default:
			return group
		}
	}
	return group
}

func (g *Groups[T]) sum(all []T) (octets int) {
	for _, one := range all {
		octets += g.octets(one)
	}
	return octets
}

// Again does something anew that the database took back for another's sake, or for which there was no connection yet. do says whether it
// had begun: before that nothing is on its way.
func Again(do func() (begun bool, err error)) (begun bool, err error) {
	for attempt := 1; ; attempt++ {
		begun, err = do()
		if attempt == Attempts || !TakenBack(err) && (begun || !Broken(err)) {
			return begun, err
		}
		time.Sleep(time.Duration(attempt*attempt) * time.Millisecond)
	}
}
