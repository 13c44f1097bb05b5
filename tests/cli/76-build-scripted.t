#!/bin/bash
# Images by commands: rl from, run, copy, add, config, commit on a working container, as people know it from buildah.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

R() { rl run --network none "$@"; }
config() { rl inspect --type image --format "{{json .Config.$2}}" "$1"; }
mkdir -p ctx/sub && echo A >ctx/a.txt && echo B >ctx/sub/b.txt && echo L >ctx/l.log && echo '*.log' >ctx/ignore && chmod 640 ctx/sub/b.txt

c=$(rl from busybox)
is "rl from makes a working container and says its name" "$c" busybox-working-container
is "the next one has a number" "$(rl from busybox)" busybox-working-container-1
is "or the name it is given" "$(rl from --name mine busybox)" mine
must_fail "a name that is taken is refused" --stderr 'mine' rl from --name mine busybox
must_fail "an image that is not there, too" rl from --pull=never nosuch/image
like "they are containers like others" "$(rl ps -a --format '{{.Names}}')" 'busybox-working-container'

# --- run
ok "a command runs in it" R "$c" sh -c 'mkdir /d && echo one > /d/one'
output_is "the next one finds what the first did" one R "$c" cat /d/one
output_is "two dashes in front of the command are taken" one R "$c" -- cat /d/one
status_is "its status is ours" 7 R "$c" sh -c 'exit 7'
must_fail "a command that is not there" --status 127 R "$c" nosuch
must_fail "no command is an error" --stderr 'command' R "$c"
output_is "standard input is passed with -i" "in" sh -c "echo in | rl run --network none -i $c cat"
output_is "-e, -w and -u are for this command" "v /tmp 5" R -e A=v -w /tmp -u 5 "$c" sh -c 'echo $A $PWD $(id -u)'
output_is "and not for the next one" "/ 0" R "$c" sh -c 'echo $A $PWD $(id -u)'
ok "-v too" R -v "$PWD/ctx:/ctx" "$c" cp /ctx/a.txt /d/from-volume
must_fail "what is no working container is no image either" rl run --pull=never --network none nosuch-working-container true

# --- copy and add
ok "files are copied as COPY does" rl copy "$c" ctx/sub /srv/
output_is "what is in a directory goes there, root's, with its mode" "640 0:0" R "$c" stat -c '%a %u:%g' /srv/b.txt
ok "with owner and mode" rl copy --chown 3:4 --chmod u=rw,go= "$c" ctx/a.txt /srv/a
output_is "which it then has" "600 3:4" R "$c" stat -c '%a %u:%g' /srv/a
ok "several into a directory" rl copy "$c" ctx/a.txt ctx/sub/b.txt /many/
output_is "which is made" "a.txt b.txt" R "$c" sh -c 'cd /many; echo *'
(cd ctx && rl config --workingdir /work "$c" && rl copy "$c" a.txt)
output_is "without a destination into the working directory" A R "$c" cat /work/a.txt
ok "a context and an ignore file" rl copy --contextdir ctx --ignorefile ctx/ignore "$c" . /c/
output_is "leave out what they leave out" "a.txt ignore sub" R "$c" sh -c 'cd /c; echo *'
must_fail "a context is not left" rl copy --contextdir ctx "$c" ../../../../../etc/passwd /p
ok "files of an image" rl copy --from busybox "$c" /bin/busybox /bb
touch 'od$HOME "d"' && ok "names are taken as they are" rl copy "$c" 'od$HOME "d"' /odd/
output_is "and go on being so" 'od$HOME "d"' R "$c" ls /odd
tar -C ctx -czf a.tgz --owner=5 --group=6 a.txt
ok "rl add unpacks an archive" rl add "$c" a.tgz /unpacked/
output_is "with its owners" "5:6 A" R "$c" sh -c 'echo $(stat -c %u:%g /unpacked/a.txt; cat /unpacked/a.txt)'
must_fail "a source that is not there" --stderr 'no such file' rl copy "$c" nosuch /x
must_fail "an owner that is not there" --stderr 'nosuch' rl copy --chown nosuch "$c" ctx/a.txt /x
must_fail "a container that is none" --stderr 'nosuch' rl copy nosuch ctx/a.txt /x

# --- config
ok "the configuration is changed" rl config --env 'PATH=$PATH:/opt' --env 'X=a "b" \c' --label 'l=$x y' --port 80 --port 53/udp --volume '/a b' --user 7:8 \
	--cmd 'prog "two words" $HOME' --entrypoint '["/e"]' --stop-signal INT --healthcheck '--interval=5s CMD true' --onbuild 'RUN true' --author me \
	--shell '/bin/ash -c' -c 'ENV Y=y' "$c"
