package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	clusterpg "github.com/postrider-mail/postrider/internal/cluster/postgres"
	"github.com/postrider-mail/postrider/internal/conf"
	pgqueue "github.com/postrider-mail/postrider/smtp/queue/postgres"
	"github.com/postrider-mail/postrider/smtp/queue/sealed"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// missKey is asked before anything makes the server's key (secret_key_file): where that is not there, another is made, as on a new machine. It is an error
// where something waits that only the one from before opens, or where other servers have one that this one must have as well.
func (d *Daemon) missKey(s *conf.Settings) error {
	if _, err := os.Stat(s.SecretKeyFile); !errors.Is(err, fs.ErrNotExist) {
		return nil // also one that cannot be read, of which others tell
	}
	d.keyMissed = s.SecretKeyFile
	if !s.Queue.Deliver {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	n, err := d.sealedInDirectory(ctx, s.QueueDir)
	if err == nil && d.database != nil {
		n, err = d.sealedInDatabase(ctx, s, n)
	}
	if err == nil && n > 0 {
		err = fmt.Errorf("secret_key_file %s is not there, and %d messages that wait in the queue are sealed with it: bring it back, or, if it is lost for good, move them away", s.SecretKeyFile, n)
	}
	return err
}

// sealedInDirectory counts the sealed messages in a queue's directory.
func (d *Daemon) sealedInDirectory(ctx context.Context, dir string) (n int, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	disk, err := d.diskOf(dir)
	if err != nil {
		return 0, fmt.Errorf("queue: %w", err)
	}
	sp, err := spool.Open(ctx, dir, spool.WithDisk(disk))
	if err != nil {
		return 0, fmt.Errorf("queue: %w", err)
	}
	by, err := sealed.New(sp).Sealed(ctx)
	for _, m := range by {
		n += m
	}
	return n, errors.Join(err, sp.Close())
}

// sealedInDatabase counts those in a database, beside n that were found.
func (d *Daemon) sealedInDatabase(ctx context.Context, s *conf.Settings, n int) (int, error) {
	q, err := d.openQueue()
	if err != nil {
		return n, err
	}
	sealed.NewShared(q) // which has no key
	more, err := q.Passed(ctx)
	if err != nil || n+more > 0 || !s.Queue.Seal {
		return n + more, err
	}
	all, err := d.database.Nodes(ctx)
	if err != nil {
		return n, err
	}
	for _, other := range all {
		if other.ID != d.nodes.id && other.ID != place(s) { // which is what versions before called this one
			return n, fmt.Errorf("secret_key_file %s is not there, and this server shares a queue that is sealed (Queue.seal) with that on %s: copy its file here", s.SecretKeyFile, other.Host)
		}
	}
	return n, nil
}

// othersSeal refuses a server without a key where the queue is sealed and others on the database have sealed something already, wrong being what it found
// there: what it took would wait under a key of its own, which is lost as soon as theirs takes its place.
func (d *Daemon) othersSeal(s *conf.Settings, wrong error) error {
	if d.keyMissed == "" || !s.Queue.Deliver || !s.Queue.Seal || !errors.Is(wrong, clusterpg.ErrOtherKey) {
		return nil
	}
	return fmt.Errorf("secret_key_file %s is not there, the queue that this server shares is sealed (Queue.seal), and another server has a key on this database: copy its file here", s.SecretKeyFile)
}

// tellOfKey says that a key was made in place of one that was not there.
func (d *Daemon) tellOfKey() {
	if _, err := os.Stat(d.keyMissed); d.keyMissed != "" && err == nil {
		d.log.Info("the file of the secret key was not there: a new key was made", "file", d.keyMissed)
	}
}

// passedOver counts the messages in a queue that is shared which are sealed with a key that this server does not have.
func (d *Daemon) passedOver(ctx context.Context) (n int, err error) {
	if d.shared == nil {
		return 0, nil
	}
	return d.shared.Passed(ctx)
}

// keyOfQueue is what is wrong with the key of a queue that is shared, for the status.
func (d *Daemon) keyOfQueue() []string {
	n, err := d.passedOver(context.Background())
	if err != nil || n == 0 {
		return nil // status has a database that is away
	}
	return []string{fmt.Sprintf("%d messages in the queue are sealed with a key that this server does not have (secret_key_file), and are left to others: all servers need the same file", n)}
}

// tellOfQueueKey is keyOfQueue for the log.
func (d *Daemon) tellOfQueueKey(ctx context.Context) {
	if n, err := d.passedOver(ctx); err == nil && n > 0 {
		d.log.Error("messages in the queue are sealed with a key that this server does not have", "messages", n)
	}
}

// openQueue opens the queue in the database of the mailboxes, once; nil where they are not in one.
func (d *Daemon) openQueue() (*pgqueue.Spool, error) {
	if d.database == nil || d.shared != nil {
		return d.shared, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	spool, err := pgqueue.Open(ctx, d.database.Database(), pgqueue.WithLogger(d.log))
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	d.closers = append(d.closers, spool)
	d.shared = spool
	return spool, nil
}
