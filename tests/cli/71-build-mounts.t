#!/bin/bash
# RUN --mount, secrets that leave no trace, contexts and outputs of every kind.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

build() { rl build --network none --pull=never -q "$@"; }
run() { rl run --rm --network none "$@"; }
# One line per step of a Dockerfile given as text.
text() { local t=$1; shift; printf "$t" >"$T/text.dockerfile"; build -f "$T/text.dockerfile" "$@"; }

mkdir -p ctx/dir && echo A >ctx/a.txt && echo B >ctx/dir/b.txt && mkdir -p ctx/evil && ln -s / ctx/evil/root

# --- mounts
cat >mounts <<'END'
FROM busybox AS one
RUN mkdir -p /made/deep && echo made > /made/deep/file
FROM busybox
RUN --mount=type=bind,target=/ctx cat /ctx/dir/b.txt > /from-context
RUN --mount=type=bind,source=dir,target=/ctx,rw echo lost > /ctx/new && cat /ctx/new > /from-rw
RUN --mount=type=bind,source=a.txt,target=/file cat /file > /from-file
RUN --mount=from=one,source=/made/deep,target=/stage cat /stage/file > /from-stage
RUN --mount=from=one,source=/made/deep/file,target=/stagefile cat /stagefile > /from-stage-file
RUN --mount=from=busybox,target=/image test -x /image/bin/busybox && echo image > /from-image
RUN --mount=type=tmpfs,target=/scratch,size=1m echo x > /scratch/x && grep -q /scratch /proc/mounts
RUN --mount=type=bind,target=/ro sh -c '! echo x > /ro/x' 2>/dev/null
END
ok "binds of the context, of stages and images, and tmpfs" build -f mounts -t mounts ctx
output_is "each showed what it should" "B lost A made made image" run mounts sh -c 'echo $(cat /from-context /from-rw /from-file /from-stage /from-stage-file /from-image)'
output_is "no mount point is left in the image" "" run mounts sh -c 'cd /; ls -d ctx file stage stagefile image scratch ro 2>/dev/null; true'
not_ok "what was written into a bind is thrown away" test -e ctx/dir/new
must_fail "a bind cannot lead out of the context" text 'FROM busybox\nRUN --mount=type=bind,source=evil/root/etc/passwd,target=/x cat /x\n' ctx
must_fail "nor by dots" text 'FROM busybox\nRUN --mount=type=bind,source=../../../etc,target=/x cat /x/passwd\n' ctx
must_fail "a mount on the root is refused" --stderr 'root' text 'FROM busybox\nRUN --mount=type=tmpfs,target=/ true\n' ctx
must_fail "an unknown option is named" --stderr 'propagation' text 'FROM busybox\nRUN --mount=type=bind,target=/x,propagation=shared true\n' ctx
ok "a bind through a symlink of the image stays inside" text 'FROM busybox\nRUN ln -s /etc /lnk\nRUN --mount=type=bind,target=/lnk/../lnk/sub true\n' ctx

ok "a cache is filled" text 'FROM busybox\nRUN --mount=type=cache,target=/c echo 1 >> /c/log; true\n' ctx
ok "and there again in another build" text 'FROM busybox\nRUN --mount=type=cache,target=/c echo 2 >> /c/log; cp /c/log /log\n' -t cache ctx
output_is "with what was in it" "1 2" run cache sh -c 'echo $(cat /log)'
output_is "but not in the image" "" run cache sh -c 'ls /c 2>/dev/null; true'
ok "a locked cache is used by one step at a time" text 'FROM busybox AS a\nRUN --mount=type=cache,id=l,sharing=locked,target=/c for i in 1 2 3 4 5; do test ! -e /c/busy && touch /c/busy && sleep 0.05 && rm /c/busy || exit 1; done\nFROM busybox AS b\nRUN --mount=type=cache,id=l,sharing=locked,target=/c for i in 1 2 3 4 5; do test ! -e /c/busy && touch /c/busy && sleep 0.05 && rm /c/busy || exit 1; done; echo b > /b\nFROM scratch\nCOPY --from=a /etc/passwd /\nCOPY --from=b /b /\n' ctx
ok "a cache may have an owner and a mode" text 'FROM busybox\nRUN --mount=type=cache,id=o,target=/o,uid=7,gid=8,mode=0700 test "$(stat -c %%u:%%g:%%a /o)" = 7:8:700\n' ctx