output_is "commands run with it" '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt a "b" \c y 7 /work' R "$c" sh -c 'echo $PATH "$X" $Y $(id -u) $PWD'
must_fail "an instruction that is none" --stderr 'ENVV' rl config -c 'ENVV a=b' "$c"
must_fail "one that runs something" --stderr 'RUN' rl config -c 'RUN true' "$c"
must_fail "nothing to change" --stderr 'what' rl config "$c"
must_fail "a signal that is none" --stderr 'NOSUCH' rl config --stop-signal NOSUCH "$c"
ok "variables and labels are taken out" sh -c "rl config --env Z=1 --label z=1 $c && rl config --unsetenv Z --unsetlabel z $c"

# --- commit
ok "it becomes an image" rl commit "$c" scripted
is "with what was done" "$(R --rm --entrypoint cat -u 0 scripted /d/one /many/a.txt /many/b.txt | tr '\n' ' ')" "one A B "
is "Env" "$(config scripted Env)" '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt","X=a \"b\" \\c","Y=y"]'
is "Labels" "$(config scripted Labels)" '{"l":"$x y"}'
is "ExposedPorts" "$(config scripted ExposedPorts)" '{"80/tcp":{},"53/udp":{}}'
is "Cmd" "$(config scripted Cmd)" '["prog","two words","$HOME"]'
is "Entrypoint" "$(config scripted Entrypoint)" '["/e"]'
is "User and WorkingDir" "$(config scripted User) $(config scripted WorkingDir)" '"7:8" "/work"'
is "StopSignal" "$(config scripted StopSignal)" '"INT"'
is "Volumes" "$(config scripted Volumes)" '{"/a b":{}}'
is "Healthcheck" "$(config scripted Healthcheck)" '{"Test":["CMD-SHELL","true"],"Interval":5000000000}'
is "OnBuild" "$(config scripted OnBuild)" '["RUN true"]'
is "one layer on the base's" "$(rl inspect --type image --format '{{len .RootFS.Layers}}' scripted)" 2
like "the history says what was done" "$(rl history --no-trunc scripted)" 'RUN sh -c mkdir /d.*COPY.*ENV'
rl save --format oci-dir -o scripted.oci scripted 2>/dev/null
layer=$(for b in scripted.oci/blobs/sha256/*; do tar tf "$b" 2>/dev/null | grep -qE '^(\./)?srv/b.txt$' && echo "$b"; done)
ok "its layer is found" test -f "$layer"
is "nothing of the runtime is in it" "$(tar tf "$layer" | grep -E '(^|/)(proc|sys|dev|hosts|resolv.conf|ctx)/?$')" ""
ok "one can go on afterwards" R -u 0 "$c" sh -c 'echo two > /d/two'
ok "and commit again, with everything in one layer, and the container gone" rl commit --squash --rm "$c" scripted:2
is "which has it all" "$(R --rm --entrypoint cat -u 0 scripted:2 /d/one /d/two | tr '\n' ' ')" "one two "
is "one layer" "$(rl inspect --type image --format '{{len .RootFS.Layers}}' scripted:2)" 1
must_fail "the container is gone" rl config --user 1 "$c"

# --- scratch, names, what is busy
s=$(rl from scratch)
is "scratch is nothing" "$s" working-container
ok "files go into it" rl copy --from busybox "$s" /bin/busybox /bin/sh
output_is "and run" hi R "$s" /bin/sh -c 'echo hi'
rl config --cmd /bin/sh "$s" && rl commit "$s" fromscratch >/dev/null
output_is "the image is what was copied" hi sh -c 'echo echo hi | rl run -i --rm --network none fromscratch'
is "in one layer" "$(rl inspect --type image --format '{{len .RootFS.Layers}}' fromscratch)" 1
rl run --network none mine sh -c 'echo started; sleep 600' >busy.out 2>&1 &
pid=$!
ok "a command runs" wait_for "it" 30 grep -q started busy.out
must_fail "meanwhile the container is busy" --stderr 'runs' rl copy mine ctx/a.txt /x
kill -KILL $pid
wait $pid 2>/dev/null
ok "killed, it lets go" wait_for "the lock" 20 rl copy mine ctx/a.txt /x
rl run -d --name plain --network none busybox sleep 600 >/dev/null
must_fail "a container that is no working one is told from them" --stderr 'no working container' rl copy plain ctx/a.txt /x
rl rm -f plain >/dev/null
rl tag busybox mine >/dev/null
output_is "an image of the same name goes before a working container" "no such" R --rm mine sh -c 'test -e /x || echo no such'
ok "they are removed like any other" rl rm mine busybox-working-container-1 "$s"
leftovers "nothing is left"
done_testing
