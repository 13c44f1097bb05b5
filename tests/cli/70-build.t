#!/bin/bash
# rl build: instructions, stages, the cache, and what is said of mistakes. Nothing here needs a network.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

build() { rl build --network none --pull=never -q "$@"; }
run() { rl run --rm --network none "$@"; }
config() { rl inspect --type image --format "{{json .Config.$2}}" "$1" 2>/dev/null || rl inspect --format "{{json .Config.$2}}" "$1"; }

mkdir -p ctx/sub/deep ctx/.git && echo A >ctx/a.txt && echo B >ctx/sub/b.txt && echo D >ctx/sub/deep/d.txt &&
	echo secret >ctx/ignored.txt && echo x >ctx/.git/HEAD && ln -s a.txt ctx/link && ln -s /etc/passwd ctx/out &&
	echo 'ignored.txt
.git' >ctx/.dockerignore && chmod 640 ctx/sub/b.txt && touch -d 2001-02-03 ctx/a.txt

# --- a first image
cat >ctx/Dockerfile <<'END'
# a comment
FROM busybox AS base
ARG WHO=world
ENV GREETING="hello $WHO" SECOND=2
LABEL one=1 "two words"="a b"
WORKDIR /app/dir
COPY a.txt sub ./
COPY --chown=12:34 --chmod=751 a.txt /owned/
RUN echo "$GREETING $WHO" > out && \
    # in between
    id -u > id
RUN ["/bin/sh", "-c", "echo '$SECOND' > exec"]
EXPOSE 80 5000-5001/udp
VOLUME /data ["x"]
USER 7:8
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --retries=2 CMD true || false
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT cat
CMD ["/app/dir/out"]
END
ok "a Dockerfile is built" build -t first ctx
output_is "the shell form of RUN ran with ENV and ARG" "hello world world" run --entrypoint cat first /app/dir/out
output_is "as root" 0 run --entrypoint cat first /app/dir/id
output_is "the exec form had no shell" '$SECOND' run --entrypoint cat first /app/dir/exec
output_is "COPY of a directory copies what is in it" "a.txt b.txt deep exec id out" run --entrypoint sh first -c 'echo *'
output_is "--chown and --chmod are applied" "12:34 751" run --entrypoint stat first -c '%u:%g %a' /owned/a.txt
output_is "the rest belongs to root, with its mode" "0:0 640" run --entrypoint stat first -c '%u:%g %a' /app/dir/b.txt
output_is "and its time" 981158400 run --entrypoint stat -e TZ=UTC first -c %Y /owned/a.txt
is "ENV is in the config" "$(config first Env)" '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","GREETING=hello world","SECOND=2"]'
is "LABEL" "$(config first Labels)" '{"one":"1","two words":"a b"}'
is "EXPOSE" "$(config first ExposedPorts)" '{"80/tcp":{},"5000/udp":{},"5001/udp":{}}'
is "WORKDIR" "$(config first WorkingDir)" '"/app/dir"'
is "USER" "$(config first User)" '"7:8"'
is "STOPSIGNAL" "$(config first StopSignal)" '"SIGINT"'
is "ENTRYPOINT in shell form has the SHELL of its place" "$(config first Entrypoint)" '["/bin/sh","-ec","cat"]'
is "CMD" "$(config first Cmd)" '["/app/dir/out"]'
like "the history says what was done" "$(rl history --no-trunc first)" 'COPY --chown=12:34'
output_is "the image has nothing of the runtime in it" "" run --entrypoint sh first -c 'cd /; ls -d .dockerenv run/secrets 2>/dev/null; true'

# --- the cache
first=$(build ctx)
is "building again gives the very same image" "$(build ctx)" "$first"
touch ctx/a.txt
is "a new time of a file changes nothing" "$(build ctx)" "$first"
chmod 600 ctx/a.txt
isnt "a new mode does" "$(build ctx)" "$first"
chmod 644 ctx/a.txt
is "and the old one is known" "$(build ctx)" "$first"
echo AA >ctx/a.txt
second=$(build ctx)
isnt "new bytes change the image" "$second" "$first"
like "--explain says which step" "$(rl build --network none --explain ctx)" 'cached +RUN echo'
isnt "--no-cache does every step" "$(build --no-cache ctx)" "$second"
ok "a build argument changes what uses it" build --build-arg WHO=you -t you ctx
output_is "and only that" "hello you you" run --entrypoint cat you /app/dir/out
build --build-arg WOH=you --build-arg BUILDKIT_INLINE_CACHE=1 --build-arg http_proxy= --build-arg WHO ctx >/dev/null 2>args.log
is "one that no ARG takes is warned of, and no other" "$(grep -c 'warning.*--build-arg' args.log) $(grep -c -e '--build-arg WOH: ' args.log)" "1 1"
is "times given make all bytes the same" "$(build --no-cache --timestamp 1000000000 ctx)" "$(build --no-cache --timestamp 1000000000 ctx)"
ok "--verify says so" build --verify ctx
ok "the cache is forgotten on demand" rl builder prune
like "and then the steps are new" "$(rl build --network none --explain ctx)" 'not built before +WORKDIR'
build -t first ctx >/dev/null

