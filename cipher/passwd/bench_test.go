package passwd_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
)

func BenchmarkHashPassword(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		passwd.Hash([]byte("correct horse"))
	}
}

// A login whose password was right a minute ago: what a client that polls costs.
func BenchmarkVerifyRemembered(b *testing.B) {
	hash, _ := passwd.Hash([]byte("correct horse"))
	var v passwd.Verifier
	ctx := context.Background()
	if err := v.Verify(ctx, "alice", hash, []byte("correct horse")); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := v.Verify(ctx, "alice", hash, []byte("correct horse")); err != nil {
				b.Error(err)
			}
		}
	})
}

// A guess, which is never remembered.
func BenchmarkVerifyWrong(b *testing.B) {
	hash, _ := passwd.Hash([]byte("correct horse"))
	var v passwd.Verifier
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			v.Verify(context.Background(), "alice", hash, []byte("battery staple"))
		}
	})
}

// Two hundred guesses at a time: what they take of memory together.
func BenchmarkVerifyStorm(b *testing.B) {
	hash, _ := passwd.Hash([]byte("correct horse"))
	var v passwd.Verifier
	var most uint64
	for b.Loop() {
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { v.Verify(context.Background(), "alice", hash, []byte("battery staple")) })
		}
		wg.Wait()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapSys-m.HeapReleased)
	}
	b.ReportMetric(float64(most)/(1<<20), "MiB")
}

// Each form that is read, by its own cost.
func BenchmarkVerifyForms(b *testing.B) {
	for _, i := range []int{0, 2, 6, 8, 9, 12, 13, 14} {
		b.Run(fmt.Sprintf("%.14s", stored[i].stored), func(b *testing.B) {
			for b.Loop() {
				passwd.Verify(stored[i].stored, []byte("test"))
			}
		})
	}
}
