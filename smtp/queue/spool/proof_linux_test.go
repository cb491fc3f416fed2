package spool_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// life is what one process has said.
type life struct {
	accepted map[string][]string // id → recipients
	sent     map[string]int      // "id recipient"
	bounced  map[string]int      // id
	bounce   map[string]string   // id → that of its bounce
	state    map[string]string   // id → the letters last written down; "gone"
	begun    map[string][]string // id → actions of the operator
	done     map[string][]string // those that were acknowledged
	bad      []string
	failed   int
	poisoned bool
}

func newLife() *life {
	return &life{accepted: map[string][]string{}, sent: map[string]int{}, bounced: map[string]int{}, bounce: map[string]string{},
		state: map[string]string{}, begun: map[string][]string{}, done: map[string][]string{}}
}

func (l *life) hear(line string) {
	f := strings.Fields(line)
	if len(f) < 2 {
		l.bad = append(l.bad, line)
		return
	}
	switch id := f[1]; f[0] {
	case "accepted":
		l.accepted[id] = f[2:]
	case "sent":
		l.sent[id+" "+f[2]]++
	case "bounced":
		l.bounced[id]++
		l.bounce[id] = f[2]
	case "state":
		l.state[id] = f[2]
	case "gone":
		l.state[id] = "gone"
	case "begin":
		l.begun[id] = append(l.begun[id], f[2])
	case "end":
		l.done[id] = append(l.done[id], f[2])
	case "failed":
		l.failed++
	case "poisoned":
		l.poisoned = true
	default:
		l.bad = append(l.bad, line)
	}
}

// recorded: it was on disk that the recipient is delivered, or told of.
func (l *life) recorded(id string, i int, letters string) bool {
	st := l.state[id]
	return st == "gone" || i < len(st) && strings.IndexByte(letters, st[i]) >= 0
}

func last(actions []string) string {
	if len(actions) == 0 {
		return ""
	}
	return actions[len(actions)-1]
}

// afterwards is the life after a crash: what is on the disk is looked at, and all
// of it delivered.
func afterwards(t *testing.T, dir string, before *life) *life {
	t.Helper()
	after := newLife()
	q, s, err := openQueue(dir, after.hear, true)
	if err != nil {
		t.Fatal(err)
	}
	q.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	there := map[string]*queue.State{}
	if err := s.Scan(t.Context(), func(id string, st *queue.State) error { there[id] = st.Clone(); return nil }); err != nil {
		t.Fatal(err)
	}
	for id, st := range there {
		begun, done := before.begun[id], before.done[id]
		switch {
		case len(begun) == len(done) && last(done) == "remove":
			t.Errorf("%s was removed and is back", id)
		case len(begun) == len(done) && last(done) == "hold" && !st.Held:
			t.Errorf("%s was held and is not", id)
		case len(begun) == len(done) && last(done) == "route" && st.Route != ".way":
			t.Errorf("%s has lost its route", id)
		}
	}
	aside, _ := os.ReadDir(filepath.Join(dir, "corrupt"))
	for _, f := range aside {
		if before.accepted[strings.TrimSuffix(f.Name(), ".why")] != nil {
			t.Errorf("%s was acknowledged and is in corrupt", f.Name())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := q.Flush(ctx, ""); err != nil {
			t.Fatal(err)
		}
		left, held := 0, []string{}
		err := s.Scan(ctx, func(id string, st *queue.State) error {
			if left++; st.Held {
				held = append(held, id)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range held {
			if err := q.Release(ctx, id); err != nil && !errors.Is(err, queue.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if left == 0 {
			return after
		}
		if time.Since(begun) > 20*time.Second {
			list, err := q.List(ctx, queue.Filter{})
			t.Fatalf("%d entries are still there at the end: %+v, %v", left, list, err)
		}
	}
}

// compare asks of every message that was acknowledged what became of it.
func compare(t *testing.T, before, after *life) {
	t.Helper()
	twice, bouncedTwice := 0, 0
	for id, to := range before.accepted {
		if acts := before.begun[id]; last(acts) == "remove" {
			// Gone or not; but where that was acknowledged, never again.
			for _, local := range to {
				if len(acts) == len(before.done[id]) && after.sent[id+" "+local] > 0 {
					t.Errorf("%s was removed and is delivered to %s", id, local)
				}
			}
			continue
		}
		expired := last(before.begun[id]) == "expire"
		for i, local := range to {
			key := id + " " + local
			told := before.bounced[id] + after.bounced[id]
			sent := before.sent[key] + after.sent[key]
			switch {
			case local == "no" && told == 0:
				t.Errorf("%s: nobody was told that %s failed", id, local)
			case local != "no" && sent == 0 && !(expired && told > 0):
				t.Errorf("%s was acknowledged and is lost", key)
			case after.sent[key] > 0 && before.recorded(id, i, "dD"):
				t.Errorf("%s was recorded as delivered and is delivered again", key)
			case after.bounced[id] > 0 && before.recorded(id, i, "FE") && before.state[after.bounce[id]] == "gone":
				t.Errorf("%s was recorded as told, and the bounce as delivered, and comes again", key)
			}
			if sent > 1 {
				twice++
			}
			if local == "no" && told > 1 {
				bouncedTwice++
			}
		}
	}
	if twice > attemptsAtOnce || bouncedTwice > attemptsAtOnce {
		t.Errorf("%d delivered twice, %d bounced twice", twice, bouncedTwice)
	}
	for _, l := range []*life{before, after} {
		if len(l.bad) > 0 {
			t.Errorf("said: %.300q", l.bad)
		}
	}
	t.Logf("%d accepted, %d refused, %d sent and %d bounced before, %d and %d after; %d delivered twice, %d bounced twice",
		len(before.accepted), before.failed, len(before.sent), len(before.bounced), len(after.sent), len(after.bounced), twice, bouncedTwice)
}

// live lets a worker live until it has had n messages accepted, or is poisoned
// where that is what must come.
func live(t *testing.T, dir string, n int, untilPoisoned bool, wrap ...string) (*crashtest.Worker, *life) {
	t.Helper()
	l := newLife()
	w := crashtest.StartWorker(t, workerEnv+"="+dir, l.hear, wrap...)
	w.Listen(func() bool { return l.poisoned || !untilPoisoned && len(l.accepted) >= n })
	if len(l.accepted) == 0 && !l.poisoned {
		t.Fatalf("the worker did nothing: %d failed, %.200q", l.failed, l.bad)
	}
	return w, l
}

// TestKill kills the queue at random moments: a few times, or as often as
// POSTRIDER_CRASH_ROUNDS says.
func TestKill(t *testing.T) {
	rounds := 2
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		dir := t.TempDir()
		w, before := live(t, dir, 1+rand.IntN(400), false)
		w.Kill()
		compare(t, before, afterwards(t, dir, before))
		if t.Failed() {
			return
		}
	}
}

// TestShutdown pulls the plug of a real file system under load.
func TestShutdown(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			rounds := 1
			if n, err := strconv.Atoi(os.Getenv("POSTRIDER_CRASH_ROUNDS")); err == nil {
				rounds = n
			}
			if testing.Short() {
				rounds = 1
			}
			for range rounds {
				disk := crashtest.NewDisk(t, kind, 320<<20)
				dir := filepath.Join(disk.Dir, "queue")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				w, before := live(t, dir, 100+rand.IntN(300), false)
				disk.Shutdown(t)
				w.Listen(func() bool { return before.poisoned || before.failed > 200 })
				w.Kill()
				if before.failed == 0 {
					t.Error("the worker went on without a disk")
				}
				disk.Remount(t)
				compare(t, before, afterwards(t, dir, before))
			}
		})
	}
}

// TestCut pulls the plug of file systems without asking them: what they had not
// yet written to the disk is lost.
func TestCut(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			disk := crashtest.NewDisk(t, kind, 400<<20)
			dir := filepath.Join(disk.Dir, "queue")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			w, before := live(t, dir, 50+rand.IntN(300), false)
			w.Stop()
			disk.Cut(t, w.Kill)
			compare(t, before, afterwards(t, dir, before))
		})
	}
}

