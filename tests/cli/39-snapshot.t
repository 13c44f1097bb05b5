#!/bin/bash
# rl snapshot: files of containers frozen, returned to, branched, merged; and all of it killed in the middle.
# deadline: 400
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
# What a container's file has, without starting it.
in_c() { rl cp "$1:$2" - 2>/dev/null | tar -xO 2>/dev/null; }
put() { echo "$3" >.put && rl cp .put "$1:$2"; }
names() { rl snapshot ls -q "$1" | tr '\n' ' '; }

all() {
	local how=$1 layers
	rl create $N --name c busybox sh -c 'cat /v; echo ran >>/log; wc -l </log' >/dev/null
	put c /v 1
	is "$how: create prints the name" "$(rl snapshot create c one)" one
	is "$how: the files are as they were" "$(in_c c /v)" 1
	is "$how: nothing was written since" "$(rl snapshot diff c one)" ""
	is "$how: the changes of the image are all there" "$(rl diff c)" "A /v"
	put c /v 2
	rl cp c:/bin/busybox bb && rl cp bb c:/etc/new
	is "$how: diff shows what changed since" "$(rl snapshot diff c one)" "C /etc
A /etc/new
C /v"
	is "$how: it runs on the snapshot" "$(rl start -a c)" "2
1"
	is "$how: names are made up" "$(rl snapshot create -m hello c)" snap1
	put c /v 3
	is "$how: the list knows parents" "$(rl snapshot ls --format '{{.Name}} {{.Parent}} {{.Comment}} {{.Current}}' c)" "one   false
snap1 one hello true"
	is "$how: rollback prints the name" "$(rl snapshot rollback c one)" one
	is "$how: the files are the snapshot's" "$(in_c c /v)$(in_c c /log)" 1
	is "$how: what came after is gone" "$(rl diff c)" "A /v"
	rl snapshot rollback c snap1
	is "$how: and back, to the other one" "$(in_c c /v)" 2
	is "$how: with everything it had" "$(in_c c /log)" ran
	must_fail "$how: a name is used once" --status 125 --stderr 'already' rl snapshot create c one
	# branches
	id=$(rl snapshot branch --no-start c one b)
	like "$how: branch prints an id" "$id" '^[0-9a-f]{64}$'
	is "$how: a branch has the snapshot's files" "$(in_c b /v)" 1
	is "$how: and runs on them" "$(rl start -a b)" "1
1"
	put b /v branch
	is "$how: neither sees what the other writes" "$(in_c c /v)" 2
	is "$how: the list knows branches" "$(rl snapshot ls --format '{{.Name}} {{.Branches}}' c | head -n 1)" "one [b]"
	must_fail "$how: a snapshot somebody stands on is not removed" --status 125 --stderr 'container b' rl snapshot rm c one
	must_fail "$how: nor merged into" --status 125 --stderr 'container b' rl snapshot merge c snap1
	# removal of the first container does not hurt the branch
	rl snapshot branch --no-start c snap1 keeper >/dev/null
	rl rm c >/dev/null
	is "$how: branches live on without the first one" "$(in_c b /v) $(in_c keeper /v)" "branch 2"
	is "$how: and start" "$(rl start -a keeper)" "2
2"
	rl rm b keeper >/dev/null
	is "$how: the last one takes the layers with it" "$(ls -A store/snapshots)" ""
	# merge
	rl create $N --name m busybox sh -c 'echo started' >/dev/null
	rl start -a m >/dev/null
	rl cp l m:/t && rl snapshot create m a >/dev/null
	rl start m >/dev/null; rl wait m >/dev/null
	rl run --rm $N busybox true
	change m 'rm -r /t/gone /t/again; mkdir /t/again; echo new >/t/again/f; rm /t/file; mkdir /t/file; echo in >/t/file/x; rm -r /t/dir; echo f >/t/dir; ln /t/keep /t/hard; chmod 700 /t/mode; mkdir /t/deep/er; echo d >/t/deep/er/f; rm /bin/ls'
	rl snapshot create m b >/dev/null
	change m 'echo three >/t/three; rm /t/again/f; mkdir /t/gone; echo back >/t/gone/g'
	rl snapshot create m c >/dev/null
	rl export m >want.tar
	layers=$(stack m)
	is "$how: three snapshots" "$(names m)" "a b c "
	ok "$how: merge one in the middle" rl snapshot merge m b
	is "$how: it is gone" "$(names m)" "a c "
	is "$how: with one layer less" "$(stack m)" "$((layers - 1))"
	rl export m >got.tar
	ok "$how: every file is as it was" cmp_tars want.tar got.tar
	ok "$how: merge the top one" rl snapshot merge m c
	rl export m >got.tar
	ok "$how: every file is still as it was" cmp_tars want.tar got.tar
	is "$how: nothing differs from the one that has it all" "$(rl snapshot diff m a)" ""
	must_fail "$how: the bottom one has nothing to be merged into" --status 125 --stderr 'stands on no other' rl snapshot merge m a
	is "$how: it starts" "$(rl start -a m | head -n 1)" started
	rl snapshot rm m a >/dev/null
	is "$how: a snapshot removed while it is stood on leaves the files" "$(names m)$(in_c m /t/three)" three
	rl rm m >/dev/null
	is "$how: nothing is left" "$(ls -A store/snapshots)" ""
}
stack() { wc -l <"store/containers/$(rl inspect -f '{{.Id}}' "$1")/layers"; }
# Without times of directories whose names were only linked anew.
cmp_tars() { diff <(tar -tvf "$1" --numeric-owner | awk '{ $4 = $5 = ""; print }' | sort) <(tar -tvf "$2" --numeric-owner | awk '{ $4 = $5 = ""; print }' | sort) &&
	[ "$(tar -xOf "$1" | sha256sum)" = "$(tar -xOf "$2" | sha256sum)" ]; }
