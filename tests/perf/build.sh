#!/bin/bash
# build.sh BUILD [ROUNDS] - `rl build` beside buildah on the same Dockerfiles, called by `make bench`.
#
# Both build from the same busybox, as the same ordinary user, with kernel overlayfs and their stores side by side in one
# directory (BUILD_SH_DIR, default /var/tmp). Rounds are interleaved; the median of each program and of the ratios is
# printed. buildah gets its fastest isolation (chroot) and the host's network; rl's RUN steps have their own sandbox and
# network. rl's times include its syncs to the disk, which buildah does not do. BUILD_SH_ONLY=small or others: the row of
# many small files, or all but that.
set -u
build=$(realpath "${1:?usage: build.sh BUILD [ROUNDS]}")
rounds=${2:-3}
helpers=$(cd "$(dirname "$0")/../helpers" && pwd)
command -v buildah >/dev/null || { echo "build.sh: buildah is not installed" >&2; exit 0; }

if [ "$(id -u)" = 0 ]; then
	user=rl-build-bench
	useradd -m -s /bin/bash "$user" 2>/dev/null
	trap 'userdel -rf '"$user"' 2>/dev/null' EXIT
	runuser -u "$user" -- env PATH="$PATH" "$0" "$build" "$rounds"
	exit
fi

work=$(mktemp -d "${BUILD_SH_DIR:-/var/tmp}/rl-build-bench.XXXXXX") || exit 1
remove() {
	chmod -R u+rwX "$work" 2>/dev/null
	rm -rf "$work" 2>/dev/null || unshare --map-root-user --map-auto rm -rf "$work"
}
trap remove EXIT
cd "$work" || exit 1
export RL_ROOT=$work/rl PATH=$build/bin:$PATH TMPDIR=$work HOME=$work
peer() { buildah --root "$work/peer" --runroot "$work/peer-run" --storage-driver overlay "$@"; }

rl save --format oci-archive -o base.tar busybox >/dev/null 2>&1 || exit 1
peer tag "$(peer pull -q oci-archive:"$work/base.tar")" localhost/busybox || exit 1
mkdir empty files big
{ echo FROM busybox; for i in $(seq 29); do echo "RUN echo $i > /f$i"; done; } >steps
{ echo FROM busybox; for i in $(seq 10); do echo "ENV E$i=$i"; echo "RUN echo $i > /f$i"; echo "LABEL l$i=$i"; done; } >cached
printf 'FROM busybox\nCOPY . /files/\n' >copy
for d in $(seq 100); do
	mkdir "files/d$d"
	for f in $(seq 100); do echo "file $d $f" >"files/d$d/f$f"; done
done
head -c 1000000000 /dev/urandom >big/file

now() { echo "${EPOCHREALTIME/[.,]/}"; }
# timed NAME COMMAND...: appends milliseconds to the file NAME.
timed() {
	local name=$1 start
	shift
	start=$(now)
	"$@" >/dev/null 2>"$work/err" || { echo "build.sh: $name failed: $(tail -1 "$work/err")" >&2; return 1; }
	echo $((($(now) - start) / 100)) >>"$name"
}
ours() { rl build -q --pull=never -f "$1" "${@:3}" "$2"; }
theirs() {
	sed 's/^FROM busybox/FROM localhost\/busybox/' "$1" >"$1.peer"
	peer build -q --layers --pull-never --isolation chroot --network host -f "$1.peer" "${@:3}" "$2"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] / 10 }'; }
compare() {
	local what=$1 bar=$2 file=$3 context=$4
	shift 4
	rm -f a b
	# rl writes its layers out before it names them: not what the other has left to be written.
	for _ in $(seq "$rounds"); do
		sync -f . && timed a ours "$file" "$context" "$@" && sync -f . && timed b theirs "$file" "$context" "$@" || return
	done
	paste a b | awk '{ print $2 / $1 }' >ratios
	printf '%-34s rl %9.1f ms   buildah %9.1f ms   ratio %6.1f   (bar %s)\n' "$what" "$(median a)" "$(median b)" \
		"$(sort -n ratios | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')" "$bar"
}

echo "rl build beside buildah $(buildah --version | awk '{ print $3 }'), $rounds rounds, medians"
ours cached empty >/dev/null 2>&1
theirs cached empty >/dev/null 2>&1
if [ "${BUILD_SH_ONLY:-small}" = small ]; then
	compare "COPY of 10,000 small files" 3 copy files --no-cache
fi
[ "${BUILD_SH_ONLY:-others}" = others ] || exit 0
compare "30 steps, all cached" 15 cached empty
compare "29 small RUN steps" 15 steps empty --no-cache
compare "COPY of one file of 1 GB" 3 copy big --no-cache

# Two stages of equal length beside each other: at most 1.15 times one.
printf 'FROM busybox\nRUN sleep 2; echo a > /a\n' >one
printf 'FROM busybox AS a\nRUN sleep 2; echo a > /a\nFROM busybox AS b\nRUN sleep 2; echo b > /b\nFROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n' >two
rm -f a b
for _ in $(seq "$rounds"); do
	timed a ours one empty --no-cache
	timed b ours two empty --no-cache
done
paste a b | awk '{ print $2 / $1 }' | sort -n | awk '{ v[NR] = $1 } END { printf "two independent stages / one: %.2f (bar 1.15)\n", v[int((NR + 1) / 2)] }'

# Peak memory of everything rl starts (the largest process), for the build with the most to do.
peak=$( { /usr/bin/time -f %M rl build -q --pull=never --no-cache -f copy big >/dev/null; } 2>&1 | tail -1)
echo "peak memory while copying 1 GB: $((peak / 1024)) MiB (bar 96)"
