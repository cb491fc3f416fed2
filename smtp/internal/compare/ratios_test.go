//go:build unix

package compare

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

const (
	slice  = 20 * time.Millisecond // at least, for each turn
	budget = 6 * time.Second       // for each workload
)

// contender is a server in a workload, and how it did.
type contender struct {
	name          string
	send          func()
	octets, times int           // of a message; messages in a turn
	wall, cpu     []float64     // of each turn: nanoseconds for a message
	slow, dear    []float64     // what these are of the floor's in the same round
	bytes, allocs uint64        // of all turns
	first         time.Duration // of the turn that calibrated
}

// turn sends the messages of one turn.
func (c *contender) turn() {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, used := time.Now(), cpuTime()
	for range c.times {
		c.send()
	}
	c.cpu = append(c.cpu, float64(cpuTime()-used)/float64(c.times))
	c.wall = append(c.wall, float64(time.Since(began))/float64(c.times))
	runtime.ReadMemStats(&after)
	c.bytes += after.TotalAlloc - before.TotalAlloc
	c.allocs += after.Mallocs - before.Mallocs
}

// calibrate finds how many messages fill a turn.
func (c *contender) calibrate() {
	c.send()
	for began := time.Now(); c.first < slice; c.first = time.Since(began) {
		c.send()
		c.times++
	}
}

// cpuTime is what this process, server and client, has used of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestRatios prints what a message costs, in time and in time of the
// processors, server and client together, and what that is of the floor's cost.
// The servers take turns of a few milliseconds, each round beginning with
// another; a ratio is that of two turns of one round, and what is printed is the
// median of all rounds with its quartiles. So other work on the machine hits
// all alike; when there is much of it, trust the processors' ratio. It judges
// nothing: times are no test.
func TestRatios(t *testing.T) {
	if testing.Short() || !testing.Verbose() {
		t.Skip("prints only; run with -v")
	}
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			all := make([]*contender, len(servers))
			var round time.Duration
			for i, s := range servers {
				all[i] = &contender{name: s.name}
				all[i].send, all[i].octets = w.open(t, listen(t, s))
				all[i].calibrate()
				round += all[i].first
			}
			rounds := max(int(budget/round), 15)
			for r := range rounds {
				for i := range all {
					all[(r+i)%len(all)].turn()
				}
				for _, c := range all {
					c.slow = append(c.slow, c.wall[r]/all[0].wall[r])
					c.dear = append(c.dear, c.cpu[r]/all[0].cpu[r])
				}
			}
			fmt.Printf("%s, %d rounds\n", w.name, rounds)
			for _, c := range all {
				fmt.Println(c)
			}
		})
	}
}

// String is the contender's line.
func (c *contender) String() string {
	sent := uint64(c.times * len(c.wall))
	line := fmt.Sprintf("  %-10s %9.1f µs %s  %9.1f µs of CPU %s  %6d B %3d allocs", c.name,
		quartile(c.wall, 2)/1e3, times(c.slow), quartile(c.cpu, 2)/1e3, times(c.dear), c.bytes/sent, c.allocs/sent)
	if c.octets > 0 {
		line += fmt.Sprintf("  %6.0f MB/s", float64(c.octets)/quartile(c.wall, 2)*1e3)
	}
	return line
}

func times(ratios []float64) string {
	return fmt.Sprintf("%5.2f× (%.2f–%.2f)", quartile(ratios, 2), quartile(ratios, 1), quartile(ratios, 3))
}

func quartile(all []float64, n int) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[(len(all)-1)*n/4]
}
