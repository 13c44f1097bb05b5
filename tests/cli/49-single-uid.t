#!/bin/bash
# One id only: what belongs to others, what is a device, and what cannot be set is kept, so that save, push and export give
# back what was pulled: byte for byte where the layer is unchanged, entry for entry where it is packed again.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
export RL_IDMAP=single

cp "$(command -v tinit)" tinit
cat >make.py <<'PY'
import io, sys, tarfile
out = tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT)
def add(name, type=tarfile.REGTYPE, data=b"", mode=0o644, uid=0, gid=0, link="", dev=(0, 0), xattrs={}):
    t = tarfile.TarInfo(name)
    t.type, t.mode, t.uid, t.gid, t.linkname, t.mtime = type, mode, uid, gid, link, 1600000000
    t.devmajor, t.devminor, t.size = dev[0], dev[1], len(data)
    t.pax_headers = {"SCHILY.xattr." + k: v for k, v in xattrs.items()}
    out.addfile(t, io.BytesIO(data))
D, S, C, B, F, L = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE)
add("./", D, mode=0o755)
add("tinit", data=open("tinit", "rb").read(), mode=0o755)
for d in ("dev", "etc", "proc", "sys", "tmp", "var"): add(d, D, mode=0o755)
add("var/mail", D, mode=0o2775, uid=8, gid=8)
add("var/mail/box", data=b"mail", mode=0o660, uid=1000, gid=8)
add("var/sticky", D, mode=0o1777, uid=65534, gid=65534)
add("var/huge", data=b"ids", uid=4000000000, gid=3999999999)
add("var/su", data=b"setuid", mode=0o4755, uid=0, gid=0)
add("var/sg", data=b"setgid", mode=0o2755, uid=5, gid=42)
add("var/link", S, link="mail/box", mode=0o777, uid=33, gid=34)
add("var/null", C, mode=0o666, dev=(1, 3))
add("var/disk", B, mode=0o660, gid=6, dev=(8, 17))
add("var/fifo", F, mode=0o600, uid=7, gid=9)
add("var/hard", L, link="var/mail/box", mode=0o660, uid=1000, gid=8)
add("var/attr", data=b"x", xattrs={"user.note": "kept"})
add("var/private", D, mode=0o700, uid=100, gid=100)
add("var/private/unreadable", data=b"secret", mode=0o000, uid=100, gid=100)
add("var/cap", data=b"cap", mode=0o755, xattrs={"security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"})
PY
sed -i '$a out.close()' make.py
python3 make.py whole.tar
cat >list.py <<'PY'
import sys, tarfile
skip = {"dev", "etc", "proc", "sys", "tmp"}
inodes = {}
for t in sorted(tarfile.open(fileobj=sys.stdin.buffer, mode="r|*"), key=lambda t: t.name):
    name = t.name.strip("./")
    if name.split("/")[0] in skip or not name:
        continue
    xattrs = {k: v for k, v in t.pax_headers.items() if "xattr" in k}
    # Which of two names of one file is the link is the packer's choice.
    kind = "file" if t.type in (b"0", b"1") else t.type
    print(name, kind, oct(t.mode) if t.type != b"2" else "-", t.uid, t.gid, t.linkname if t.type == b"2" else "",
          (t.devmajor, t.devminor) if t.type in (b"3", b"4") else "", int(t.mtime), sorted(xattrs.items()))
PY
listing() { python3 list.py; }
listing <whole.tar >want
layer_of() { tar -xO -f "$1" "$(tar -xO -f "$1" manifest.json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["Layers"][0])')"; }

ok "an image with ids, devices and attributes of all kinds is imported with one id" rl import whole.tar localhost/whole
ok "it runs" rl run --rm --network none --pull=never localhost/whole /tinit exit 0
rl save -o saved.tar localhost/whole
ok "save gives back the very bytes of the layer" cmp <(layer_of saved.tar) whole.tar
ok "export of a container has every entry as it was" sh -c 'rl create --name c --network none --pull=never localhost/whole /tinit exit 0'
rl export c >exported.tar
is "owners, modes, devices, links, times, attributes" "$(diff want <(listing <exported.tar))" ""
ok "the store is sound" rl system check

# The same after the image went through a registry and came back to another store.
if have docker-registry && start_registry plain; then
	R=127.0.0.1:$PORT
	rl tag localhost/whole "$R/t/whole:1"
	ok "it is pushed" rl push -q --tls-verify=false "$R/t/whole:1"
	export RL_ROOT=$T/other
	ok "and pulled into another store" rl pull -q --tls-verify=false "$R/t/whole:1"
	rl save -o again.tar "$R/t/whole:1"
	unpacked() { layer_of "$1" | python3 -c 'import gzip,sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(gzip.decompress(d) if d[:2] == b"\x1f\x8b" else d)'; }
	ok "the layer is the same, byte for byte, under its compression" cmp <(unpacked again.tar) whole.tar
	rl create --name c --network none --pull=never "$R/t/whole:1" /tinit exit 0 >/dev/null
	is "and its export the same, entry for entry" "$(diff want <(rl export c | listing))" ""
fi

# Packed again: an image of what a container wrote, on top of the same layer.
base=$(rl images --format '{{.Repository}}:{{.Tag}}' | grep -m1 whole)
rl create --name d --network none --pull=never "$base" /tinit exit 0 >/dev/null
echo data >new && rl cp new d:/var/new
ok "an image is committed on top" rl commit -q d localhost/changed
rl create --name e --network none --pull=never localhost/changed /tinit exit 0 >/dev/null
rl export e | listing >got
is "it shows everything below as it was (the directory apart that was written to), and one file more" "$(diff want got | grep '^[<>]' | grep -v "^> var/new \|^[<>] var b")" ""
like "which is there" "$(cat got)" 'var/new file'
rl save -o changed.tar localhost/changed
ok "and what was not changed is saved byte for byte" sh -c 'tar -xOf changed.tar $(tar -xOf changed.tar manifest.json | python3 -c "import json,sys; print(json.load(sys.stdin)[0][\"Layers\"][0])") | python3 -c "import gzip,sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(gzip.decompress(d) if d[:2] == bytes([31, 139]) else d)" | cmp - whole.tar'
ok "the store is sound" rl system check
done_testing
