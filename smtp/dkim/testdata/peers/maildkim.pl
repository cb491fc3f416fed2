# Signs and verifies messages with Mail::DKIM: JSON in, JSON out (see peers_test.go).
use strict;
use warnings;
use JSON::PP;
use Mail::DKIM::DNS;
use Mail::DKIM::PrivateKey;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;
use Net::DNS;

binmode STDIN;
my $job = decode_json(do { local $/; <STDIN> });

package Zone {
	sub new { bless {}, shift }
	sub send {
		my ($self, $name) = @_;
		my $packet = Net::DNS::Packet->new($name, 'TXT');
		$packet->header->qr(1);
		if (my $text = $job->{zone}{$name}) {
			my @parts = unpack '(A255)*', $text;
			$packet->push(answer => Net::DNS::RR->new(name => $name, type => 'TXT', ttl => 60, txtdata => \@parts));
		} else {
			$packet->header->rcode('NXDOMAIN');
		}
		return $packet;
	}
	sub bgsend { my $self = shift; return $self->send(@_) }
	sub bgread { return $_[1] }
	sub bgbusy { return 0 }
	sub errorstring { return '' }
}
Mail::DKIM::DNS::resolver(Zone->new);

my $key = Mail::DKIM::PrivateKey->load(Data => $job->{rsa_der});
my @methods = ('relaxed/relaxed', 'relaxed', 'simple/relaxed', 'simple');
my (%signed, %verified);
my $n = 0;
for my $name (sort keys %{ $job->{sign} }) {
	my $message = $job->{sign}{$name};
	my $signer = Mail::DKIM::Signer->new(Algorithm => 'rsa-sha256', Method => $methods[$n++ % 4], Domain => 'example.com', Selector => 'r', Key => $key);
	eval { $signer->PRINT($message); $signer->CLOSE; 1 } or do { print STDERR "$name: $@"; next };
	$signed{"$name rsa"} = $signer->signature->as_string . "\r\n" . $message;
}
for my $name (keys %{ $job->{verify} }) {
	my $verifier = Mail::DKIM::Verifier->new;
	eval { $verifier->PRINT($job->{verify}{$name}); $verifier->CLOSE; 1 } or do { $verified{$name} = [$@]; next };
	$verified{$name} = [map { $_->result_detail } $verifier->signatures];
}
print encode_json({ signed => \%signed, verified => \%verified });