# --- stages
cat >stages <<'END'
ARG BASE=busybox
FROM ${BASE} AS one
RUN echo one > /one
FROM nosuch/image AS unused
RUN false
FROM one AS two
RUN echo two > /two
FROM scratch
COPY --from=two /one /two /
COPY --from=0 /bin/busybox /bin/
COPY --from=busybox /bin/sh /bin/sh
ENTRYPOINT ["/bin/busybox"]
END
ok "stages are built, those nobody needs are not" build -f stages -t stages ctx
output_is "COPY --from takes files of stages and images" "one two" run stages sh -c 'echo $(busybox cat /one /two)'
ok "--target stops at a stage" build -f stages --target one -t one ctx
output_is "which has what it did" one run one cat /one
must_fail "a target that is none is refused, the nearest named" --stderr 'did you mean one' rl build -f stages --target onee ctx
ok "FROM scratch needs no shell" sh -c 'printf "FROM scratch\nCOPY a.txt /\n" | rl build -q -f - -t scr ctx'

# --- here-documents, ADD, ignore files, links
tar -C ctx/sub -czf ctx/sub.tar.gz --owner=5 --group=6 b.txt deep
cat >heredoc <<'END'
FROM busybox
ENV V=value
RUN <<EOF
echo first > /x
echo "$V" >> /x
EOF
RUN <<"EOF" cat > /y
$V
EOF
RUN <<EOF
#!/bin/sh -e
echo "$0" > /z
EOF
COPY <<one <<"two" /h/
a $V
one
a $V
two
ADD sub.tar.gz /unpacked/
ADD --chmod=600 a.txt /a
COPY sub.tar.gz /plain/
COPY --parents sub/deep/d.txt /parents/
COPY --exclude=deep sub /noexclude/
COPY link /link
COPY [ "a.txt", "/json name" ]
COPY a.tx? su[b] /glob/
END
ok "here-documents, archives and patterns" build -f heredoc -t heredoc ctx
output_is "a script is run by the shell" "first value" run heredoc sh -c 'echo $(cat /x)'
output_is "a command gets one as its input" '$V' run heredoc cat /y
output_is "a script with an interpreter of its own is executed" /dev/rl-script run heredoc cat /z
output_is "COPY writes them, expanded unless quoted" 'a value a $V' run heredoc sh -c 'echo $(cat /h/one /h/two)'
output_is "ADD unpacks an archive with its owners" "5:6 D" run heredoc sh -c 'echo $(stat -c %u:%g /unpacked/b.txt; cat /unpacked/deep/d.txt)'
output_is "COPY does not" sub.tar.gz run heredoc ls /plain
output_is "--parents keeps the path" D run heredoc cat /parents/sub/deep/d.txt
output_is "--exclude leaves out" b.txt run heredoc ls /noexclude
output_is "a symlink that is named is followed" AA run heredoc cat /link
output_is "the JSON form takes blanks" AA run heredoc cat "/json name"
output_is "patterns are matched" "a.txt b.txt deep" run heredoc sh -c 'cd /glob; echo *'
must_fail "what the ignore file names cannot be copied" --stderr 'ignore file' sh -c 'printf "FROM scratch\nCOPY ignored.txt /\n" | rl build -q -f - ctx'
printf 'FROM busybox\nCOPY . /all/\nRUN ls -a /all > /list\n' >all
ok "a whole context" build -f all -t all ctx
unlike "is copied without what is ignored" "$(run all cat /list)" 'ignored|git'
must_fail "a symlink does not lead out of the context" --stderr 'no such' sh -c 'printf "FROM scratch\nCOPY out /\n" | rl build -q -f - ctx'
must_fail "nor do dots" --stderr 'no such' sh -c 'printf "FROM scratch\nCOPY ../../../etc/passwd /\n" | rl build -q -f - ctx'

# --- mistakes
say() { printf "$1" | rl build -q --network none -f - ctx; }
must_fail "an unknown instruction is shown with a caret and the nearest" --stderr 'RUNN x.*\^\^\^\^.*did you mean RUN' say 'FROM busybox\nRUNN x\n'
must_fail "a mistake far below is found before anything runs" --stderr ':3: ' say 'FROM busybox\nRUN echo ran >/dev/null\nCOPY --chmod=rw a /\n'
must_fail "a file that is missing is named" --stderr 'nofile.*no such' say 'FROM scratch\nCOPY nofile /\n'
must_fail "a command that fails gives its status" --status 7 --stderr 'exit 7' say 'FROM busybox\nRUN echo said; exit 7\n'
like "and what it wrote is shown" "$TAP_STDERR" said
must_fail "a stage that comes later cannot be copied from" --stderr 'later' say 'FROM scratch AS a\nCOPY --from=b /x /\nFROM scratch AS b\nCOPY --from=a / /\n'
must_fail "nor the stage itself" --stderr 'itself' say 'FROM scratch AS a\nCOPY --from=a /x /\n'
must_fail "a file without FROM is refused" --stderr 'FROM' say 'RUN x\n'
must_fail "several sources need a directory" --stderr 'directory' say 'FROM scratch\nCOPY a.txt link /x\n'
must_fail "an unknown flag of COPY is refused" --stderr 'no flag' say 'FROM scratch\nCOPY --frm=x a /\n'
must_fail "a missing Dockerfile is an error" --stderr 'Containerfile' rl build -q ctx/sub
must_fail "a name that is none is refused first" --stderr 'lower case' rl build -t UPPER ctx
is "nothing is left in tmp/" "$(ls "$RL_ROOT/tmp")" ""
is "and no container" "$(ls "$RL_ROOT/containers")" ""
leftovers "no process and no mount is left"
done_testing
