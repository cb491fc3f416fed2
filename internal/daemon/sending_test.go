package daemon

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/conf"
)

// TestNamesInASCII: what is said to others, or compared with the DNS, is as the
// DNS has it.
func TestNamesInASCII(t *testing.T) {
	r, err := newRelay(&conf.Settings{ServerName: "Příklad.test", Queue: conf.Queue{OwnNames: []string{"Jiný.test"}, Domains: map[string]*conf.QueueDomain{
		"x.test": {EHLOName: "čau.test"}, "y.test": {SourceAddress: netip.MustParseAddr("127.0.0.1")}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := r.Domains.Get("x.test")
	y, _ := r.Domains.Get("y.test")
	if r.Hostname != "xn--pklad-zsa96e.test" || len(r.OwnNames) != 1 || r.OwnNames[0] != "xn--jin-noa.test" || x.Source.Hello != "xn--au-dma.test" || y.Source.Hello != "" {
		t.Errorf("%q, %q, %+v, %+v", r.Hostname, r.OwnNames, x, y)
	}
}

// TestSRSKey: the key is private, outlives restarts, and is there for old bounces when
// nothing is forwarded any more; none is made for nothing.
func TestSRSKey(t *testing.T) {
	s := &conf.Settings{ServerName: "mail.test", DataDir: t.TempDir(), Queue: conf.Queue{Forward: true}}
	first, err := new(Daemon).newSRS(s)
	if err != nil || first.Key == nil || first.Domain != "mail.test" {
		t.Fatalf("%v, %v", first, err)
	}
	if info, err := os.Stat(filepath.Join(s.DataDir, "srs.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	s.Queue.Forward, s.Queue.SRSDomain = false, "Bounces.test"
	if again, err := new(Daemon).newSRS(s); err != nil || !bytes.Equal(again.Key, first.Key) || again.Domain != "bounces.test" {
		t.Errorf("%v, %v", again, err)
	}
	s.DataDir = t.TempDir()
	if srs, err := new(Daemon).newSRS(s); err != nil || srs.Key != nil {
		t.Errorf("a key for nothing: %v", err)
	}
}

// awayStore is a store of documents that may be gone.
type awayStore struct {
	cluster.Store
	err error
}

func (a *awayStore) Get(ctx context.Context, name string, known cluster.Version) ([]byte, cluster.Version, error) {
	if a.err != nil {
		return nil, "", a.err
	}
	return a.Store.Get(ctx, name, known)
}

// TestSRSAway: where servers have no secret of rewritten senders, as none forwards, a reload needs no database; one that begins to forward does.
func TestSRSAway(t *testing.T) {
	t.Parallel()
	s := &conf.Settings{ServerName: "mail.test", DataDir: t.TempDir()}
	store := &awayStore{Store: cluster.NewFiles(t.TempDir())}
	d := &Daemon{together: together{documents: store}}
	store.err = errors.New("away")
	if _, err := d.newSRS(s); err == nil {
		t.Error("nobody knows whether there is a secret")
	}
	store.err = nil
	if srs, err := d.newSRS(s); err != nil || srs.Key != nil {
		t.Fatalf("%v %v", srs, err)
	}
	store.err = errors.New("away")
	if srs, err := d.newSRS(s); err != nil || srs.Key != nil {
		t.Errorf("%v %v", srs, err)
	}
	s.Queue.Forward = true
	if _, err := d.newSRS(s); err == nil {
		t.Error("senders are rewritten without a secret")
	}
	store.err = nil
	if srs, err := d.newSRS(s); err != nil || srs.Key == nil {
		t.Errorf("%v %v", srs, err)
	}
}
