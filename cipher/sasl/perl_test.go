package sasl_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// Perl's Authen::SCRAM, an implementation of RFC 5802 with nobody else's code in
// it, a message per line.
const perlClient = `
use Authen::SCRAM::Client; use utf8; use Encode; $| = 1;
binmode STDIN, ":raw"; binmode STDOUT, ":raw";
my ($digest, $user, $password) = map { decode_utf8($_) } @ARGV;
my $c = Authen::SCRAM::Client->new(digest => $digest, username => $user, password => $password);
print encode_utf8($c->first_msg), "\n";
my $line = sub { my $l = <STDIN>; exit 3 unless defined $l; chomp $l; decode_utf8($l) };
print encode_utf8($c->final_msg($line->())), "\n";
exit 4 unless eval { $c->validate($line->()) };
print "genuine\n";
`

const perlServer = `
use Authen::SCRAM::Server; use Authen::SCRAM::Client; use utf8; use Encode; $| = 1;
binmode STDIN, ":raw"; binmode STDOUT, ":raw";
my ($digest, $user, $password) = map { decode_utf8($_) } @ARGV;
my $s = Authen::SCRAM::Server->new(digest => $digest, credential_cb => sub {
    return unless $_[0] eq $user;
    my ($stored, undef, $server) = Authen::SCRAM::Client->new(digest => $digest, username => $user, password => $password)
        ->computed_keys("some salt of it", 4096);
    return ("some salt of it", $stored, $server, 4096);
});
my $line = sub { my $l = <STDIN>; exit 3 unless defined $l; chomp $l; decode_utf8($l) };
print encode_utf8($s->first_msg($line->())), "\n";
my $final = eval { $s->final_msg($line->()) };
exit 4 unless defined $final;
print encode_utf8($final), "\n";
`

// startPerl runs a program that talks in lines; ended closes its input and says
// how it ended.
func startPerl(t *testing.T, program string, args ...string) (say func(string), hear func() string, ended func() error) {
	t.Helper()
	const perl = "/usr/bin/perl"
	if exec.Command(perl, "-MAuthen::SCRAM", "-e", "1").Run() != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("libauthen-scram-perl is not installed")
		}
		t.Skip("libauthen-scram-perl is not installed")
	}
	cmd := exec.Command(perl, append([]string{"-e", program}, args...)...)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	say = func(line string) { fmt.Fprintln(in, line) }
	hear = func() string {
		line, _ := r.ReadString('\n')
		return strings.TrimSuffix(line, "\n")
	}
	return say, hear, func() error {
		in.Close()
		io.Copy(io.Discard, r)
		return cmd.Wait()
	}
}

// perlNames are users of whom something has to be escaped or prepared.
var perlNames = []string{"alice", "a,b=c", "jürgen"}

func TestPerlClient(t *testing.T) {
	for digest, m := range map[string]sasl.Mechanism{"SHA-1": sasl.ScramSHA1Server(), "SHA-256": sasl.ScramSHA256Server()} {
		for _, user := range perlNames {
			for _, password := range []string{"pä ß \u00ad word", "wrong"} {
				c := newBook()
				c.passwords[user] = "pä ß  word" // SASLprep maps the soft hyphen to nothing
				say, hear, ended := startPerl(t, perlClient, digest, user, password)
				server := m.New(c)
				ctx := sasl.WithPeer(context.Background(), &sasl.Peer{Announced: []string{}})
				challenge, _, _, err := server.Next(ctx, []byte(hear()))
				if err != nil {
					t.Fatalf("%s %s: %v", m.Name, user, err)
				}
				say(string(challenge))
				last, account, done, err := server.Next(ctx, []byte(hear()))
				if password == "wrong" {
					if !errors.Is(err, sasl.ErrDenied) {
						t.Errorf("%s %s with a wrong password: %v", m.Name, user, err)
					}
					ended()
					continue
				}
				if err != nil || !done || account != user {
					t.Errorf("%s: %q, %v", m.Name, account, err)
				}
				say(string(last))
				if hear() != "genuine" {
					t.Errorf("%s %s: the client does not believe the server", m.Name, user)
				}
				if err := ended(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestPerlServer(t *testing.T) {
	ctx := context.Background()
	for digest, name := range map[string]string{"SHA-1": "SCRAM-SHA-1", "SHA-256": "SCRAM-SHA-256"} {
		for _, user := range perlNames {
			if strings.ContainsAny(user, ",=") {
				continue // it takes back the escapes in small letters only, which are not ours
			}
			for _, password := range []string{"sécret", "wrong"} {
				say, hear, ended := startPerl(t, perlServer, digest, user, "sécret")
				c, err := sasl.ScramClient(name, "", user, password, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, initial, _ := c.Start(ctx)
				say(string(initial))
				final, err := c.Next(ctx, []byte(hear()))
				if err != nil {
					t.Fatalf("%s %s: %v", name, user, err)
				}
				say(string(final))
				if password == "wrong" {
					if err := ended(); err == nil {
						t.Errorf("%s %s: let in with a wrong password", name, user)
					}
					continue
				}
				if _, err := c.Next(ctx, []byte(hear())); err != nil {
					t.Errorf("%s %s: %v", name, user, err)
				}
				if err := errors.Join(sasl.Finish(c), ended()); err != nil {
					t.Errorf("%s %s: %v", name, user, err)
				}
			}
		}
	}
}
