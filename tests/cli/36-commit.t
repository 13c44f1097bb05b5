#!/bin/bash
# rl commit: a container becomes an image that others can read.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
config() { rl inspect -f "$2" "$1"; }

all() {
	local how=$1 id before
	rl run $N --name c -e A=1 -w /w --label l=v busybox sh -c 'echo hi >/f; mkdir /d; ln /f /d/g; rm /bin/ls; rm -r /home; mkdir /home; chmod 4711 /f; mkfifo /p; ln -s /f /s'
	before=$(rl diff c)
	id=$(rl commit -m message -a author -c 'ENV B="2 3"' -c 'CMD ["cat","/f"]' -c 'EXPOSE 80' c localhost/n:1)
	like "$how: the id of the image is printed" "$id" '^sha256:[0-9a-f]{64}$'
	is "$how: the image runs" "$(rl run --rm $N localhost/n:1)" hi
	is "$how: it has the files, links and modes, and not what was deleted" \
		"$(rl run --rm $N localhost/n:1 sh -c 'stat -c "%a %h" /f; [ /f -ef /d/g ] && echo same; [ -e /bin/ls ] || echo gone; busybox ls /home; [ -p /p ] && readlink /s')" "4711 2
same
gone
/f"
	is "$how: variables of the image, of run -e and of -c" "$(config localhost/n:1 '{{range .Config.Env}}{{.}};{{end}}')" \
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;A=1;B=2 3;"
	is "$how: working directory and labels" "$(config localhost/n:1 '{{.Config.WorkingDir}} {{.Config.Labels.l}}')" "/w v"
	is "$how: author and comment" "$(config localhost/n:1 '{{.Author}} {{.Comment}}')" "author message"
	is "$how: one layer more than the image" "$(config localhost/n:1 '{{len .RootFS.Layers}} {{len .History}}')" "2 2"
	is "$how: without -c the image runs what the container ran" "$(rl commit -q c localhost/n:2 >/dev/null; config localhost/n:2 '{{index .Config.Cmd 0}}')" sh
	is "$how: the container itself has not changed" "$(rl diff c)" "$before"
	rl run $N --name c2 localhost/n:1 sh -c 'echo more >/more; rm /d/g'
	ok "$how: a container of the image is committed again" rl commit -q c2 localhost/n:3
	is "$how: three layers" "$(config localhost/n:3 '{{len .RootFS.Layers}}')" 3
	is "$how: with both changes" "$(rl run --rm $N localhost/n:3 sh -c 'cat /f /more; [ -e /d/g ] || echo gone')" "hi
more
gone"
	ok "$how: squash" rl commit -q --squash c2 localhost/n:sq
	is "$how: is one layer and one step" "$(config localhost/n:sq '{{len .RootFS.Layers}} {{len .History}}')" "1 1"
	is "$how: with the same files" "$(rl run --rm $N localhost/n:sq sh -c 'cat /f /more; [ -e /d/g ] || echo gone; busybox true && echo runs')" "hi
more
gone
runs"
	rl rm c c2 >/dev/null
	rl rmi -f localhost/n:1 localhost/n:2 localhost/n:3 localhost/n:sq >/dev/null
}
all subordinate
RL_IDMAP=single all single

rl run $N --name c busybox sh -c 'echo hi >/f'
is "an image without a name" "$(rl commit -q c | cut -c1-7; rl images -q | wc -l)" "sha256:
2"
rl commit -q --iidfile iid --format docker c localhost/d:1 >id
is "--iidfile has the id" "$(cat iid)" "$(cat id)"
is "--format docker" "$(rl inspect -f '{{.ManifestType}}' localhost/d:1)" application/vnd.docker.distribution.manifest.v2+json
is "runs as well" "$(rl run --rm $N localhost/d:1 cat /f)" hi

# --- what comes out again
rl commit -q c localhost/out:1 >/dev/null
ok "it is saved as an OCI archive" rl save --format oci-archive -o oci.tar localhost/out:1
ok "and as docker's" rl save -o docker.tar localhost/d:1
if have skopeo; then
	ok "skopeo reads the OCI archive" skopeo --insecure-policy copy oci-archive:oci.tar dir:$T/sk1
	ok "skopeo reads docker's" skopeo --insecure-policy copy docker-archive:docker.tar dir:$T/sk2
else
	skip "skopeo reads the OCI archive" "skopeo is not installed"
	skip "skopeo reads docker's" "skopeo is not installed"
fi
if have podman && [ "$(id -u)" = 0 ]; then
	ok "podman loads it" podman --root "$T/pod" --runroot "$T/podrun" --storage-driver vfs load -i oci.tar
