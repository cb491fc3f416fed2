package accounts

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// fail and succeed make a guess that is allowed, if it is.
func (t *throttle) fail(block netip.Prefix, account domains.Address) { t.guess(block, account, wrong) }
func (t *throttle) succeed(block netip.Prefix, account domains.Address) {
	t.guess(block, account, right)
}

func (t *throttle) guess(block netip.Prefix, account domains.Address, v verdict) bool {
	settle, ok := t.book(block, account)
	if ok {
		settle(v)
	}
	return ok
}

func TestThrottlePerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(over(10, 10*time.Minute), over(100, 1000*time.Second))
		bad := netip.MustParsePrefix("192.0.2.1/32")
		other := netip.MustParsePrefix("192.0.2.2/32")
		for i := range 10 {
			if !th.allows(bad, domains.Address(fmt.Sprint("user", i))) {
				t.Fatalf("guess %d refused", i+1)
			}
			th.fail(bad, domains.Address(fmt.Sprint("user", i)))
		}
		if th.allows(bad, "somebody") {
			t.Error("one guess too many was allowed")
		}
		if !th.allows(other, "somebody") {
			t.Error("another address suffers")
		}
		time.Sleep(time.Minute)
		if !th.allows(bad, "somebody") {
			t.Error("nothing was forgiven after a minute")
		}
		th.fail(bad, "somebody")
		if th.allows(bad, "somebody") {
			t.Error("more than one guess was forgiven after a minute")
		}
	})
}

func TestThrottlePerAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(over(10, 10*time.Minute), over(100, 1000*time.Second))
		home := netip.MustParsePrefix("198.51.100.1/32")
		th.succeed(home, "anna")
		for i := range 100 {
			from := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)
			if !th.allows(from, "anna") {
				t.Fatalf("guess %d refused", i+1)
			}
			th.fail(from, "anna")
		}
		stranger := netip.MustParsePrefix("203.0.113.9/32")
		if th.allows(stranger, "anna") {
			t.Error("the account can be guessed at without end from fresh addresses")
		}
		if !th.allows(home, "anna") {
			t.Error("the owner is locked out by strangers")
		}
		if !th.allows(stranger, "bert") {
			t.Error("another account suffers")
		}
	})
}

func TestThrottleIsBounded(t *testing.T) {
	th := newThrottle(over(10, 10*time.Minute), over(100, 1000*time.Second))
	for i := range 2*throttleEntries + 10 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		p := netip.PrefixFrom(a, 32)
		th.fail(p, domains.Address(fmt.Sprint(i)))
		th.succeed(netip.PrefixFrom(a.Next(), 32), domains.Address(fmt.Sprint(i)))
	}
	if n := max(len(th.blocks), len(th.accounts), len(th.known)); n > throttleEntries {
		t.Errorf("%d entries, more than %d", n, throttleEntries)
	}
}

// TestThrottleBooks: guesses made at the same time are counted before any of
// them has failed, and those that were right or not made are taken back.
func TestThrottleBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(over(10, 10*time.Minute), over(5, 10*time.Minute))
		from := netip.MustParsePrefix("192.0.2.1/32")
		other := netip.MustParsePrefix("192.0.2.2/32")
		for _, v := range []verdict{undecided, right, wrong} {
			var settle []func(verdict)
			for range 100 {
				if s, ok := th.book(from, "anna"); ok {
					settle = append(settle, s)
				}
			}
			if len(settle) != 5 {
				t.Fatalf("%d guesses at a time at one account, want 5", len(settle))
			}
			if th.allows(other, "anna") {
				t.Error("guesses under way do not count elsewhere")
			}
			for _, s := range settle {
				s(v)
			}
			if got, want := th.allows(other, "anna"), v != wrong; got != want {
				t.Errorf("after guesses that ended in %d: allowed %t", v, got)
			}
			if len(th.blocks)+len(th.accounts) != 0 && v != wrong {
				t.Error("empty buckets are kept")
			}
			th.known = make(map[login]home)
		}
	})
}

