# Signs and verifies messages with libopendkim, the library of opendkim and
# opendkim-testmsg, which itself signs with SHA-1 only: JSON in, JSON out (see peers_test.go).
import ctypes, json, os, re, sys, tempfile
from ctypes import byref, c_char_p, c_int, c_long, c_size_t, c_ssize_t, c_uint, c_void_p

lib = ctypes.CDLL("libopendkim.so.11")
def declare(name, result, *args):
    f = getattr(lib, name)
    f.restype, f.argtypes = result, args
    return f
init = declare("dkim_init", c_void_p, c_void_p, c_void_p)
options = declare("dkim_options", c_int, c_void_p, c_int, c_int, c_void_p, c_size_t)
sign = declare("dkim_sign", c_void_p, c_void_p, c_char_p, c_void_p, c_char_p, c_char_p, c_char_p, c_int, c_int, c_int, c_ssize_t, c_void_p)
verify = declare("dkim_verify", c_void_p, c_void_p, c_char_p, c_void_p, c_void_p)
header = declare("dkim_header", c_int, c_void_p, c_char_p, c_size_t)
eoh = declare("dkim_eoh", c_int, c_void_p)
body = declare("dkim_body", c_int, c_void_p, c_char_p, c_size_t)
eom = declare("dkim_eom", c_int, c_void_p, c_void_p)
getsighdr = declare("dkim_getsighdr_d", c_int, c_void_p, c_size_t, c_void_p, c_void_p)
getsiglist = declare("dkim_getsiglist", c_int, c_void_p, c_void_p, c_void_p)
sigerror = declare("dkim_sig_geterror", c_int, c_void_p)
sigbh = declare("dkim_sig_getbh", c_int, c_void_p)
sigflags = declare("dkim_sig_getflags", c_uint, c_void_p)
free = declare("dkim_free", c_int, c_void_p)
errorstring = declare("dkim_geterror", c_char_p, c_void_p)
resultstring = declare("dkim_getresultstr", c_char_p, c_int)

SETOPT, QUERYMETHOD, QUERYINFO, FILE = 1, 6, 7, 1
RSA_SHA256, ED25519 = 1, 2

job = json.load(sys.stdin)
keys = tempfile.NamedTemporaryFile("w", delete=False)
for name, text in job["zone"].items():
    keys.write("%s %s\n" % (name, text))
keys.close()
handle = init(None, None)
method = c_int(FILE)
assert options(handle, SETOPT, QUERYMETHOD, byref(method), ctypes.sizeof(method)) == 0
path = ctypes.create_string_buffer(keys.name.encode(), 1024)
assert options(handle, SETOPT, QUERYINFO, path, len(keys.name)) == 0

def feed(d, message):
    head, _, rest = message.partition(b"\r\n\r\n") if b"\r\n\r\n" in message else (message.removesuffix(b"\r\n"), b"", b"")
    for field in re.split(rb"\r\n(?![ \t])", head):
        r = header(d, field, len(field))
        if r: return "header: %d" % r
    r = eoh(d)
    if r and r != 8: return "eoh: %d %s" % (r, errorstring(d))
    if rest:
        r = body(d, rest, len(rest))
        if r: return "body: %d" % r
    return ""

out = {"signed": {}, "verified": {}}
canonical = [(1, 1), (1, 0), (0, 1), (0, 0)]
for n, (name, text) in enumerate(sorted(job["sign"].items())):
    message = text.encode("latin1")
    for kind, selector, key, algorithm in (("rsa", b"r", job["rsa"].encode(), RSA_SHA256), ("ed25519", b"e", job["ed25519_pem"].encode(), ED25519)):
        status = c_int(0)
        h, b = canonical[n % 4]
        if kind == "ed25519": h = 1 # its simple ones it does not verify itself
        d = sign(handle, b"id", None, key, selector, b"example.com", h, b, algorithm, -1, byref(status))
        assert d, (name, status.value)
        wrong = feed(d, message)
        r = eom(d, None)
        if wrong or r:
            print(name, wrong, r, errorstring(d), file=sys.stderr)
        else:
            text_, size = c_char_p(), c_size_t()
            assert getsighdr(d, 16, byref(text_), byref(size)) == 0
            top = b"DKIM-Signature: " + re.sub(rb"\r?\n", b"\r\n", text_.value)
            out["signed"][name + " " + kind] = (top + b"\r\n" + message).decode("latin1")
        free(d)
for name, text in job["verify"].items():
    status = c_int(0)
    d = verify(handle, b"id", None, byref(status))
    wrong = feed(d, text.encode("latin1"))
    r = eom(d, None)
    sigs, count = ctypes.POINTER(c_void_p)(), c_int()
    if getsiglist(d, byref(sigs), byref(count)) != 0:
        out["verified"][name] = [wrong or "no list: %d" % r]
    else:
        # DKIM_SIGFLAG_PASSED, and bh= matched
        out["verified"][name] = ["pass" if sigflags(sigs[i]) & 4 and sigbh(sigs[i]) == 0 else "%s error %d bh %d flags %x" % (wrong, sigerror(sigs[i]), sigbh(sigs[i]), sigflags(sigs[i])) for i in range(count.value)]
    free(d)
os.unlink(keys.name)
json.dump(out, sys.stdout)
