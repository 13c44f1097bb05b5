#!/bin/bash
# Builds where little is given: one user id, no network, inside a container; secrets in every one of them; what a terminal
# shows; --jobs.
# deadline: 300
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

build() { rl build --network none --pull=never -q "$@"; }
mkdir -p ctx/d && echo A >ctx/a && echo B >ctx/d/b && chmod 640 ctx/a
cat >ctx/Dockerfile <<'END'
FROM busybox AS one
RUN mkdir /made && echo made > /made/file && chmod 700 /made
FROM busybox
COPY --chown=5:6 . /c/
RUN echo "$(id -u):$(id -g)" > /ids && ln -s /ids /link && chmod 4755 /c/d/b
COPY --from=one /made /made
WORKDIR /w
USER 7
RUN id -u > /tmp/user 2>/dev/null || true
END
tree() { rl save --format oci-dir -o "$1" "$2" 2>/dev/null && python3 - "$1" <<'PY'
import io, json, sys, tarfile
d = sys.argv[1]
blob = lambda x: open(d + "/blobs/" + x.replace(":", "/"), "rb").read()
m = json.loads(blob(json.load(open(d + "/index.json"))["manifests"][0]["digest"]))
for l in m["layers"][1:]:
    for t in tarfile.open(fileobj=io.BytesIO(blob(l["digest"]))):
        print(t.name, oct(t.mode), t.uid, t.gid, t.linkname, t.size)
PY
}

# --- one id
ok "with many ids" build -t many ctx
(
	export RL_IDMAP=single RL_ROOT=$T/single
	rl build --network none --pull=never -q -t one ctx >"$T/one.id" 2>"$T/one.err" && tree "$T/one.oci" one >"$T/one.tree"
)
tree many.oci many >many.tree
ok "with a single user id it is built as well" test -s one.tree
is "with the same names and modes" "$(awk '{ print $1, $2, $5, $6 }' one.tree)" "$(awk '{ print $1, $2, $5, $6 }' many.tree)" || diag "$(cat one.err)"

# --- no network: no device, no route, nothing but loopback
if unshare -Urn true 2>/dev/null; then
	ok "without any network, RUN with the default network included" unshare -Urn --map-auto rl --root "$T/nonet" build -q --pull=never ctx
	remove_tree "$T/nonet"
else
	skip "without any network" "user namespaces cannot be made here"
fi

# --- inside a container of rl: the tools come from this machine, the store is the container's own
inside() {
	rl run --rm --network none --security-opt unmask=ALL --security-opt seccomp=unconfined -v "$RL_TEST_PREFIX:$RL_TEST_PREFIX:ro" -v /usr:/usr:ro \
		--mount type=bind,src=/usr/lib64,dst=/lib64,ro --mount type=bind,src=/usr/lib,dst=/lib,ro -v "$T/ctx:/ctx:ro" \
		-e "PATH=$PATH" -e RL_ROOT=/store "$@"
}
ok "a build inside a container of rl, its store on a volume" inside -v inner:/store busybox /usr/bin/bash -c \
	'rl build --network none --pull=never -q -t in /ctx && rl run --rm --network none in cat /made/file | grep -qx made && rl build --network none --explain /ctx | grep -q "cached  *RUN"'
rl volume rm inner >/dev/null
cat >inmemory <<'END'
FROM busybox
RUN mkdir /d && echo 1 >/d/f && chown 33:34 /d/f && ln -s f /d/l && chown -h 5 /d/l && chmod 4750 /d/f
RUN cat /d/f >>/etc/passwd && chmod 700 /d && mkdir -p /usr/sbin/e && cp -a /d /usr/sbin/e
RUN test "$(stat -c %u /usr/sbin/e/d/f)" = 33 && tail -n 1 /etc/passwd >/last
END
layers='{{range .RootFS.Layers}}{{.}} {{end}}'
RL_IDMAP=single rl build --network none --pull=never -q --timestamp 1000 -t inmemory -f inmemory ctx >/dev/null 2>inmemory.err
want=$(rl inspect -f "$layers" inmemory)
like "a build to compare with" "$want" '^sha256:[0-9a-f]+ sha256' || diag "$(cat inmemory.err)"
is "where the store cannot hold a layer RUN writes to memory, and its layers are the same" "$(inside -v "$T/inmemory:/inmemory:ro" busybox /usr/bin/bash -c \
	"rl build --network none --pull=never -q --timestamp 1000 -t m -f /inmemory /ctx >/dev/null && rl inspect -f '$layers' m" 2>inmemory.err)" "$want" || diag "$(cat inmemory.err)"
