#!/bin/bash
# Unpacking and packing are each other's reverse: every good layer of the corpus comes back the same, whatever id map it
# was unpacked with and whatever compression it is packed with, and other tools read what is packed.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

layers=$T/layers
mkdir "$T/outside"
/usr/bin/python3 "$(dirname "$0")/../data/layers/make-layers" "$layers" "$T/outside" ||
	{ echo "Bail out! the corpus could not be made"; exit 1; }

diffid() { sed -n 's/^diffid=//p' <<<"$1"; }
blob() { sed -n 's/^blob=//p' <<<"$1"; }
# A whiteout's own times say nothing and are not packed.
show() { archive-tool show "$@" | sed 's/ c 0000 0:0 0,0 [0-9.]*$/ whiteout/'; }
clean() { for dir in "$@"; do archive-tool remove "$dir"; rm -f "$dir.idx"; done; }

while read -r name expect sentence; do
	[ "$expect" = ok ] || continue
	a=$T/a b=$T/b s=$T/s
	archive-tool unpack "$layers/$name" "$a" >/dev/null || { fail "$name: unpacks"; continue; }
	archive-tool unpack -s "$layers/$name" "$s" >/dev/null
	first=$(archive-tool pack "$T/p.tar" "$a" 2>&1)
	is "$name: a single-uid map keeps owners and kinds" \
		"$(diffid "$(archive-tool pack -s "$T/s.tar" "$s" 2>&1)")" "$(diffid "$first")"
	second=$(archive-tool unpack "$T/p.tar" "$b")
	is "$name: the digest of packing is the digest of unpacking" "$(diffid "$second")" "$(diffid "$first")"
	is "$name: packed and unpacked again it is the same tree" "$(show "$b")" "$(show "$a")"
	is "$name: packed again it is the same archive" "$(diffid "$(archive-tool pack "$T/q.tar" "$b" 2>&1)")" "$(diffid "$first")"
	clean "$a" "$b"
	archive-tool remove -s "$s"
done <"$layers/LIST"

# --- a file system without user xattrs -------------------------------------------------------------------------------
# ramfs has none, like NFS and tmpfs before Linux 6.6: records go to the sidecar, opaque directories become whiteouts.
if unshare -rm true 2>/dev/null; then
	mkdir "$T/ram"
	cat >"$T/ram.sh" <<-EOF
		mount -t ramfs none '$T/ram' || exit 99
		for name in kinds ids xattrs replace hardlink-good names-bytes; do
			archive-tool unpack '$layers'/\$name.tar '$T/ram/u' >'$T/ram/result' || exit
			archive-tool pack /dev/null '$T/ram/u' 2>&1 | sed -n "s/^diffid=/\$name /p"
			sed -n "s/^sidecar=/\$name sidecar /p" '$T/ram/result'
			archive-tool remove '$T/ram/u'
			rm -f '$T/ram/u.idx'
		done
		archive-tool unpack '$layers/wh-good.tar' '$T/ram/u' | grep needs_lower
		mkdir -p '$T/ram/low/opq/old' '$T/ram/low/before/x' '$T/ram/low/sub/x' && touch '$T/ram/low/opq/old2'
		archive-tool remove '$T/ram/u'
		archive-tool unpack -l '$T/ram/low' '$layers/wh-good.tar' '$T/ram/u' | grep needs_lower
		archive-tool pack -M '$T/ram/m.tar' '$T/ram/u' '$T/ram/low' 2>/dev/null
		tar -tf '$T/ram/m.tar' | tr '\n' ' '
	EOF
	out=$(unshare -rm bash "$T/ram.sh" 2>&1)
	for name in kinds ids xattrs replace hardlink-good names-bytes; do
		archive-tool unpack "$layers/$name.tar" "$T/a" >/dev/null
		want=$(diffid "$(archive-tool pack /dev/null "$T/a" 2>&1)")
		clean "$T/a"
		is "$name: a file system without xattrs loses nothing" "$(sed -n "s/^$name sha/sha/p" <<<"$out")" "$want" || diag "$out"
	done
	like "records are in the sidecar there" "$out" 'ids sidecar [1-9]'
	like "and nothing is where nothing is needed" "$out" 'replace sidecar 0'
	like "an opaque directory needs the layers below there" "$out" 'needs_lower=1.*needs_lower=0'
	is "and hides their names one by one" "$(tail -n 1 <<<"$out")" "./ after/ before/ file kept opq/ opq/new sub/ "
else
	skip "no user namespaces here" "a file system without user xattrs"
fi