fi
RL_ROOT=$T/other rl load -i oci.tar >/dev/null
is "another store loads and runs it" "$(RL_ROOT=$T/other rl run --rm $N localhost/out:1 cat /f)" hi
# Without the times of whiteouts, which mean nothing.
tree() { find "$1" -type c -printf '%P %m %y\n' -o -printf '%P %m %y %s %T@ %l\n' | sort; }
same=0
for l in other/layers/*/*/diff; do
	[ "$(tree "$l")" = "$(tree "${l/other/store}")" ] && same=$((same + 1))
done
is "the unpacked layers are what unpacking the blobs gives" "$same" 2

# --- records a payload forged
rl run $N --name forger busybox sh -c 'echo 1 >/f'
up=$(echo store/containers/*/upper/f | tr ' ' '\n' | while read f; do grep -l 1 $f; done | head -n 1)
setfattr -n user.rl.stat -v '1 0 0 104755 0 0
' "$up" 2>/dev/null && ok "a record the payload wrote is not believed" sh -c 'rl commit -q forger localhost/forged >/dev/null && [ "$(rl run --rm --network none localhost/forged stat -c %a /f)" = 644 ]'

# --- a directory that is taken instead of copied, as builds do it
export RL_LIBEXEC=${RL_LIBEXEC:-$(dirname "$(dirname "$(readlink -f "$(command -v rl)")")")/libexec/rl}
rl run $N --name taken localhost/out:1 sh -c 'echo 1 >/f; mkdir /x; echo 2 >/x/y; rm /bin/ls; echo >/gone'
up=$(rl inspect -f '{{.Id}}' taken) up=$T/store/containers/$up/upper
inode=$(stat -c %i "$up/f")
like "a writable layer is taken" "$(commit-driver localhost/out:1 "$up" localhost/taken:1 gone)" '^sha256:'
not_ok "it is not where it was" test -e "$up"
is "it was renamed, not copied" "$(stat -c %i store/layers/*/*/diff/f | grep -c "^$inode\$")" 1
is "and it is a layer of an image" "$(rl run --rm $N localhost/taken:1 sh -c 'cat /f /x/y; [ -e /bin/ls ] || [ -e /gone ] || echo right')" "1
2
right"
rl save --format oci-archive -o taken.tar localhost/taken:1
RL_ROOT=$T/third rl load -i taken.tar >/dev/null
RL_ROOT=$T/third rl run --rm $N localhost/taken:1 true
same=0
for l in third/layers/*/*/diff; do
	[ "$(tree "$l")" = "$(tree "${l/third/store}")" ] && same=$((same + 1))
done
is "the layer is what unpacking the blob gives" "$same" 3
rl rm taken >/dev/null

# --- running
rl run -d $N --name busy busybox sh -c 'i=0; while :; do i=$((i+1)); echo $i >/t; mv /t /a; echo $i >/t; mv /t /b; done' >/dev/null
wait_for "the loop" 60 sh -c 'rl diff busy | grep -q /b'
ok "a running container is committed" rl commit -q busy localhost/busy:1
is "it goes on" "$(rl inspect -f '{{.State.Status}}' busy; a=$(cat store/containers/*/upper/a); wait_for "it to count" 60 sh -c "[ \"\$(cat store/containers/*/upper/a)\" != \"$a\" ]" && echo on)" "running
on"
is "and stood still meanwhile: two files written one after the other fit" \
	"$(rl run --rm $N localhost/busy:1 sh -c 'd=$(($(cat /a) - $(cat /b))); [ $d -ge 0 ] && [ $d -le 1 ] && echo fit')" fit
ok "--pause=false does not stop it" rl commit -q --pause=false busy localhost/busy:2
rl rm -f busy >/dev/null

# --- mistakes
must_fail "no container" --status 125 --stderr 'no container' rl commit nosuch
must_fail "a bad name" --status 125 --stderr 'UPPER' rl commit c UPPER
must_fail "a bad instruction" --status 125 --stderr 'not an instruction' rl commit -c 'FROM x' c
must_fail "a bad format" --status 125 --stderr 'no format' rl commit -f x c
rl run $N --name wh busybox touch /.wh.x
must_fail "a file that means a whiteout" --status 125 --stderr '\.wh\.x' rl commit wh
rl run $N --name keep --userns=keep-id busybox sh -c 'id -u; echo 1 >/tmp/mine' >/dev/null
ok "a container with keep-id" rl commit -q keep localhost/keep
is "has the right owner" "$(rl run --rm $N localhost/keep stat -c %u /tmp/mine)" "$(id -u)"
rl rm -fa >/dev/null
leftovers "nothing is left behind"
done_testing