must_fail "one that removes something of the image says what the store cannot hold, and what helps" --stderr 'cannot hold that something was removed.*(volume|--root)' inside busybox /usr/bin/bash -c \
	"printf 'FROM busybox\\nRUN rm /bin/vi\\n' | rl build --network none --pull=never -q -f - /ctx"
output_is "COPY works there too, through memory" "$(cat ctx/a)" inside busybox /usr/bin/bash -c \
	"printf 'FROM busybox\\nCOPY a /a\\n' | rl build --network none --pull=never -q -t copied -f - /ctx >/dev/null && rl run --rm --network none copied cat /a"

# --- secrets: nowhere in the whole store, whatever became of the build
canary=CANARY-$RANDOM$RANDOM-$RANDOM
printf '%s' "$canary" >secret
absent() { ! grep -rlqF -- "$canary" "$RL_ROOT" log* 2>/dev/null; }
cat >secrets <<'END'
FROM busybox AS s
RUN --mount=type=secret,id=f cat /run/secrets/f > /dev/null && echo 1 > /1
RUN --mount=type=secret,id=f,target=/etc/deep/er/token,mode=0444 test -s /etc/deep/er/token && cp -r /etc /etc2 2>/dev/null; rm -rf /etc2
RUN --mount=type=secret,id=e,env=TOKEN test -n "$TOKEN" && echo 2 > /2
RUN --mount=type=secret,id=f --mount=type=cache,target=/cache cat /run/secrets/f | wc -c > /cache/size
ARG WAIT
RUN --mount=type=secret,id=f --mount=type=secret,id=e,env=TOKEN sh -c "echo rea\"\"dy; $WAIT"
END
give=(--secret "id=f,src=$T/secret" --secret id=e,env=GIVEN)
export GIVEN=$canary
for how in "" --squash "--cache-to=type=local,dest=$T/given" --keep-failed "--timestamp=0" "--logfile=log1"; do
	ok "built ${how:-plainly}" rl build --network none --pull=never --no-cache -f secrets "${give[@]}" $how --build-arg WAIT=true ctx
done
ok "nothing in the store, its cache, containers, records or logs holds the secret" absent
not_ok "nor what was given away" grep -rqF -- "$canary" given
must_fail "a step that fails" --status 5 rl build -q --network none -f secrets "${give[@]}" --build-arg 'WAIT=exit 5' ctx
must_fail "and one that is kept" --status 5 rl build -q --network none --keep-failed -f secrets "${give[@]}" --build-arg 'WAIT=exit 5' ctx
ok "leave nothing of it" absent
kept=$(rl ps -aq | head -1)
unlike "the record of the kept one has it not" "$(rl inspect "$kept")" "$canary"
rl rm -f "$kept" >/dev/null
for signal in KILL TERM; do
	rl build --network none --progress plain -f secrets "${give[@]}" --build-arg 'WAIT=sleep 600' ctx >killed 2>&1 &
	pid=$!
	ok "a step that has it runs" wait_for "the step" 60 grep -q '^ready' killed
	kill -$signal $pid
	wait $pid 2>/dev/null
	ok "after SIG$signal nothing is left of it" absent
done
ok "the processes are gone" wait_for "their end" 20 sh -c '! pgrep -u "$(id -u)" -f "[s]leep 600"'

# --- ssh: the agent is there for the step and nowhere else
if have ssh-agent; then
	eval "$(ssh-agent -s -a "$T/agent")" >/dev/null
	on_finish "kill $SSH_AGENT_PID 2>/dev/null"
	ok "an agent is given to a step that asks" rl build -q --network none --ssh default -f - ctx <<'END'
FROM busybox
RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo "$SSH_AUTH_SOCK" > /sock
RUN test -z "$SSH_AUTH_SOCK" && test ! -e "$(cat /sock)"
END
	ok "by its name and to another place" rl build -q --network none --ssh "mine=$T/agent" -f - ctx <<'END'