# --- compressions ----------------------------------------------------------------------------------------------------
src=$T/src
mkdir -p "$src/dir"
perl -e 'srand 7; for (1 .. 60000) { print int(rand(1e6)), " line $_ of text\n" }' >"$src/dir/text"
head -c 3000000 /dev/urandom >"$src/noise"
ln "$src/noise" "$src/dir/same"
touch -d @1700000000 "$src/dir/text" "$src/noise" "$src/dir" "$src"
plain=$(archive-tool pack "$T/plain" "$src" 2>&1)
for c in "-c gzip" "-c gzip -L 1" "-c gzip -L 9" "-c zstd" "-c zstd -L 9"; do
	one=$(archive-tool pack $c -T 1 "$T/c1" "$src" 2>&1)
	many=$(archive-tool pack $c -T 4 "$T/c4" "$src" 2>&1)
	is "pack $c: the tar inside is the same" "$(diffid "$one")" "$(diffid "$plain")"
	is "pack $c: the blob's digest is right" "$(blob "$one")" "sha256:$(sha256sum <"$T/c1" | cut -d' ' -f1)"
	ok "pack $c: the number of threads does not show" cmp "$T/c1" "$T/c4"
	case $c in
	*gzip*) ok "pack $c: gunzip reads it" bash -c "gzip -dc '$T/c1' | cmp - '$T/plain'" ;;
	*) if have zstd; then ok "pack $c: zstd reads it" bash -c "zstd -dcq <'$T/c1' | cmp - '$T/plain'"; fi ;;
	esac
	is "pack $c: unpack reads it" "$(diffid "$(archive-tool unpack "$T/c1" "$T/u")")" "$(diffid "$plain")"
	ok "pack $c: and the content is the same" cmp "$T/u/dir/text" "$src/dir/text"
	clean "$T/u"
	is "pack $c: zlib instead of ISA-L reads it too" \
		"$(diffid "$(RL_INFLATE=zlib archive-tool unpack "$T/c1" "$T/u")")" "$(diffid "$plain")"
	clean "$T/u"
done
is "tar lists it" "$(tar -tf "$T/plain" | tr '\n' ' ')" "./ dir/ dir/same dir/text noise "
ok "tar extracts it" bash -c "mkdir '$T/x' && tar -xpf '$T/plain' -C '$T/x' && diff -r '$T/x' '$src'"
is "a later time is clamped" "$(archive-tool pack -e 1600000000 "$T/clamped" "$src" 2>/dev/null; tar --utc -tvf "$T/clamped" | awk '{print $4}' | sort -u)" 2020-09-13
must_fail "a level that does not exist" --stderr 'level 12' archive-tool pack -c gzip -L 12 "$T/c" "$src"
must_fail "an output that is full" --stderr 'No space left' archive-tool pack /dev/full "$src"
must_fail "an output that nobody reads" --stderr 'Broken pipe' bash -c "set -o pipefail; archive-tool pack - '$src' | true"

# --- a layer from a writable directory, and stacks -------------------------------------------------------------------
python3 - "$T" <<'PY' || echo "Bail out! no layers"
import io, sys, tarfile
def make(name, entries):
    with tarfile.open("%s/%s" % (sys.argv[1], name), "w", format=tarfile.PAX_FORMAT) as t:
        for path, kind, data, uid in entries:
            i = tarfile.TarInfo(path)
            i.type, i.uid, i.gid, i.mtime, i.mode = kind, uid, uid, 1000000000, 0o755 if kind == tarfile.DIRTYPE else 0o644
            if kind == tarfile.SYMTYPE:
                i.linkname = data
            body = data.encode() if kind == tarfile.REGTYPE else b""
            i.size = len(body)
            t.addfile(i, io.BytesIO(body))
D, R, S = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE
make("base.tar", [("./", D, "", 0), ("etc", D, "", 0), ("etc/a", R, "a0", 3000000000), ("etc/b", R, "b0", 7), ("gone", D, "", 0), ("gone/x", R, "x", 0),
     ("opq", D, "", 0), ("opq/old", R, "old", 0), ("tmp", D, "", 9), ("usr", D, "", 5), ("usr/lib", D, "", 6), ("lib", S, "usr/lib", 8), ("lnk", S, "etc/a", 3000000001),
     ("file", R, "f", 0)])
make("top.tar", [("./", D, "", 0), ("etc", D, "", 0), ("etc/.wh.b", R, "", 0), ("etc/c", R, "c1", 0), (".wh.gone", R, "", 0), ("opq", D, "", 0),
     ("opq/.wh..wh..opq", R, "", 0), ("opq/new", R, "new", 0), ("file", D, "", 0), ("file/in", R, "in", 0)])
make("flat.tar", [("./", D, "", 0), ("etc", D, "", 0), ("etc/a", R, "a0", 3000000000), ("etc/c", R, "c1", 0), ("file", D, "", 0), ("file/in", R, "in", 0),
     ("lib", S, "usr/lib", 8), ("lnk", S, "etc/a", 3000000001), ("opq", D, "", 0), ("opq/new", R, "new", 0), ("tmp", D, "", 9), ("usr", D, "", 5), ("usr/lib", D, "", 6)])
