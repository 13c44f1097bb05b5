#!/bin/bash
# Where user namespaces are refused altogether and nobody has a capability: what needs no container works, and what it
# makes is what the same verbs make where user namespaces exist.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
refused() { # COMMAND...: as the same user, in a user namespace that allows none below it, without capabilities
	unshare -c --keep-caps bash -c 'echo 0 >/proc/sys/user/max_user_namespaces &&
		exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' sh "$@"
}
export -f refused
[ "$(id -u)" != 0 ] || skip_all "root has capabilities"
must_fail "a container is refused, with the limit" --status 125 --stderr max_user_namespaces refused rl run --rm --network none busybox true
not_ok "the place the test makes has no user namespaces" refused unshare -U true

# A root file system with everything that is hard without capabilities: directories and files that their mode closes to
# their owner, owners that do not exist, links, a fifo, a device, attributes.
printf '%s\n' 'd 0755 0 0 . ' 'd 0755 0 0 etc' 'f 0644 0 0 etc/passwd web:x:33:34::/:/bin/sh' 'f 0644 0 0 etc/group grp:x:55:' \
	'd 0755 7 8 usr' 'd 0755 7 8 usr/real' 'l 0777 9 9 lnk usr/real' 'd 0555 0 0 ro' 'f 0444 7 8 ro/f text' 'f 0000 0 0 ro/shut secret' \
	'h 0444 7 8 hard ro/f' 'd 0555 3 3 ro/sub' 'p 0600 5 6 fifo' 'c 0666 0 0 null' 'd 1777 0 0 tmp' \
	'f 4755 0 0 suid x' | python3 -c '
import sys, tarfile, io
t = tarfile.open("root.tar", "w", format=tarfile.PAX_FORMAT)
for line in sys.stdin:
	kind, mode, uid, gid, name, *rest = line.rstrip("\n").split(" ", 5)
	m = tarfile.TarInfo(name)
	m.mode, m.uid, m.gid, m.mtime = int(mode, 8), int(uid), int(gid), 1000000000
	m.type = {"d": tarfile.DIRTYPE, "f": tarfile.REGTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "p": tarfile.FIFOTYPE, "c": tarfile.CHRTYPE}[kind]
	data = (rest[0] if rest else "").encode()
	if kind in "lh": m.linkname = rest[0]
	if kind == "c": m.devmajor, m.devminor = 1, 3
	if kind == "f":
		m.size = len(data)
		m.pax_headers = {"SCHILY.xattr.user.mark": name}
	t.addfile(m, io.BytesIO(data) if kind == "f" else None)
