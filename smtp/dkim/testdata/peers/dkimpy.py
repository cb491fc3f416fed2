# Signs and verifies messages with dkimpy: JSON in, JSON out (see peers_test.go).
import base64, dkim, json, sys
job = json.load(sys.stdin)
def zone(name, timeout=5):
    text = job["zone"].get(name.decode().rstrip("."))
    return text and text.encode()
out = {"signed": {}, "verified": {}}
canonical = [(a, b) for a in (b"relaxed", b"simple") for b in (b"relaxed", b"simple")]
for n, (name, text) in enumerate(sorted(job["sign"].items())):
    message = text.encode("latin1")
    for kind, selector, key, algorithm in (
            ("rsa", b"r", job["rsa"].encode(), b"rsa-sha256"),
            ("ed25519", b"e", job["ed25519"].encode(), b"ed25519-sha256")):
        try:
            top = dkim.sign(message, selector, b"example.com", key, canonicalize=canonical[n % 4], signature_algorithm=algorithm)
            out["signed"][name + " " + kind] = (top + message).decode("latin1")
        except Exception as e:
            print(name, kind, repr(e), file=sys.stderr)
for name, text in job["verify"].items():
    try:
        d = dkim.DKIM(text.encode("latin1"))
        out["verified"][name] = ["pass" if d.verify(i, dnsfunc=zone) else "fail" for i in range(2)]
    except Exception as e:
        out["verified"][name] = [repr(e)]
json.dump(out, sys.stdout)
