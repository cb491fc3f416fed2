package sasl_test

import (
	"context"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// keyed has the secrets of one account ready, as a server has.
type keyed struct {
	*book
	secrets map[sasl.Kind]sasl.Secret
}

func (k keyed) Secret(_ context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	return k.secrets[kind], user, nil
}

func BenchmarkServer(b *testing.B) {
	keys, err := sasl.MakeScram(sasl.ScramSHA256, []byte("secret"), 4096)
	if err != nil {
		b.Fatal(err)
	}
	c := keyed{newBook(), map[sasl.Kind]sasl.Secret{
		sasl.ScramSHA256: {SCRAM: keys}, sasl.CRAMMD5: {CRAM: sasl.MakeCRAM([]byte("secret"))}}}
	ctx := context.Background()
	b.Run("PLAIN", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sasl.PlainServer().New(c).Next(ctx, []byte("\x00alice\x00secret"))
		}
	})
	b.Run("CRAM-MD5", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := sasl.CRAMMD5Server().New(c)
			s.Next(ctx, nil)
			s.Next(ctx, []byte("alice 00112233445566778899aabbccddeeff"))
		}
	})
	b.Run("SCRAM-SHA-256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := sasl.ScramSHA256Server().New(c)
			s.Next(ctx, []byte("n,,n=alice,r=rOprNGfwEbeRWgbNEkqO"))
			s.Next(ctx, []byte("c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
		}
	})
}

func BenchmarkMakeScram(b *testing.B) {
	for b.Loop() {
		sasl.MakeScram(sasl.ScramSHA256, []byte("secret"), 0)
	}
}
