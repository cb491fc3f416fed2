package sink

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/postrider-mail/postrider/smtp"
)

// Point is where Chaos strikes.
type Point int

// Where Chaos can strike.
const (
	AtSender Point = iota
	AtRecipient
	AtLogin
	points
)

// Trigger is an answer that is given by chance.
type Trigger struct {
	Code        int // 400 to 599
	Probability int // percent
}

// Triggers are those of each Point.
type Triggers [points]Trigger

// Chaos refuses by chance. What is to fail for certain is a rule's business. The zero
// value never refuses.
type Chaos struct {
	mu       sync.Mutex
	triggers Triggers
}

// DefaultTriggers are those of a server that does not refuse yet.
func DefaultTriggers() Triggers { return Triggers{{Code: 451}, {Code: 451}, {Code: 535}} }

// Set replaces the triggers, or says which of them cannot be.
func (c *Chaos) Set(t Triggers) error {
	for i, one := range t {
		if one.Code < 400 || one.Code > 599 {
			return fmt.Errorf("%s: an error code is between 400 and 599", Point(i))
		}
		if one.Probability < 0 || one.Probability > 100 {
			return fmt.Errorf("%s: a probability is between 0 and 100", Point(i))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.triggers = t
	return nil
}

// Get returns the triggers that are in force.
func (c *Chaos) Get() Triggers {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.triggers
}

// String implements fmt.Stringer.
func (p Point) String() string { return [points]string{"sender", "recipient", "authentication"}[p] }

// strike is the refusal, if chance has it.
func (c *Chaos) strike(p Point) error {
	t := c.Get()[p]
	if t.Probability == 0 || rand.IntN(100) >= t.Probability {
		return nil
	}
	return &smtp.Reply{Code: t.Code, Text: "Chaos " + p.String() + " error"}
}
