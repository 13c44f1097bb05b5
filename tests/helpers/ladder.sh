# ladder.sh - one pass over the verbs under a restriction, and what rl-restricted(7) says of it; sourced after tap.sh and
# registry.sh by the tests whose rows stand in that page's table (60-ladder-root.t, 64-outer-root.t). The table is made by
# tests/helpers/ladder-page from the `# cell` lines of their output.
user=${RL_TEST_USER:-rltest}
id "$user" >/dev/null 2>&1 || skip_all "there is no ordinary user"
uid=$(id -u "$user") gid=$(id -g "$user")
# Where the ordinary user can get at it, unlike T.
base=$(mktemp -d /tmp/ladder-XXXXXX) && chmod 755 "$base" || skip_all "no directory in /tmp"
on_finish "rm -rf --one-file-system $base"
start_registry plain || skip_all "no registry can be started"
table=$T/table
: >"$table"
page=$RL_TEST_STAGE/prefix/share/man/man7/rl-restricted.7.gz

# record NAME FILE: what ladder-suite has printed for a row.
record() {
	local name=$1 broken=0 verb result text cells=0
	while IFS=$'\t' read -r verb result text; do
		cells=$((cells + 1))
		printf '%s\t%s\t%s\t%s\n' "$name" "$verb" "$result" "$text" >>"$table"
		case $result in BROKEN*) broken=1; diag "$name: $verb: $result $text" ;; esac
	done <"$2"
	[ $cells -gt 10 ] || { diag "$name: only $cells verbs: $(head -5 "${3:-/dev/null}")"; broken=1; }
	is "$name: every verb works, or is refused with a message" $broken 0
}

# stage NAME SETUP [LAUNCHER [AS_ROOT]]: SETUP is shell text run as root in a new mount namespace, with $d (a directory of
# the user's), $home and $store set, which it may change; LAUNCHER is put before the pass, as the user, AS_ROOT before it
# becomes the user.
stage() {
	local name=$1 setup=$2 launcher=${3:-} as_root=${4:-} d=$base/$1
	mkdir -p "$d/files" "$d/home" && chown -R "$uid:$gid" "$d"
	cat >"$d/stage.sh" <<SH
set -e
d=$d home=$d/home store=$d/home/store uid=$uid gid=$gid
$setup
cd $d/files
exec $as_root setpriv --reuid \$uid --regid \$gid --clear-groups env -i PATH="$PATH" \${home:+HOME="\$home"} \${store:+RL_ROOT="\$store"} \
	$launcher bash "$HELPERS/ladder-suite" $d/files $PORT
SH
	timeout 500 unshare -m --propagation private bash "$d/stage.sh" >"$d/result" 2>"$d/trouble"
	record "$name" "$d/result" "$d/trouble"
	umount -R "$d/home" 2>/dev/null
	chown -R "$uid:$gid" "$d" 2>/dev/null
}
cell() { awk -F'\t' -v s="$1" -v v="$2" '$1 == s && $2 == v { print $3 }' "$table"; }
text() { awk -F'\t' -v s="$1" -v v="$2" '$1 == s && $2 == v { print $4 }' "$table"; }

# What the manual says is what was found.
compare_with_page() {
	if [ -f "$page" ]; then
		zcat "$page" | awk '/^\.It .* Ta / { sub(/^\.It /, ""); gsub(/ Ta /, "\t"); print }' >"$T/page"
		wrong=$(awk -F'\t' 'NR == FNR { if ($1 == "restriction") for (i = 2; i <= NF; i++) head[i] = $i; else for (i = 2; i <= NF; i++) want[$1, head[i]] = $i; next }
			{ r = $3; if (want[$1, $2] != r) print $1, $2 ": " r ", the page says " want[$1, $2] }' "$T/page" "$table")
		is "every cell is as rl-restricted(7) says" "$wrong" ""
	else
		fail "rl-restricted(7) is installed"
	fi
	sed "s/^/# cell /" "$table"
}
