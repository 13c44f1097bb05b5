#!/bin/bash
# History that must not repeat, continued: what works for a container outside of it (control sockets, top, cp, volumes,
# secrets, build contexts, the router).
# deadline: 300
TAP_TIMEOUT=200
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
have python3 || skip_all "python3 is not installed"
payload_image payload || fail "the static payload is imported"
mkdir outside && echo host-secret >outside/secret && chmod 600 outside/secret
snapshot() { (cd outside && find . -printf '%p %m %s %T@\n' | sort; cat secret); }
before=$(snapshot)

# --- sockets ---
# Names of abstract sockets are seen by every process of the network namespace, and anyone may connect to them.
grep ' @' /proc/net/unix | sed 's/.* @/@/' | sort >abstract.before
rl network create inner >/dev/null
rl run -d --name web --network inner -p 127.0.0.1::80 --health-cmd true busybox sleep 1000 >/dev/null
rl run -d --name tty -t --network none busybox sleep 1000 >/dev/null
is "CVE-2020-15257: running containers bring no abstract socket" \
	"$(grep ' @' /proc/net/unix | sed 's/.* @/@/' | sort | comm -13 abstract.before - | grep -iE 'rl|container|monitor')" ""
is "CVE-2021-4024: every control socket lies where only the user can get at it" "$(python3 - <<'P'
import os, stat
root = os.environ["RL_ROOT"]
for d, _, files in os.walk(root):
    if "/upper" in d or "/layers/" in d:
        continue
    for f in files:
        p = os.path.join(d, f)
        s = os.lstat(p)
        if stat.S_ISSOCK(s.st_mode):
            # Closed by itself, or by a directory above it.
            up, closed = d, not s.st_mode & 0o077
            while up.startswith(root):
                closed = closed or not os.stat(up).st_mode & 0o077
                up = os.path.dirname(up)
            if not closed:
                print(p)
P
)" ""

# --- what works on a running container executes nothing of it ---
rl run -d --name trap --network none busybox sh -c 'for p in ps top sh cat df id tar; do printf "#!/tinit\n" >/tmp/$p; done; mkdir -p /usr/bin
	for p in ps docker-init runc nsenter; do printf "#!/bin/busybox sh\ntouch /executed\n" >/usr/bin/$p; chmod 755 /usr/bin/$p; done; cp /usr/bin/ps /sbin/ps; touch /ready; exec sleep 1000' >/dev/null
wait_for "the trap" 60 rl exec trap test -e /ready
rl top trap >/dev/null && rl stats --no-stream trap >/dev/null && rl inspect trap >/dev/null && rl diff trap >/dev/null && rl cp trap:/etc/hosts . &&
	rl export trap >/dev/null && rl logs trap
not_ok "CVE-2022-1227: top, stats, inspect, diff, cp, export and logs execute nothing of the container" rl exec trap test -e /executed

# --- environments ---
rl run -d --name first -e FIRST=1 --network none busybox sleep 1000 >/dev/null
is "CVE-2020-14370: a later container has nothing of an earlier one's environment" "$(FIRST=2 rl run --rm --network none busybox env | grep -c FIRST)" 0
rl rm -fa >/dev/null
rl network rm inner >/dev/null

# --- a volume that is exported while its owner turns directories into links ---
rl volume create swap >/dev/null
rl run -d --name swapper --network none -v swap:/v busybox sh -c "mkdir -p /v/d /v/aside; echo inside >/v/d/secret; ln -s ../../../../../../../../../..$T/outside /v/l
	while :; do mv /v/d /v/aside/d; mv /v/l /v/d; mv /v/d /v/l; mv /v/aside/d /v/d; done" >/dev/null
seen=0
for i in {1..60}; do
	rl volume export swap 2>/dev/null | grep -aq host-secret && seen=$((seen + 1))
done
is "CVE-2023-0778: an export in a race never has a file of the host" $seen 0
rl rm -fa >/dev/null
rounds=20000
[ "${RL_TEST_FLAVOUR:-}" != asan ] || rounds=2000 # each has threads of its own, which are slow there
ok "CVE-2023-0778: nor have $rounds archives of a tree whose names are swapped under the packer" race-pack $rounds