// thorough: there is time for all of it.
func thorough() bool {
	return !testing.Short() && os.Getenv("CI") == "true" || os.Getenv("POSTRIDER_CRASH_ROUNDS") != ""
}

// TestInject lets the kernel's answers be false: the n-th call of a kind fails or
// is the last thing the process does. Where little time is, some kinds do.
func TestInject(t *testing.T) {
	const rename, link = "renameat,rename,renameat2", "unlinkat,unlink"
	for i, c := range []struct {
		calls, fault string
		poisons      bool
	}{
		{"fsync", "error=EIO:when=9", true},
		{"syncfs", "error=EIO:when=4", true},
		{"syncfs", "error=ENOSPC:when=3", true},
		{"syncfs", "signal=SIGKILL:when=9", false},
		{"fsync", "signal=SIGKILL:when=9", false},
		{rename, "error=ENOSPC:when=3+5", false},
		{rename, "error=EIO:when=2+7", false},
		{rename, "signal=SIGKILL:when=60", false},
		{"pwrite64,write", "error=ENOSPC:when=40+20", false},
		{"pwrite64,write", "signal=SIGKILL:when=90", false},
		{link, "error=EIO:when=3+4", false},
		{link, "signal=SIGKILL:when=20", false},
		{"openat", "error=EIO:when=400+30", false},
		{"openat", "error=EMFILE:when=400+30", false},
		{"openat", "signal=SIGKILL:when=600", false},
	} {
		if !thorough() && i%3 != 1 {
			continue
		}
		t.Run(strings.Split(c.calls, ",")[0]+" "+c.fault, func(t *testing.T) {
			dir := t.TempDir()
			w, before := live(t, dir, 60, c.poisons, crashtest.Inject(t, c.calls, c.fault)...)
			w.Kill()
			if c.poisons != before.poisoned {
				t.Errorf("poisoned: %v, want %v", before.poisoned, c.poisons)
			}
			compare(t, before, afterwards(t, dir, before))
		})
	}
}
