#!/bin/bash
# Where overlays are refused a container's root is a copy of the image. Whatever reads its layers afterwards finds what it
# would find below an overlay: every scenario is played twice, and what is said is compared. Root only, because only root
# can refuse overlays to others (tests/helpers/refuse-mount.c).
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
user=${RL_TEST_USER:-rltest}
id "$user" >/dev/null 2>&1 || skip_all "there is no ordinary user"
uid=$(id -u "$user") gid=$(id -g "$user")
base=$(mktemp -d /tmp/root-copy-XXXXXX) && chmod 755 "$base" || skip_all "no directory in /tmp"
on_finish "rm -rf --one-file-system $base"
for how in overlay copy nested l u w; do mkdir "$base/$how" && chown "$uid:$gid" "$base/$how"; done

# play HOW SCRIPT: as the user, in a store of its own, with overlays (overlay), without (copy), or on an overlay, which can
# hold no writable layer of another one (nested).
nest() { unshare -m --propagation private sh -c "mount -t overlay -o lowerdir=$base/l,upperdir=$base/u,workdir=$base/w none $base/nested && exec \"\$@\"" sh "$@"; }
play() {
	local refuse=
	[ "$1" = copy ] && refuse="refuse-mount overlay"
	[ "$1" = nested ] && refuse=nest
	$refuse setpriv --reuid "$uid" --regid "$gid" --clear-groups env -i PATH="$PATH" HOME="$base/$1" RL_ROOT="$base/$1/store" \
		IDMAP="${IDMAP:-}" bash -c "[ -z \"\$IDMAP\" ] || export RL_IDMAP=\$IDMAP; cd '$base/$1'; members() { tar --numeric-owner -tvf - | awk '{ print \$1, \$2, \$6, \$7, \$8 }' | sort; }
		layers() { rl save \"\$1\" 2>/dev/null >saved.tar; rm -rf saved; mkdir saved; tar -C saved -xf saved.tar
			for l in \$(jq -r '.[0].Layers[]' saved/manifest.json | tail -n \$2); do if gzip -t saved/\$l 2>/dev/null; then zcat saved/\$l; else cat saved/\$l; fi | members; echo --; done; }
		$2" 2>"$T/said.$1"
}
other=copy
both() { # DESCRIPTION SCRIPT
	local one two
	one=$(play overlay "$2")
	two=$(play $other "$2")
	[ -n "$one" ] || diag "nothing was said: $(cat "$T/said.overlay")"
	is "$1" "$two" "${one:-something}" || diag "$(cat "$T/said.$other")"
}

play overlay 'rl create --name c --network none busybox true' >/dev/null
play copy 'rl run --rm --network none busybox true' >/dev/null
like "overlays are refused to one of the two" "$(cat "$T/said.copy")" 'overlays are refused here: the image is copied'
play overlay 'rl rm c' >/dev/null

change='rm /bin/vi; echo hi >/new; echo x >>/etc/passwd; mv /bin/ed /bin/red; mkdir -p /d/e; chmod 700 /usr; [ -e /k ] || { echo k >/k; ln /k /d/link; }; ln -s /new /soft
	rm -r /var; mkdir /var; echo 1 >/var/one; mkfifo /d/fifo; touch -r /etc/group /tmp/stamp; sed -i s/root/toor/ /etc/group; touch -r /tmp/stamp /etc/group'
both "diff lists what was changed, and nothing else" "rl create --name c --network none busybox sh -c '$change' >/dev/null; rl start -a c >/dev/null; rl diff c"
both "a file that was changed to another one of its size and time counts as changed" "rl diff c | grep group"
both "export has no file that was removed" "rl export c | members"
# A directory that was made anew hides what was in it as a whole, or name by name.
both "commit makes a layer of the changes" "rl commit c image >/dev/null; layers image 1 | grep -v 'var/[.]wh[.]'"
both "which shows over the image what the container showed" "rl run --rm --network none image sh -c 'ls -la /bin/vi /bin/red /var/one; ls -A /var; tail -n 1 /etc/passwd; cat /etc/group' 2>/dev/null | sed 's/ [A-Z][a-z][a-z] .*:.. / /'"
both "what was changed is there at the next start" "rl start c >/dev/null; rl wait c >/dev/null; rl diff c"
both "cp reads it while it is stopped" "rl cp c:/d - | members"
both "cp writes to it" "echo in >in; rl cp in c:/d/in; rl cp c:/d/in - | tar -xOf -; rl diff c | grep /d/in"
both "a snapshot freezes what was changed" "rl snapshot create c one >/dev/null; rl start c >/dev/null; rl wait c >/dev/null; rl snapshot diff c one"
both "and a rollback brings it back" "rl cp in c:/later; rl snapshot rollback c one >/dev/null; rl diff c | grep -c later; rl cp c:/d/in - | tar -xOf -"
both "a branch stands on it" "rl snapshot branch c one other >/dev/null; rl wait other >/dev/null; rl cp other:/d/in - | tar -xOf -; rl rm other c >/dev/null"
both "a running container is compared, too" "rl run -d --name r --network none busybox sh -c 'echo 1 >/one; rm /bin/vi; echo done; sleep 1000' >/dev/null
	until rl logs r | grep -q done; do :; done; rl diff r; rl cp r:/one - | tar -xOf -; rl rm -f -t 0 r >/dev/null"