# A container that runs the script it finds.
mkdir -p l/{gone,again,dir,mode,deep} && for f in gone/1 again/old file dir/x keep deep/f; do echo "$f" >"l/$f"; done
change() {
	printf '%s\n' "$2" >.script && rl cp .script "$1:/tmp/script" && rl start "$1" >/dev/null && rl wait "$1" >/dev/null
}
rl() {
	# containers called m run their script
	if [ "$1" = create ] && [ "$5" = m ]; then
		command rl create $N --name m busybox sh -c 'echo started; [ -e /tmp/script ] && sh /tmp/script && rm /tmp/script'
	else
		command rl "$@"
	fi
}
all subordinate
RL_IDMAP=single all single
unset -f rl

# --- running containers
rl run -d $N --name r busybox sh -c 'i=0; while :; do i=$((i+1)); echo $i >/t; mv /t /a; echo $i >/t; mv /t /b; done' >/dev/null
wait_for "the loop" 60 sh -c 'rl diff r | grep -q /b'
if rl snapshot create r frozen >/dev/null 2>err; then
	pass "a running container is frozen in its cgroup"
else
	like "a running container without a cgroup is refused with the reason" "$(cat err)" 'allow-unfrozen'
fi
ok "and taken with --allow-unfrozen" rl snapshot create --allow-unfrozen r live
is "it runs on" "$(rl inspect -f '{{.State.Status}}' r)" running
rl snapshot branch --no-start r live rb >/dev/null
d=$(($(in_c rb /a) - $(in_c rb /b)))
[ "$d" = 0 ] || [ "$d" = 1 ]
is "all processes stood still at one moment" $? 0
must_fail "a running container is not rolled back" --status 125 --stderr 'running' rl snapshot rollback r live
rl stop -t 0 r >/dev/null
b=$(in_c rb /b)
rl snapshot rollback r live >/dev/null
is "once stopped it is" "$(in_c r /b)" "$b"
rl rm -f r rb >/dev/null

# --- a payload that owns its root directory
rl run $N --name o busybox sh -c 'echo 1 >/f; chmod 700 /; chown 77:77 /' 2>/dev/null
ok "the layer of a payload that gave away its root directory is frozen" rl snapshot create o s
is "and the new one belongs to the same" "$(rl cp o:/ - | tar -tv --numeric-owner 2>/dev/null | awk 'NR == 1 { print $1, $2 }')" "drwx------ 77/77"
ok "rolled back" rl snapshot rollback o s
ok "and removed" rl rm o
is "with all layers" "$(ls -A store/snapshots)" ""

# --- killed in the middle
killed() { { timeout -s KILL "$@"; } 2>/dev/null; }
rl create $N --name k busybox true >/dev/null
put k /v 0
kills=${RL_SNAPSHOT_KILLS:-120} bad=0 done=0
rl snapshot create k base >/dev/null
for ((i = 1; i <= kills; i++)); do
	put k /v "$i"
	before=$(in_c k /v)
	delay=$(awk -v i="$i" 'BEGIN { srand(i); printf "%.4f", rand() * 0.03 }')
	case $((i % 4)) in
	0) killed "$delay" rl snapshot create k "s$i" >/dev/null 2>&1 ;;
	1) killed "$delay" rl snapshot rollback k base >/dev/null 2>&1 ;;
	2) rl snapshot create k "s$i" >/dev/null 2>&1; killed "$delay" rl snapshot merge k "s$i" >/dev/null 2>&1 ;;
	3) killed "$delay" rl snapshot rm k "$(rl snapshot ls -q k | grep -v base | head -n 1)" >/dev/null 2>&1 ;;
	esac && done=$((done + 1))
	after=$(in_c k /v)
	if [ "$((i % 4))" = 1 ]; then
		[ "$after" = "$before" ] || [ "$after" = "$(rl snapshot branch --no-start k base "x$i" >/dev/null; in_c "x$i" /v)" ] || { bad=$((bad + 1)); diag "$i: $before became $after"; }
		rl rm "x$i" >/dev/null 2>&1
	elif [ "$after" != "$before" ]; then
		bad=$((bad + 1))
		diag "$i: $before became '$after'"
	fi
done
is "$kills kills in the middle of create, rollback, merge and rm lose nothing" "$bad" 0
diag "$done of them came too late"
ok "the container starts" rl start -a k
is "nobody's rubbish is in its directory" "$(cd store/containers/*/ && ls -d restack upper.old 2>/dev/null)" ""
rl rm k >/dev/null
is "and all layers go with it" "$(ls -A store/snapshots)" ""

# --- mistakes
rl create $N --name c busybox true >/dev/null
must_fail "no container" --status 125 --stderr 'no container' rl snapshot create nosuch
must_fail "no snapshot" --status 125 --stderr "no snapshot" rl snapshot rollback c nosuch
must_fail "a bad name" --status 125 --stderr 'no name' rl snapshot create c ../x
must_fail "a name is missing" --status 125 rl snapshot rm c
is "no snapshots, no lines" "$(rl snapshot ls -q c)" ""
rl rm c >/dev/null
leftovers "nothing is left behind"
done_testing
