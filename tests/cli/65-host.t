#!/bin/bash
# deadline: 180
# rl run host: a throw-away copy of this machine; diff, apply and discard of what it changed.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
export HOME=$T/home
mkdir -p "$HOME" "$T/w" && cd "$T/w" || exit 1
me=$(id -u)
host() { rl run --network none "$@"; }
fresh() { rl rm -fa >/dev/null 2>&1; rm -rf "$T/w"/* ; }
other=$(find /usr/share -maxdepth 2 -type f ! -user "$me" 2>/dev/null | head -n 1)

# ---- what it is
output_is "the command is the caller" "$me" host --rm host id -u
output_is "in the current directory" "$T/w" host --rm host pwd
output_is "with the caller's PATH and HOME" "$PATH $HOME" host --rm host sh -c 'echo $PATH $HOME'
output_is "a variable that is given wins" /x host --rm -e HOME=/x host sh -c 'echo $HOME'
output_is "without a command it is the caller's shell" hello sh -c 'echo echo hello | SHELL=/bin/sh rl run -i --rm --network none host'
is "the machine's files are there" "$(host --rm host cat "$other" | md5sum)" "$(md5sum <"$other")"
is "entries of the root are the machine's" "$(host --rm host ls -A / | grep -vx -e proc -e sys -e dev)" "$(find / -mindepth 1 -maxdepth 1 \( -type d -o -type f -o -type l \) -printf '%f\n' | grep -vx -e proc -e sys -e dev | LC_ALL=C sort)"
is "processes of the machine are not" "$(host --rm host sh -c 'ls -d /proc/[0-9]*' | wc -l | awk '{ print ($1 < 4) }')" 1
isnt "a file of somebody else cannot be changed" "$(host --rm host sh -c "echo x >>$other && echo changed" 2>&1)" changed
isnt "nor one added beside it" "$(host --rm host sh -c "echo x >${other%/*}/rl-was-here && echo changed" 2>&1)" changed
like "it has no capability" "$(host --rm host grep CapEff /proc/self/status)" '0000000000000000$'
is "the store is hidden" "$(host --rm host ls -A "$RL_ROOT" 2>&1)" ""
is "even with unmask=ALL" "$(host --rm --security-opt unmask=ALL host ls -A "$RL_ROOT" 2>&1)" ""
is "/run is empty but for its usual directories" "$(host --rm host find /run -mindepth 1 -maxdepth 1 ! -name lock ! -name user ! -name resolvconf ! -name systemd)" ""
python3 -c '
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen(); print("ready", flush=True); time.sleep(600)' >ready & listener=$!
on_finish "kill $listener 2>/dev/null"
wait_for "the socket" 20 grep -q ready ready
ok "the socket can be connected to outside" python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("sock")'
must_fail "but not from inside" --stderr refused host --rm host python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("sock")'
kill $listener; wait $listener 2>/dev/null
rm -f sock ready

# ---- the home directory
echo secret >"$HOME/key"
output_is "the home directory is there" secret host --rm host cat "$HOME/key"
is "with --hide-home it is empty" "$(host --rm --hide-home host ls -A "$HOME")" ""
ok "and can be written to" host --rm --hide-home host sh -c 'echo x >~/x'
mkdir -p "$HOME/project" && echo p >"$HOME/project/p"
output_is "the directory the person works in stays" p sh -c "cd $HOME/project && rl run --rm --network none --hide-home host cat p"
must_fail "--hide-home belongs to host" --status 125 --stderr 'hide-home.*rl run host' rl run --rm --hide-home busybox true

# ---- names
rl tag busybox localhost/host >/dev/null
output_is "an image called host is reached by its whole name" container host --rm localhost/host sh -c 'test -e /usr/bin/python3 || echo container'
output_is "and the word alone is the machine" "$me" host --rm host id -u
rl rmi localhost/host >/dev/null
like "--help says what can be changed" "$(rl run --help)" 'copy of this machine; files of others are read-only'

# ---- nothing changes, diff shows it
fresh
echo old >f; chmod 640 f; echo keep >keep; mkdir gone opq; echo g >gone/g; echo o >opq/old; ln -s f link
host host sh -ec 'echo new >f; chmod 600 f; rm -r gone opq; mkdir opq; echo n >opq/new; mkdir -p d/e; echo 1 >d/e/1; ln d/e/1 d/2
	touch -d 2001-02-03 d/e/1; ln -sfn keep link; mkfifo d/fifo; echo s >unreadable; chmod 0 unreadable; chmod 700 d/e; python3 -c "
import os; os.setxattr(\"keep\", \"user.note\", b\"hi\"); os.setxattr(\"f\", \"user.note\", b\"hi\")"'
is "nothing changes here" "$(cat f) $(readlink link) $(ls | tr '\n' ' ')" "old f f gone keep link opq "
mine() { grep -E " $T/w(/|\$)" | sed "s|$T/w|.|"; }
is "diff without a name is that of the last one" "$(rl diff | mine)" "C .
A ./d
A ./d/2
A ./d/e
A ./d/e/1
A ./d/fifo
C ./f
D ./gone
C ./link
C ./opq
A ./opq/new
D ./opq/old
A ./unreadable"
is "by its id, too" "$(rl diff "$(rl ps -qa)" | mine | wc -l)" 13
before=$(find . -printf '%p %m %s %l %T@\n' | sort)
is "apply -n says what it would do" "$(rl apply -n | mine)" "$(rl diff | mine)"
is "and does nothing" "$(find . -printf '%p %m %s %l %T@\n' | sort)" "$before"

# ---- apply a part, then all
is "apply PATH makes what is below it, and the directories it needs" "$(rl apply d/e | mine)" "A ./d
A ./d/e
A ./d/e/1"
is "and only that" "$(find d | LC_ALL=C sort | tr '\n' ' ')$(cat f)" "d d/e d/e/1 old"
is "what was applied is no change any more" "$(rl diff | mine | grep -c 'e/1')" 0
ok "apply makes the rest" rl apply -q
is "content and mode of a changed file" "$(cat f) $(stat -c %a f)" "new 600"
is "extended attributes" "$(python3 -c 'import os; print(os.getxattr("f", "user.note").decode())')" hi
is "deleted directories are gone" "$(ls -d gone opq/old 2>&1 | grep -c 'No such')" 2
is "a directory made anew has the new file only" "$(ls opq)" new
is "symlinks" "$(readlink link)" keep
is "fifos" "$(stat -c %F d/fifo)" fifo
is "times" "$(stat -c %y d/e/1 | cut -c 1-10)" 2001-02-03
is "modes of directories" "$(stat -c %a d/e)" 700
is "modes of files that nobody may read" "$(stat -c %a unreadable)" 0
is "nothing of ours is left beside them" "$(find . -name '.rl-*')" ""
is "then there is nothing to apply" "$(rl apply | mine)" ""
must_fail "a path that was not changed is refused" --status 125 --stderr 'nothing was changed at or below' rl apply keep
ok "discard removes the container" rl discard
is "and nothing else" "$(rl ps -qa)$(cat f)" new
must_fail "without one there is nothing to discard" --status 125 --stderr 'no container of `rl run host`' rl discard

# ---- links
fresh
host host sh -c 'echo 1 >a; ln a b; mkdir d; ln a d/c'
ok "names of one file" rl apply -q
is "stay names of one file" "$(stat -c %h a b d/c | tr '\n' ' ')$(stat -c %i a b d/c | sort -u | wc -l)" "3 3 3 1"

# ---- types
fresh
mkdir -p dir/sub; echo x >dir/sub/x; echo y >file
host host sh -c 'rm -r dir; echo f >dir; rm file; mkdir file; echo z >file/z'
ok "a file where a directory was, and the reverse" rl apply -q
is "are made" "$(cat dir file/z | tr '\n' ' ')" "f z "
fresh
host host python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind("s"); open("t", "w").close()'
ok "a socket is skipped" rl apply -q
is "and hinders nothing else" "$(ls)" t

# ---- conflicts
fresh
echo 1 >a; echo 1 >b; mkdir d; echo 1 >d/x; echo 1 >calm
host host sh -c 'echo 2 >a; rm b; rm -r d; echo 2 >calm; echo 2 >new'
echo 3 >a; echo 3 >b; echo 3 >d/y; echo 3 >new
must_fail "what was changed here meanwhile is a conflict" --status 125 --stderr '4 of .* changes cannot be made, so none was' rl apply
for file in a b d new; do like "$file is named" "$(cat "$T/.err")" "conflict: $T/w/$file: .*since the container"; done
is "nothing was changed" "$(cat a b d/y new calm | tr '\n' ' ')" "3 3 3 3 1 "
is "in words for programs" "$(rl apply -n --format json 2>/dev/null | python3 -c '
import json, sys
print(sorted((r["kind"], r["path"].rsplit("/", 1)[1], r["verdict"]) for r in json.load(sys.stdin) if r["path"].endswith(("/a", "/calm"))))')" \
	"[('C', 'a', 'conflict'), ('C', 'calm', 'apply')]"
ok "a path without conflict can be applied" rl apply calm
is "by itself" "$(cat a calm | tr '\n' ' ')" "3 2 "
ok "--force takes the container's" rl apply -q --force
is "all of it" "$(cat a new | tr '\n' ' ')$(ls | tr '\n' ' ')" "2 2 a calm new "

# ---- rights
fresh
mkdir ro; echo 1 >ro/f; echo 1 >ok
host host sh -c 'chmod 755 ro; echo 2 >ro/f; echo 2 >ok; chmod 555 ro'
chmod 555 ro
must_fail "a directory that the caller may not write to is refused" --status 125 --stderr "denied: $T/w/ro/f: you may not write" rl apply
is "and nothing else is done then" "$(cat ok)" 1
chmod 755 ro

# ---- whoever renames things meanwhile
fresh
mkdir in victim; echo safe >victim/f; echo 1 >in/f
host host sh -c 'echo 2 >in/f'
mv in moved; ln -s victim in
must_fail "a directory that has become a symlink is a conflict" --status 125 --stderr 'conflict: .*/in:' rl apply
ok "and is replaced when that is asked for" rl apply -q -f
is "what it led to is as it was" "$(cat victim/f) $(cat in/f)" "safe 2"

# ---- life
fresh
id=$(host -d host sh -c 'echo 1 >made; exec sleep 1000')
wait_for "the file" 30 sh -c "rl diff | grep -q made"
must_fail "a container that runs is not applied" --status 125 --stderr 'runs.*not finished' rl apply
must_fail "nor discarded" --status 125 rl discard
ok "it can be entered" rl exec "$id" test -e made
rl stop -t 0 "$id" >/dev/null
ok "and started again" rl start "$id"
ok "with what it wrote" rl exec "$id" test -e made
ok "discard -f ends it first" rl discard -f
is "nothing is left" "$(rl ps -qa)" ""
rl create --name img busybox true >/dev/null
must_fail "discard does not take a container with an image" --status 125 --stderr 'has an image' rl discard img
must_fail "nor does apply" --status 125 --stderr 'has an image' rl apply -c img
rl rm img >/dev/null
for verb in commit export "snapshot create"; do
	rl create --name h host true >/dev/null
	must_fail "$verb is refused, with what to do instead" --status 125 --stderr "this machine's.*rl diff" rl $verb h
	rl rm h >/dev/null
done
is "--rm leaves nothing to apply" "$(host --rm host sh -c 'echo 1 >x'; rl ps -qa)" ""
is "--report counts what was written" "$(host --rm --report json host sh -c 'echo 12345 >x' 2>&1 | python3 -c 'import json, sys; r = json.load(sys.stdin); print(r["WrittenBytes"])')" 6
done_testing