both "the report counts what was written" "rl run --rm --network none --report ./report busybox sh -c 'head -c 1000 /dev/zero >/one; rm /bin/vi'; jq -c '[.WrittenBytes, .WrittenFiles]' report"
both "a container that was made and not started can be written to and read by cp" "rl create --name n --network none busybox cat /in >/dev/null
	rl cp in n:/in; rl cp n:/etc/passwd - | tar -xOf - | head -n 1; rl start -a n; rl rm n >/dev/null"

printf '%s\n' 'FROM busybox' 'RUN rm /bin/vi; echo y >/y; rm -r /usr; chmod 700 /var' 'COPY in /in' 'RUN mkdir /usr; echo z >/usr/z; rm /y; cat /in >>/in2' >"$base/Dockerfile"
for how in overlay copy; do mkdir "$base/$how/context" && cp "$base/Dockerfile" "$base/copy/in" "$base/$how/context/" && chown -R "$uid:$gid" "$base/$how/context"; done
both "the layers of RUN are those below an overlay" "rl build -q --network none -t built context >/dev/null && layers built 3"
both "and none has a trace of the copy" "rl run --rm --network none built sh -c 'ls -d /bin/vi /y /usr/* /in2; find / -xdev | wc -l' 2>&1 | grep -v warning"
both "a step that fails fails the build, and leaves nothing" "printf 'FROM busybox\nRUN echo >/x; exit 3\n' >context/Dockerfile; rl build -q --network none context >/dev/null 2>&1; echo \$?; rl ps -aq | wc -l"
both "commands in a working container add up, with copies between them" "rl from --name w busybox >/dev/null; rl run w sh -c 'echo 1 >/one; rm /bin/vi'; rl copy w in /two; rl run w sh -c 'cat /one /two >/both; rm /one'
	rl commit w worked >/dev/null; layers worked 1; rl rm w >/dev/null"

# One user id, where true owners are in records: the copy has them, and so have the layers made from it. refuse-mount leaves
# no room for another listener, so here it is the place of the store that refuses.
IDMAP=single other=nested
mkdir "$base/nested/context" "$base/u/context" && chown "$uid:$gid" "$base/u/context"
owner='mkdir /o; echo 1 >/o/f; chown 5:6 /o/f; chown 7 /bin/ed; ln -s x /o/l; chown -h 8:8 /o/l; chown 9:9 /srv 2>/dev/null || { mkdir /srv; chown 9:9 /srv; }; stat -c "%u:%g %n" /o/f /bin/ed /srv'
both "with one user id owners of before are shown" "rl create --name c --network none --emulate=full busybox sh -c '$owner' >/dev/null; rl start -a c; rl commit c owned >/dev/null; rl diff c
	rl run --rm --network none --emulate=full owned sh -c 'stat -c \"%u:%g %n\" /o/f /o/l /bin/ed /srv'"
both "kept by commit" "layers owned 1; rl rm c >/dev/null"
# What was removed needs marks, which this store cannot hold.
both "what was removed is listed where the store cannot hold it" "rl create --name c --network none busybox sh -c 'rm /bin/vi; rm -r /usr; echo 1 >/one' >/dev/null; rl start -a c; rl diff c"
both "and is not in an export" "rl export c | members | grep -c ."
like "a commit there is refused, and says what to do" "$(play nested 'rl commit c image 2>&1')" 'cannot hold that .* was removed.*hint: keep the store on'
play overlay 'rl rm c; printf "FROM busybox\nRUN rm /bin/vi\n" >context/Dockerfile; rl build -q --network none -t marked context >/dev/null; rl save -o marked.tar marked' >/dev/null
cp "$base/overlay/marked.tar" "$base/u/marked.tar"
like "nor can an image be unpacked that removes files of its lower layers" "$(play nested 'rl load -i marked.tar 2>&1')" 'whiteout.*hint:.*--root DIR'
both "and by the layers of RUN" "printf 'FROM owned\nRUN chown 10:10 /o/f /o; chmod 600 /bin/ed\n' >context/Dockerfile; rl build -q --network none -t owned2 context >/dev/null && layers owned2 1"
done_testing
