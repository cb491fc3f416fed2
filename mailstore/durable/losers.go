package durable

import (
	"cmp"
	"container/heap"
	"slices"
)

// losers are those who give way when h needs so much more, nil if that is not
// enough: first what is not nearly through, of the address that holds most, the
// largest. s.mu must be held: of ten thousand holds, all may have to be looked at while
// everybody waits, so each is sorted once.
func (s *Space) losers(h *Hold, short int64, weigh func(*Hold) int64) (losers []*Hold) {
	held := make(map[string]int64) // by address
	var byAddress [2]map[string][]*Hold
	for through := range byAddress {
		byAddress[through] = make(map[string][]*Hold)
	}
	for o := range s.holds {
		if o.stranger == "" || o.kept {
			continue
		}
		held[o.stranger] += weigh(o)
		if o.stranger == h.stranger {
			continue
		}
		through := 0
		if o.nearly() {
			through = 1
		}
		byAddress[through][o.stranger] = append(byAddress[through][o.stranger], o)
	}
	own := held[h.stranger] // for somebody known: 0
	for _, holds := range byAddress {
		all := newHeaviest(held, holds, weigh)
		for short > 0 && all.Len() > 0 {
			if h.stranger != "" && all.heaviest() <= own {
				break
			}
			o := all.take()
			losers = append(losers, o)
			short -= weigh(o)
		}
	}
	if short > 0 {
		return nil
	}
	return losers
}

// heaviest is a heap of addresses, the one that holds most on top. It implements
// heap.Interface.
type heaviest struct {
	held  map[string]int64
	weigh func(*Hold) int64
	of    [][]*Hold // of each address, the largest first; never empty
}

func newHeaviest(held map[string]int64, byAddress map[string][]*Hold, weigh func(*Hold) int64) *heaviest {
	all := &heaviest{held: held, weigh: weigh}
	for _, holds := range byAddress {
		slices.SortFunc(holds, func(a, b *Hold) int { return cmp.Compare(weigh(b), weigh(a)) })
		all.of = append(all.of, holds)
	}
	heap.Init(all)
	return all
}

// heaviest is how much the address on top holds.
func (a *heaviest) heaviest() int64 { return a.held[a.of[0][0].stranger] }

// take takes the largest hold from the address on top.
func (a *heaviest) take() *Hold {
	o := a.of[0][0]
	a.held[o.stranger] -= a.weigh(o)
	if a.of[0] = a.of[0][1:]; len(a.of[0]) == 0 {
		heap.Remove(a, 0)
	} else {
		heap.Fix(a, 0)
	}
	return o
}

func (a *heaviest) Len() int { return len(a.of) }

func (a *heaviest) Less(i, j int) bool {
	x, y := a.of[i][0], a.of[j][0]
	if a.held[x.stranger] != a.held[y.stranger] {
		return a.held[x.stranger] > a.held[y.stranger]
	}
	return a.weigh(x) > a.weigh(y)
}

func (a *heaviest) Swap(i, j int) { a.of[i], a.of[j] = a.of[j], a.of[i] }

func (a *heaviest) Push(x any) { a.of = append(a.of, x.([]*Hold)) }

func (a *heaviest) Pop() any {
	last := a.of[len(a.of)-1]
	a.of = a.of[:len(a.of)-1]
	return last
}