# --- secrets: nowhere but in the step
canary=CANARY-$RANDOM-$RANDOM-$RANDOM
echo "$canary" >"$T/secret.txt"
absent() { ! grep -rqF "$canary" "$RL_ROOT" 2>/dev/null; }
ok "a secret is a file of the step" text 'FROM busybox\nRUN --mount=type=secret,id=s grep -q CANARY /run/secrets/s && stat -c %%u:%%a /run/secrets/s > /mode\n' --secret "id=s,src=$T/secret.txt" -t secret ctx
output_is "that only root can read" 0:400 run secret cat /mode
ok "or where and how it is asked for" text 'FROM busybox\nRUN --mount=type=secret,id=s,target=/etc/token,mode=0444,uid=5 stat -c %%u:%%a /etc/token | grep -qx 5:444\n' --secret "id=s,src=$T/secret.txt" ctx
ok "or a variable" env TOKEN="$canary" rl build -q --network none --secret id=t,env=TOKEN -f - ctx <<'END'
FROM busybox
RUN --mount=type=secret,id=t,env=MINE test -n "$MINE" && test "${MINE#CANARY}" != "$MINE"
END
ok "no trace of it is in the store" absent
output_is "nor in the image" "" run secret sh -c 'ls /run/secrets 2>/dev/null; true'
must_fail "a step that fails with it" --status 3 text 'FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s >/dev/null; exit 3\n' --secret "id=s,src=$T/secret.txt" ctx
ok "leaves none either" absent
before=$(text 'FROM busybox\nRUN --mount=type=secret,id=s echo x > /x\n' --secret "id=s,src=$T/secret.txt" ctx)
echo other >"$T/secret2.txt"
is "its value is no part of the key" "$(text 'FROM busybox\nRUN --mount=type=secret,id=s echo x > /x\n' --secret "id=s,src=$T/secret2.txt" ctx)" "$before"
must_fail "one that is required and missing is named" --stderr 'secret .*s' text 'FROM busybox\nRUN --mount=type=secret,id=s,required true\n' ctx
ok "one that is not required may be missing" text 'FROM busybox\nRUN --mount=type=secret,id=s test ! -e /run/secrets/s\n' ctx
must_fail "a file that is not there is said at once" --stderr 'No such' build --secret id=s,src=/nonexistent -f mounts ctx
printf 'FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null; echo rea""dy; sleep 600\n' >slow
rl build --network none --progress plain --secret "id=s,src=$T/secret.txt" -f slow ctx >slow.out 2>&1 &
pid=$!
ok "a build with a secret runs" wait_for "the step" 60 grep -q ready slow.out
kill -KILL $pid
wait $pid 2>/dev/null
ok "killed with SIGKILL it leaves no trace of the secret" absent
leftovers "and no process and no mount"
ok "the next command cleans up" rl ps -a
rl build -q --network none -f mounts ctx >/dev/null
is "so that nothing is left in tmp/" "$(ls "$RL_ROOT/tmp")" ""

# --- proxies, users, directories
ok "proxies need no ARG and are in no history" text 'FROM busybox\nRUN test "$HTTP_PROXY" = "http:/""/p"\n' --build-arg HTTP_PROXY=http://p -t proxy ctx
unlike "nor in the config" "$(rl inspect proxy; rl history --no-trunc proxy)" 'http://p'
ok "USER and WORKDIR hold for RUN" text 'FROM busybox\nWORKDIR /w\nRUN chmod 777 .\nUSER 12:13\nRUN test "$(id -u):$(id -g):$PWD" = 12:13:/w && touch mine\n' -t user ctx
output_is "and for what it makes" 12:13 run -u 0 user stat -c %u:%g /w/mine
ok "a step without changes makes no layer" sh -c 'printf "FROM busybox\nRUN true\nRUN true\n" | rl build -q --network none -t none -'
is "so the image has the base's layers" "$(rl inspect --format '{{len .RootFS.Layers}}' none)" 1

