package verify

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestPatience is a context like any other to those who wait, for whom its clock begins to run.
func TestPatience(t *testing.T) {
	type of struct{}
	synctest.Test(t, func(t *testing.T) {
		network := netip.MustParsePrefix("192.0.2.0/24")
		session, leave := context.WithCancel(context.WithValue(t.Context(), of{}, "session"))
		c := caller{network, network}
		p := c.patient(session, time.Minute)
		if p.Value(clientKey{}) != any(network) || p.Value(of{}) != "session" {
			t.Error("it does not say for whom")
		}
		if at, ok := p.Deadline(); !ok || !at.Equal(time.Now().Add(time.Minute)) {
			t.Error(at, ok)
		}
		if p.timed != nil {
			t.Error("its clock runs though nobody waits")
		}
		time.Sleep(59 * time.Second)
		short, stop := context.WithTimeout(p, time.Hour) // its clock begins late, and ends in time
		defer stop()
		if p.Err() != nil {
			t.Error(p.Err())
		}
		time.Sleep(time.Second)
		<-short.Done()
		if !errors.Is(p.Err(), context.DeadlineExceeded) {
			t.Error(p.Err())
		}
		p.over()

		p = c.patient(session, time.Minute)
		p.over()
		<-p.Done()
		if !errors.Is(p.Err(), context.Canceled) {
			t.Error(p.Err())
		}

		p = c.patient(session, time.Minute)
		leave()
		<-p.Done()
		p.over()

		sooner, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if at, _ := c.patient(sooner, time.Minute).Deadline(); !at.Equal(time.Now().Add(time.Second)) {
			t.Error("it lasts longer than what it is part of")
		}
	})
}