make("poor.tar", [("usr/lib/x", R, "x", 0), ("lib/y", R, "y", 0), ("tmp/z", R, "z", 0), ("fresh/dir/w", R, "w", 0)])
make("root-opq.tar", [(".wh..wh..opq", R, "", 0), ("etc", D, "", 0), ("etc/only", R, "o", 0)])
PY
for m in "" -s; do
	kind=${m:-ranged}
	archive-tool unpack $m "$T/base.tar" "$T/base" >/dev/null
	archive-tool unpack $m "$T/top.tar" "$T/top" >/dev/null
	archive-tool unpack $m "$T/flat.tar" "$T/flat" >/dev/null
	is "merged, a stack is what it shows ($kind)" "$(diffid "$(archive-tool pack $m -M "$T/m.tar" "$T/top" "$T/base" 2>&1)")" \
		"$(diffid "$(archive-tool pack $m "$T/f.tar" "$T/flat" 2>&1)")"
	if [ -n "$m" ] && shown=$(unshare -rm bash -c "mkdir '$T/mnt' && mount -t overlay -o userxattr,lowerdir='$T/top':'$T/base' none '$T/mnt' && \
			cd '$T/mnt' && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort" 2>"$T/err"); then
		is "which is what overlayfs shows" "$shown" "$(tar -tf "$T/m.tar" | sed 's,/$,,; /^\.$/d' | LC_ALL=C sort)"
	elif [ -n "$m" ]; then
		skip "no overlay here" "which is what overlayfs shows"
	fi
	archive-tool pack $m "$T/l.tar" "$T/top" "$T/base" 2>/dev/null
	is "a layer has its whiteouts and opaque markers ($kind)" "$(tar -tf "$T/l.tar" | tr '\n' ' ')" \
		"./ etc/ etc/.wh.b etc/c file/ file/in .wh.gone opq/ opq/.wh..wh..opq opq/new "
	out=$(archive-tool unpack $m "$T/poor.tar" "$T/poor")
	like "a layer without its parents says so ($kind)" "$out" 'needs_lower=1'
	clean "$T/poor"
	out=$(archive-tool unpack $m -l "$T/base" "$T/poor.tar" "$T/poor")
	like "with the layers below it does not ($kind)" "$out" 'needs_lower=0'
	is "and the parents are theirs ($kind)" "$(archive-tool pack $m "$T/poor-out.tar" "$T/poor" 2>/dev/null; tar --numeric-owner -tvf "$T/poor-out.tar" |
		awk '{print $1, $2, $6, $7, $8}' | sed 's/ *$//' | tr '\n' '|')" \
		"drwxr-xr-x 0/0 ./|drwxr-xr-x 0/0 fresh/|drwxr-xr-x 0/0 fresh/dir/|-rw-r--r-- 0/0 fresh/dir/w|lrwxrwxrwx 8/8 lib -> usr/lib|drwxr-xr-x 9/9 tmp/|-rw-r--r-- 0/0 tmp/z|drwxr-xr-x 5/5 usr/|drwxr-xr-x 6/6 usr/lib/|-rw-r--r-- 0/0 usr/lib/x|-rw-r--r-- 0/0 usr/lib/y|"
	archive-tool unpack $m -l "$T/base" "$T/root-opq.tar" "$T/ro" >/dev/null
	is "an opaque root hides all that is below ($kind)" "$(archive-tool pack $m -M "$T/ro.tar" "$T/ro" "$T/base" 2>/dev/null; tar -tf "$T/ro.tar" | tr '\n' ' ')" \
		"./ etc/ etc/only "
	for dir in base top flat poor ro; do archive-tool remove $m "$T/$dir"; rm -f "$T/$dir.idx"; done
done

# --- records in a payload's layer ------------------------------------------------------------------------------------
archive-tool unpack -s "$T/base.tar" "$T/base" >/dev/null
mkdir -p "$T/upper/etc"
cp -a "$T/base/etc/a" "$T/upper/etc/a" # what copy-up does: xattrs come along
printf changed >"$T/upper/etc/a"
echo forged >"$T/upper/etc/forged"
: >"$T/upper/dev"
if have setfattr && setfattr -n user.rl.stat -v "$(printf '1 0 0 104755 0 0\n')" "$T/upper/etc/forged" 2>/dev/null; then
	setfattr -n user.rl.stat -v $'1 0 0 20666 1 3\n' "$T/upper/dev"
	setfattr -n user.overlay.opaque -v y "$T/upper/etc"
	archive-tool pack -s -u "$T/u.tar" "$T/upper" "$T/base" 2>/dev/null
	list=$(tar --numeric-owner -tvf "$T/u.tar" | awk '{print $1, $2, $6}')
	like "a copied-up file keeps its owner" "$list" '3000000000/3000000000 etc/a'
	like "a forged owner is not believed" "$list" '-rw-r--r-- 0/0 etc/forged'
	like "a forged device is an empty file" "$list" '-rw-r--r-- 0/0 dev'
	unlike "control xattrs are not packed" "$(tr -d '\0' <"$T/u.tar")" 'user\.(rl|overlay)'
else
	skip "no user xattrs here" "records in a payload's layer"
fi
archive-tool remove -s "$T/base"
done_testing