t.close()'
export A=$T/with B=$T/without
listing() { unshare -r bash -c "cd '$1'/layers/single/*/diff && find . -mindepth 1 -printf '%y %m %s %l %n %p\\n' | sort
	getfattr -R -h -d -m '^user' . | sort"; }
RL_IDMAP=single rl --root "$A" import root.tar img >/dev/null
ok "import of a tar works" refused rl --root "$B" import root.tar img
is "the tree it unpacks is the one a user namespace would have made, closed directories included" "$(listing "$B")" "$(listing "$A")"
is "the image's layer is the tar as it was" "$(rl --root "$B" inspect -f '{{.RootFS.Layers}}' img)" "$(rl --root "$A" inspect -f '{{.RootFS.Layers}}' img)"
ok "save works" refused rl --root "$B" save -o saved.tar img
ok "load of a tar works" refused rl --root "$T/third" load -i saved.tar
is "and gives the same image" "$(rl --root "$T/third" inspect -f "{{.Id}}" img)" "$(rl --root "$B" inspect -f "{{.Id}}" img)"
ok "the built-in image can be saved and loaded" refused bash -c "rl --root '$T/third' save -o box.tar busybox && rl --root '$T/third' load -i box.tar"

# Hostile bytes are confined without namespaces too.
python3 - <<'PY'
import tarfile, io
for name, entries in {"up": [("../out", None)], "link": [("esc", "/tmp"), ("esc/owned", None)], "rel": [("esc", "../../../../.."), ("esc/tmp/owned", None)]}.items():
	t = tarfile.open(name + ".tar", "w")
	for path, to in entries:
		m = tarfile.TarInfo(path)
		if to: m.type, m.linkname = tarfile.SYMTYPE, to
		t.addfile(m, None if to else io.BytesIO(b""))
	t.close()
PY
must_fail "a tar with .. in a name is refused" --status 125 --stderr "'\.\.'" refused rl --root "$B" import up.tar up
for how in link rel; do
	rm -f /tmp/owned
	refused rl --root "$B" import $how.tar $how >/dev/null 2>&1
	not_ok "a tar whose symlink leads out ($how) writes nothing outside" test -e /tmp/owned
done

# Builds without RUN.
mkdir -p ctx/tree/e && echo x >ctx/x && echo y >ctx/tree/y && echo z >ctx/tree/e/z && ln -s y ctx/tree/to-y && chmod 555 ctx/tree/e && chmod 444 ctx/tree/y
tar -C ctx/tree -cf ctx/add.tar y
cat >ctx/Dockerfile <<'D'
FROM img AS base
COPY x /etc/x
COPY --chown=web:grp tree /lnk/dd
COPY x /ro/new
ADD add.tar /ro/sub/
WORKDIR /w/q
ENV A=b
FROM scratch AS mid
COPY --from=base /usr/real /got
COPY --from=base /ro/new /got/new
FROM busybox
COPY --from=mid / /all
COPY tree/ /tmp/
COPY x /bin/
D
RL_IDMAP=single rl --root "$A" build --timestamp 1000 -t built ctx >/dev/null 2>"$T/with.err" || diag "$(cat "$T/with.err")"
ok "a build of COPY, ADD, WORKDIR and COPY --from works" refused rl --root "$B" build --timestamp 1000 -t built ctx
layers() { rl --root "$1" inspect -f '{{range .RootFS.Layers}}{{.}} {{end}}' "$2"; }
isnt "it has layers" "$(layers "$B" built)" ""
is "its layers are, bit for bit, those of the same build with user namespaces" "$(layers "$B" built)" "$(layers "$A" built)"
RL_IDMAP=single rl --root "$A" build --timestamp 1000 --target base -t base ctx >/dev/null 2>&1
ok "and so with a target" refused rl --root "$B" build --timestamp 1000 --target base -t base ctx
is "closed directories of the image that were written into are as they were" "$(layers "$B" base)" "$(layers "$A" base)"
rl --root "$B" save -o base.tar base 2>/dev/null
is "--chown is kept by name of the image's own accounts" "$(mkdir -p o && tar -C o -xf base.tar && for l in o/*.tar; do tar -tvf "$l" --numeric-owner; done | awk '$6 == "usr/real/dd/y" { print $1, $2 }')" "-r--r--r-- 33/55"
printf 'FROM img\nCOPY x /etc\nCOPY x /usr/real\n' >ctx/Into
ok "a file that is copied to a directory of the image goes into it" refused rl --root "$B" build --timestamp 1000 -f ctx/Into -t into ctx
RL_IDMAP=single rl --root "$A" build --timestamp 1000 -f ctx/Into -t into ctx >/dev/null 2>&1
is "there, too, the layers are the same" "$(layers "$B" into)" "$(layers "$A" into)"
printf 'FROM img\nCOPY x /hard/below\n' >ctx/Through
must_fail "a file of the image cannot be gone through" --status 125 --stderr 'not a directory' refused rl --root "$B" build -f ctx/Through ctx
printf 'FROM img\nCOPY tree/y /w/\nCOPY tree /w/y/\n' >ctx/Kind
like "what is no directory is not made one" "$(refused rl --root "$B" build -f ctx/Kind ctx 2>&1)" 'not a directory'
# Containers that are made and not started.
ok "a container is made, with a volume" refused rl --root "$B" create --name c --network none -v data:/data img /bin/sh
must_fail "and not started" --status 125 --stderr max_user_namespaces refused rl --root "$B" start c
is "diff" "$(refused rl --root "$B" diff c)" ""
must_fail "a file that its mode closes to its owner cannot be exported, which is said" --status 125 --stderr 'ro/shut: Permission denied' refused rl --root "$B" export -o c.tar c
like "with what can be done instead" "$(refused rl --root "$B" export -o c.tar c 2>&1)" 'hint: .*rl save'
must_fail "nor from the image, which ends, too" --status 125 --stderr 'ro/shut: Permission denied' refused rl --root "$B" export -o c.tar img
must_fail "nothing can be copied into or out of a container, and it is said what is to be allowed" --status 125 --stderr 'sysctl -w user.max_user_namespaces' refused rl --root "$B" cp c:/etc/passwd .
ok "rm" refused rl --root "$B" rm c
ok "a container of the built-in image" refused rl --root "$B" create --name b --network none busybox true
ok "commit" refused rl --root "$B" commit b again
is "of nothing is the image" "$(rl --root "$B" export again 2>/dev/null | tar -tf - | sort)" "$(rl --root "$B" export busybox 2>/dev/null | tar -tf - | sort)"
printf 'FROM img\nRUN true\n' >ctx/Run
must_fail "RUN is refused, with the limit" --status 125 --stderr max_user_namespaces refused rl --root "$B" build -f ctx/Run ctx
ok "an image is removed with everything that was closed in it" refused bash -c "rl --root '$B' rmi -f img base built into && rl --root '$B' system prune -af"
is "nothing of it is left" "$(unshare -r find "$B/layers" -name shut | wc -l)" 0
done_testing
