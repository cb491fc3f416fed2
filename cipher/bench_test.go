package cipher_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/postrider-mail/postrider/cipher"
)

func BenchmarkHashPassword(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		cipher.HashPassword([]byte("correct horse"))
	}
}

// A login whose password was right a minute ago: what a client that polls costs.
func BenchmarkVerifyRemembered(b *testing.B) {
	hash, _ := cipher.HashPassword([]byte("correct horse"))
	var v cipher.Verifier
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
	hash, _ := cipher.HashPassword([]byte("correct horse"))
	var v cipher.Verifier
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			v.Verify(context.Background(), "alice", hash, []byte("battery staple"))
		}
	})
}

// Each form that is read, by its own cost.
func BenchmarkVerifyForms(b *testing.B) {
	for _, i := range []int{0, 2, 6, 8, 9, 12, 13, 14} {
		b.Run(fmt.Sprintf("%.14s", stored[i].stored), func(b *testing.B) {
			for b.Loop() {
				cipher.VerifyPassword(stored[i].stored, []byte("test"))
			}
		})
	}
}