// TestThrottleAtHome: a neighbour behind the same address does not lock the
// owner out, and the owner's logins do not forgive the neighbour's guesses.
func TestThrottleAtHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(over(10, 10*time.Minute), over(100, 1000*time.Second))
		office := netip.MustParsePrefix("192.0.2.1/32")
		th.succeed(office, "insider")
		n := 0
		for i := range 100 {
			if th.guess(office, domains.Address(fmt.Sprint("user", i)), wrong) {
				n++
			}
			if !th.guess(office, "insider", right) {
				t.Fatal("the owner is locked out by a neighbour")
			}
		}
		if n != 10 {
			t.Errorf("%d guesses bought with logins of the guesser's own, want 10", n)
		}
		// At home, too, a guess is a guess.
		n = 0
		for range 100 {
			if th.guess(office, "insider", wrong) {
				n++
			}
		}
		if n != 10 {
			t.Errorf("%d guesses at an account from its home, want 10", n)
		}
	})
}

// TestThrottleKeepsWhatMatters: very many failures elsewhere, from many
// addresses and at many names, buy no more guesses at one account.
func TestThrottleKeepsWhatMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(over(20, 15*time.Minute), over(20, 15*time.Minute))
		guesses, n := 0, 0
		place := func() netip.Prefix {
			n++
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
		}
		home := netip.MustParsePrefix("198.51.100.1/32")
		th.succeed(home, "anna")
		for i := range throttleEntries * 5 / 4 {
			if i%5000 == 0 {
				for th.guess(place(), "anna", wrong) {
					guesses++
				}
				th.succeed(home, "anna")
			}
			p := place()
			th.fail(p, domains.Address(fmt.Sprint("name", i)))
			th.succeed(p, domains.Address(fmt.Sprint("own", i)))
			if i%50 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		if guesses != 20 {
			t.Errorf("%d guesses at an account, want 20", guesses)
		}
		if n := max(len(th.blocks), len(th.accounts), len(th.known)); n > throttleEntries {
			t.Errorf("%d entries, more than %d", n, throttleEntries)
		}
		if !th.allows(home, "anna") {
			t.Error("the owner, who comes often, is forgotten")
		}
	})
}

// TestOneAccountsHomes: who logs in to an account of his own from very many addresses does
// not have the owners of others forgotten.
func TestOneAccountsHomes(t *testing.T) {
	th := newThrottle(over(20, time.Hour), over(20, time.Hour))
	place := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	for i := range 100 { // who were here before all of it
		th.remember(place(1<<23+i), domains.Address(fmt.Sprintf("owner%d@mail.test", i)), right)
	}
	for i := range 3 * throttleEntries {
		th.remember(place(i), "mallory@mail.test", right)
	}
	lost := 0
	for i := range 100 {
		if !th.standing(place(1<<23+i), domains.Address(fmt.Sprintf("owner%d@mail.test", i))).known {
			lost++
		}
	}
	if lost > 0 || len(th.known) > throttleEntries {
		t.Errorf("%d of 100 owners are forgotten, %d homes known", lost, len(th.known))
	}
}

// TestGuessesBehindGateway: a thousand wrong logins through one private address lock out nobody else who comes through it, be it for the first time; each
// account is guessed at as often as its own bound allows, and a public address is bounded by itself.
func TestGuessesBehindGateway(t *testing.T) {
	for _, c := range []struct {
		addr   string
		shared bool
	}{
		{"10.0.0.1", true}, {"192.168.1.1", true}, {"172.17.0.1", true}, {"127.0.0.1", true}, {"fd00::", true}, {"fe80::", true},
		{"192.0.2.1", false}, {"2001:db8::", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			th := newThrottle(over(20, 15*time.Minute), over(20, 15*time.Minute))
			a := netip.MustParseAddr(c.addr)
			gateway, err := a.Prefix(map[bool]int{true: 32, false: 64}[a.Is4()])
			if err != nil {
				t.Fatal(err)
			}
			for i := range 1000 {
				th.fail(gateway, domains.Address(fmt.Sprint("guessed", i%50)))
			}
			if got := th.guess(gateway, "new@mail.test", right); got != c.shared {
				t.Errorf("%s: somebody who has never been there is let in: %t", c.addr, got)
			}
			// Who is guessed at waits there; at home he does not.
			if th.allows(gateway, "guessed7") {
				t.Errorf("%s: guesses at one account go on", c.addr)
			}
			checked := 0
			for range 1000 {
				if th.guess(gateway, "victim", wrong) {
					checked++
				}
				time.Sleep(time.Second)
			}
			if most := 20 + 1000/45 + 1; checked > most {
				t.Errorf("%s: %d guesses at one account were checked, more than %d", c.addr, checked, most)
			}
		})
	}
}