# --- archives that are put into a volume ---
cat >evil.py <<'P'
import io, os, sys, tarfile
out = sys.argv[2]
t = tarfile.open(sys.argv[1], "w")
def entry(name, kind=tarfile.REGTYPE, data=b"", link=""):
    i = tarfile.TarInfo(name); i.type = kind; i.linkname = link; i.size = len(data); i.mode = 0o755
    t.addfile(i, io.BytesIO(data))
up = "../" * 20 + out.lstrip("/")
eval(sys.argv[3])
t.close()
P
bad=0
for how in "entry('l', tarfile.SYMTYPE, link=out) or entry('l/secret', data=b'evil')" \
	"entry('l', tarfile.SYMTYPE, link=up) or entry('l/new', data=b'evil')" \
	"entry('../' * 20 + out.lstrip('/') + '/new', data=b'evil')" "entry(out + '/new', data=b'evil')" \
	"entry('h', tarfile.LNKTYPE, link=up + '/secret') or entry('h', data=b'evil')" \
	"entry('.', tarfile.SYMTYPE, link=out) or entry('new', data=b'evil')"; do
	python3 evil.py evil.tar "$T/outside" "$how"
	rl volume create ev >/dev/null
	rl volume import ev evil.tar >/dev/null 2>&1
	[ "$(snapshot)" = "$before" ] || bad=$((bad + 1))
	rl volume rm -f ev >/dev/null
	# The same as a build context, and with ADD.
	rl build -q --network none -t ctx - <evil.tar >/dev/null 2>&1
	printf 'FROM busybox\nADD evil.tar /x\n' | rl build -q --network none -t add -f - . >/dev/null 2>&1
	rl import evil.tar evil >/dev/null 2>&1
	[ "$(snapshot)" = "$before" ] || bad=$((bad + 1))
done
is "CVE-2025-11395 CVE-2026-28406: no archive for a volume, a build or an image reaches the host" $bad 0

# --- files of ours that are made in a container whose directories lead out ---
python3 - "$T/outside" <<'P'
import tarfile, sys
base = tarfile.open(".payload.tar")
t = tarfile.open("links.tar", "w")
for name in ("run", "etc", "home"):
    i = tarfile.TarInfo(name); i.type = tarfile.SYMTYPE; i.linkname = "/../.." + sys.argv[1]; t.addfile(i)
for m in base:
    if m.name.lstrip("./").split("/")[0] not in ("run", "etc", "home", ""):
        t.addfile(m, base.extractfile(m) if m.isreg() else None)
t.close()
P
rl import links.tar links >/dev/null
echo token | rl secret create tok - >/dev/null
rl run --rm --network none --secret tok --secret tok,target=/home/x/secret -v "$T:/home/y:ro" -w /home/new links /tinit exit 0 >/dev/null 2>&1
is "CVE-2025-9566 CVE-2026-47766: secrets, mounts and working directories are made inside, through no link to the host" "$(snapshot)" "$before"

# --- the router ---
cat >probe.py <<'P'
import socket, struct, sys
got = []
def ask(name, port, data, host="10.0.2.2"):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
    try:
        s.sendto(data, (host, port)); got.append("%s %d bytes" % (name, len(s.recv(4096))))
    except OSError:
        pass
ask("tftp", 69, b"\0\1/etc/passwd\0octet\0")
ask("tftp", 69, b"\0\1")
ask("bootp", 67, b"\1\1\6\0" + b"\0" * 8)
ask("bootp", 67, struct.pack("!BBBBIHH", 1, 1, 6, 0, 7, 0, 0) + b"\0" * 16 + b"\2" * 16 + b"\0" * 192 + b"\x63\x82\x53\x63\x35\1\1\xff")
ask("ncsi", 68, b"\0" * 16)
print(";".join(got))
P
is "CVE-2021-3592 CVE-2021-3595: the router has no tftp server, and short requests of bootp tell nothing" \
	"$(rl run --rm -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$T/probe.py:/probe.py:ro" busybox /usr/bin/python3 /probe.py)" ""
ok "CVE-2020-1983 CVE-2020-29129: the library is one in which the known holes are closed" python3 -c '
import ctypes
f = ctypes.CDLL("libslirp.so.0").slirp_version_string; f.restype = ctypes.c_char_p
assert tuple(map(int, f().decode().split("-")[0].split("."))) >= (4, 7, 0), f()'
leftovers "nothing is left running or mounted"
done_testing