FROM busybox
RUN --mount=type=ssh,id=mine,target=/a,required test -S /a
END
	must_fail "one that is required and not given" --stderr 'required' rl build -q --network none -f - ctx <<'END'
FROM busybox
RUN --mount=type=ssh,id=other,required true
END
	kill "$SSH_AGENT_PID"
	wait_for "the agent's end" 10 sh -c "! kill -0 $SSH_AGENT_PID"
else
	skip "an agent is given to a step" "ssh-agent is not installed"
fi

# --- a terminal
if have tmux; then
	cat >slow <<'END'
FROM busybox AS a
RUN echo first line; echo "last line of a"; while [ ! -e /go/a ]; do sleep 0.1; done
FROM busybox AS b
RUN printf 'from b \033[31mred\033[0m\n'; while [ ! -e /go/a ]; do sleep 0.1; done; echo why it failed; exit 3
FROM scratch
COPY --from=a /etc/passwd /
COPY --from=b /etc/group /
END
	mkdir go
	screen() { tmux -L "rl$$" capture-pane -p -t t 2>/dev/null; }
	tmux -L "rl$$" -f /dev/null new-session -d -s t -x 100 -y 30 "TERM=screen rl build --network none --jobs 2 -v $T/go:/go -f slow ctx; echo ended with \$?; sleep 600"
	on_finish "tmux -L rl$$ kill-server 2>/dev/null"
	shows() { screen | grep -qE -- "$1"; }
	ok "a line for each running step, with its time and the last line it wrote" wait_for "two lines" 30 sh -c "tmux -L rl$$ capture-pane -p -t t | grep -qE '^ +[0-9.]+s \[a 1/1\] RUN .*> last line of a' && tmux -L rl$$ capture-pane -p -t t | grep -qE '^ +[0-9.]+s \[b 1/1\] RUN .*> from b'" || diag "$(screen)"
	not_ok "which cannot colour the terminal" shows $'\033'
	first=$(screen | grep -oE '^ +[0-9.]+s \[a' | head -1)
	ok "the time goes on" wait_for "another time" 10 sh -c "[ \"\$(tmux -L rl$$ capture-pane -p -t t | grep -oE '^ +[0-9.]+s \[a' | head -1)\" != '$first' ]"
	touch go/a
	ok "the last lines of the one that fails" wait_for "the end" 30 sh -c "tmux -L rl$$ capture-pane -p -t t | grep -q 'ended with 3'" || diag "$(screen)"
	ok "are shown" shows '^ +\| why it failed'
	ok "with the place in the Dockerfile" shows '^ +4 \| RUN printf'
	is "and no live line stays" "$(screen | grep -c '^ *[0-9.]*s \[.*> ')" 0
	tmux -L "rl$$" kill-server
else
	skip "a terminal shows what runs" "tmux is not installed"
fi

# --- stages beside each other: both run at the same time, which each of them sees
cat >beside <<'END'
FROM busybox AS a
RUN touch /go/in-a; for i in $(seq 600); do [ -e /go/in-b ] && break; sleep 0.05; done; test -e /go/in-b && echo a > /a
FROM busybox AS b
RUN touch /go/in-b; for i in $(seq 600); do [ -e /go/in-a ] && break; sleep 0.05; done; test -e /go/in-a && echo b > /b
FROM scratch
COPY --from=a /a /
COPY --from=b /b /
END
rm -rf go && mkdir go
ok "stages that do not wait for each other are done at once" build --jobs 2 -v "$PWD/go:/go" -f beside ctx
cat >after <<'END'
FROM busybox AS a
RUN mkdir /go/lock && sleep 0.3 && rmdir /go/lock && echo a > /a
FROM busybox AS b
RUN mkdir /go/lock && sleep 0.3 && rmdir /go/lock && echo b > /b
FROM scratch
COPY --from=a /a /
COPY --from=b /b /
END
ok "--jobs 1 does one step at a time" build --jobs 1 -v "$PWD/go:/go" -f after ctx
leftovers "nothing is left"
is "and nothing in tmp/" "$(rl ps -a >/dev/null; ls "$RL_ROOT/tmp")" ""
done_testing