# --- contexts and outputs
tar -C ctx -cf ctx.tar a.txt dir && gzip -kn ctx.tar
printf 'FROM scratch\nCOPY a.txt dir /\n' >ctx/Dockerfile
tar -C ctx -czf whole.tar.gz .
want=$(build --timestamp 0 ctx)
is "an archive is a context" "$(build --timestamp 0 whole.tar.gz)" "$want"
is "standard input too" "$(build --timestamp 0 - <whole.tar.gz)" "$want"
output_is "a Dockerfile alone may come that way" hi sh -c 'printf "FROM busybox\nRUN echo hi > /hi\n" | rl build -q --network none -t hi - >/dev/null && rl run --rm --network none hi cat /hi'
must_fail "then there is nothing to copy" --stderr 'no context' sh -c 'printf "FROM scratch\nCOPY a /\n" | rl build -q -'
ok "another context has a name" text 'FROM scratch\nCOPY --from=more b.txt /\n' --build-context more=ctx/dir -t more ctx
if have git; then
	git -C "$T" init -q repo && cp -r ctx/. repo && git -C repo add -f . && git -C repo -c user.name=x -c user.email=x commit -qm x
	is "a repository is one" "$(build --timestamp 0 "file://$T/repo/.git" 2>/dev/null || build --timestamp 0 "$T/repo/.git#HEAD")" "$want"
else
	skip "a repository is one" "git is not installed"
fi
ok "files are written to a directory" build -o out ctx
output_is "as they are" "A B" sh -c 'echo $(cat out/a.txt out/b.txt)'
ok "or as a tar" build -o type=tar,dest=out.tar ctx
like "with the same names" "$(tar tf out.tar | sort | tr '\n' ' ')" 'a.txt.*b.txt'
ok "or as an image archive" build -o type=oci,dest=out.oci -t outimage ctx
ok "which can be loaded" rl load -i out.oci
must_fail "an unknown type is refused before anything is done" --stderr 'local' build -o type=foo,dest=x ctx
ok "the id goes to a file" build --iidfile id --metadata-file meta ctx
is "as it is printed" "$(cat id)" "$(build ctx)"
like "the metadata too" "$(cat meta)" 'containerimage.config.digest'
is "labels of the command line are in the config" "$(build --label a=b --label c ctx >/dev/null; rl inspect --format '{{json .Config.Labels}}' "$(build --label a=b --label c ctx)")" '{"a":"b","c":""}'

# --- failures that are kept
printf 'FROM busybox\nRUN echo one > /one\nRUN echo two > /two; exit 4\n' >fails
must_fail "a failed step can be kept" --status 4 --stderr 'kept as container' rl build --network none --keep-failed -f fails ctx
kept=$(rl ps -aq)
is "as a container" "$(rl ps -aq | wc -l)" 1 || diag "$(rl ps -a --no-trunc; ls -la "$RL_ROOT"/containers/*)"
status_is "that runs the step again" 4 rl start -a "$kept"
ok "and can be removed" rl rm "$kept"

# --- ONBUILD
ok "an image may bring instructions" text 'FROM busybox\nONBUILD COPY a.txt /triggered\nONBUILD RUN cat /triggered > /ran\n' -t trigger ctx
ok "for the images built on it" text 'FROM trigger\nRUN test -e /ran\n' -t triggered ctx
output_is "which do them first" A run triggered cat /ran
is "and do not pass them on" "$(rl inspect --format '{{json .Config.OnBuild}}' triggered)" null
done_testing
