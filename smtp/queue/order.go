package queue

import "time"

// Order is what somebody wants of an entry, as a value: it may have to be obeyed by another node than the one that was asked.
type Order struct {
	Kind OrderKind `json:"kind"`
	// Cause is why Hold holds, if nobody said so by hand: what is held already stays as it is then. Release with one releases only
	// what is held for it, in the order of Due.
	Cause string    `json:"cause,omitempty"`
	Due   time.Time `json:"due,omitzero"`
	// Route is the way that Reroute sends it.
	Route string `json:"route,omitempty"`
}

// OrderKind is a kind of Order.
type OrderKind string

// The kinds of orders.
const (
	ToHold    OrderKind = "hold"
	ToRelease OrderKind = "release"
	ToRetry   OrderKind = "retry"
	ToReroute OrderKind = "route"
	ToExpire  OrderKind = "expire"
	// toUnattempt takes first attempts back that were written down and not made.
	toUnattempt OrderKind = "unattempted"
)

// Apply changes a state as the order says. To obey twice is to obey once.
func (o Order) Apply(st *State) {
	switch o.Kind {
	case ToHold:
		if o.Cause == "" || !st.Held {
			st.Held, st.Cause = true, o.Cause
		}
	case ToRelease:
		o.release(st)
	case ToRetry:
		st.hurry()
	case ToReroute:
		st.Route = o.Route
		st.hurry()
	case ToExpire:
		st.Held, st.Cause = false, ""
		st.hurry()
		for i := range st.To {
			st.To[i].Expire = true
		}
	case toUnattempt:
		st.unattempted()
	}
}

func (o Order) release(st *State) {
	switch {
	case o.Cause == "":
		st.Held, st.Cause = false, ""
		st.hurry()
	case st.Held && st.Cause == o.Cause:
		st.Held, st.Cause = false, ""
		for i := range st.To {
			if st.To[i].Status == Pending {
				st.To[i].Next = stamp(o.Due) // also what was due before, for the order's sake
			}
		}
	}
}
