package sign

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// anyKey is a key, and the text of its file.
func anyKey(t *testing.T) (ed25519.PrivateKey, []byte) {
	t.Helper()
	key, err := dkim.GenerateKey("ed25519")
	if err != nil {
		t.Fatal(err)
	}
	text, err := dkim.FormatKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key.(ed25519.PrivateKey), text
}

// TestLongestKeyFile: blanks behind a key are no harm, up to what is read of a file.
func TestLongestKeyFile(t *testing.T) {
	_, text := anyKey(t)
	mailtest.Edge(t, "octets", maxKeyFile, func(n int) bool {
		_, err := ReadKey("x.key", append(bytes.Clone(text), bytes.Repeat([]byte("\n"), n-len(text))...))
		return err == nil
	})
}

// TestLongestSelector: with its domain a selector makes a name of the DNS.
func TestLongestSelector(t *testing.T) {
	key, _ := anyKey(t)
	mailtest.Edge(t, "octets", 100, func(n int) bool {
		r := open(t, t.TempDir(), usual, nil)
		return r.Import(t.Context(), home, strings.Repeat("a", 50)+"."+strings.Repeat("b", n-51), key) == nil
	})
	mailtest.Edge(t, "octets of a label", 63, func(n int) bool {
		r := open(t, t.TempDir(), usual, nil)
		return r.Import(t.Context(), home, strings.Repeat("a", n), key) == nil
	})
}

// TestForgottenKey: a key that signs no more is not kept in memory.
func TestForgottenKey(t *testing.T) {
	for _, p := range []Phase{Announced, Signing, Retired, Revoked, Gone} {
		key, _ := anyKey(t)
		k := &Key{Phase: Announced, Trouble: "some", private: key}
		k.enter(p, time.Now())
		if (k.private != nil) != (p == Signing) || k.Phase != p || k.Trouble != "" {
			t.Errorf("%s: %+v", p, k)
		}
	}
}

// TestPrepareFails: who asked for keys hears that one could not be made.
func TestPrepareFails(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, usual, nil)
	if err := os.WriteFile(filepath.Join(dir, home.String()), nil, 0o600); err != nil { // no directory: nothing can be written there
		t.Fatal(err)
	}
	if err := r.Prepare(t.Context()); err == nil || r.newest(Announced) != nil {
		t.Errorf("%v, %s", err, phases(r))
	}
}

// TestPrepareIsOver: who has no more time hears that there may be no key.
func TestPrepareIsOver(t *testing.T) {
	r := open(t, t.TempDir(), usual, nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := r.Prepare(ctx); !errors.Is(err, context.Canceled) || r.newest(Announced) != nil {
		t.Errorf("%v, %s", err, phases(r))
	}
}

// TestStepTells: keys that cannot be kept are in the log, and nothing where all is well or the end has come.
func TestStepTells(t *testing.T) {
	for name, want := range map[string]bool{"well": false, "no directory": true, "the end": false} {
		dir := t.TempDir()
		var log mailtest.Log
		r := open(t, dir, usual, two())
		r.log = slog.New(slog.NewTextHandler(&log, nil))
		ctx, stop := context.WithCancel(t.Context())
		if name != "well" {
			if err := os.WriteFile(filepath.Join(dir, home.String()), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if name == "the end" {
			stop()
		}
		r.step(ctx)
		stop()
		if got := strings.Contains(log.String(), "level=ERROR"); got != want {
			t.Errorf("%s: %s", name, log.String())
		}
	}
}

// slow is a zone whose servers take their time.
type slow struct{ zone }

func (s slow) Watch(ctx context.Context, name string) ([]Answer, error) {
	time.Sleep(time.Second)
	return s.zone.Watch(ctx, name)
}

// TestLookIsOver: when all keys have been looked at, what was seen holds.
func TestLookIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := two()
		r := open(t, t.TempDir(), usual, slow{z})
		if err := r.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		z.publish(r, "ns1", "ns2")
		r.due = make(map[string]time.Time)
		r.lookAt(t.Context(), r.Keys())
		k := r.newest(Signing)
		if k == nil {
			t.Fatalf("%s", phases(r))
		}
		if wait := time.Until(r.due[k.Name()]); wait != lookLatest {
			t.Errorf("looked at again in %v", wait)
		}
	})
}

// TestWhenLookedAgain: a record that is not there yet is looked for soon, and less often the longer it is missing.
func TestWhenLookedAgain(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{0: lookSoonest, 10 * lookSoonest: lookSoonest, 20 * lookSoonest: 2 * lookSoonest, 10 * lookLatest: lookLatest, 20 * lookLatest: lookLatest} {
		synctest.Test(t, func(t *testing.T) {
			r := open(t, t.TempDir(), usual, two())
			if err := r.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(age)
			r.due = make(map[string]time.Time)
			r.lookAt(t.Context(), r.Keys())
			if wait := time.Until(r.due[r.newest(Announced).Name()]); wait != want {
				t.Errorf("missing for %v: looked at again in %v, want %v", age, wait, want)
			}
		})
	}
}
