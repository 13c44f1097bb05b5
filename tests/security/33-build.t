#!/bin/bash
# What Dockerfiles, contexts and base images have done to other builders, tried here. The number of each is in its line.
# deadline: 300
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

build() { rl build --network none --pull=never -q "$@"; }
text() { local t=$1; shift; printf "$t" >"$T/text.dockerfile"; build -f "$T/text.dockerfile" "$@"; }
mkdir -p ctx/dir outside && echo HOSTSECRET >outside/secret && echo A >ctx/a && ln -s "$T/outside" ctx/abs && ln -s ../outside ctx/up &&
	ln -s /proc/self/root ctx/magic && ln -s /proc/self/cwd ctx/cwd && ln -s /proc/1/root ctx/one
untouched() { [ "$(cat outside/secret; ls outside)" = "HOSTSECRET
secret" ]; }

# --- sources of RUN --mount=type=bind (CVE-2024-1753): symlinks, absolute paths, dots, magic links
for source in abs up magic cwd one abs/secret ../outside ../../../../../../../../etc magic/etc dir/../../outside "$T/outside"; do
	must_fail "CVE-2024-1753: bind of $(basename "$source") of the context stays inside" \
		text "FROM busybox\nRUN --mount=type=bind,source=$source,target=/m,rw grep -rq . /m/ && echo x > /m/written\n" ctx
done
for source in abs up magic cwd one abs/secret up/secret magic/etc/passwd; do
	must_fail "CVE-2024-1753: a read-only bind of $source of the context stays inside" \
		text "FROM busybox\nRUN --mount=type=bind,source=$source,target=/m grep -rq . /m\n" ctx
done
for how in rw ro; do
	ok "while $how binds of what is there work" text "FROM busybox\nRUN --mount=type=bind,source=dir,target=/m,$how ls /m\n" ctx
done
cat >evil <<END
FROM busybox
RUN ln -s $T/outside /abs; ln -s /proc/self/root /magic; ln -s ../../../../../../../../../..$T/outside /up; ln -s / /root2
END
build -t evil -f evil ctx >/dev/null
for source in /abs /up /magic$T/outside /root2$T/outside; do
	must_fail "CVE-2024-1753: bind of $(echo "$source" | cut -c1-7) of an image stays inside" \
		text "FROM busybox\nRUN --mount=type=bind,from=evil,source=$source,target=/m,rw test -e /m/secret\n" ctx
done
for target in /abs/x /up /magic/tmp/rl-evil /root2/../../x; do
	text "FROM evil\nRUN --mount=type=tmpfs,target=$target echo x > $target/written\n" ctx >/dev/null 2>&1
done
ok "CVE-2024-1753: targets through symlinks of the image are resolved inside it" untouched
not_ok "and nothing is made on this machine" test -e /tmp/rl-evil
ok "CVE-2024-1753: -v onto a symlink of the image too" sh -c "rl build -q --network none -v $T/ctx:/abs -f - ctx <<'X'
FROM evil
RUN ls /abs > /dev/null
X
[ \"\$(ls outside)\" = secret ]"

# --- options of mounts (CVE-2024-9407, CVE-2024-11218)
for option in bind-propagation=shared propagation=rshared rshared shared exec suid dev U z Z relabel=shared mode=0999 uid=-1 sharing=yes type=devpts type=overlay ro=maybe size=-1 required=2; do
	must_fail "CVE-2024-9407: the option $option is refused" --stderr '\-\-mount' text "FROM busybox\nRUN --mount=type=cache,target=/m,$option true\n" ctx
done
output_is "CVE-2024-9407: what a step mounts is not seen outside" "" sh -c "printf 'FROM busybox\nRUN --mount=type=bind,target=/m,rw true\n' | rl build -q --network none -f - ctx >/dev/null; grep -F '$T' /proc/self/mountinfo; true"

# --- caches (CVE-2024-9675, CVE-2024-11218, CVE-2024-23651)
for id in ../../../../outside "$T/outside" . .. a/b '*' "$(printf 'x%.0s' $(seq 300))"; do
	text "FROM busybox\nRUN --mount=type=cache,target=/m,id=$id echo x > /m/written\n" ctx >/dev/null 2>&1
done
ok "CVE-2024-9675: the id of a cache is no path" untouched
must_fail "CVE-2024-9675: a source of a cache does not lead out of it" text "FROM busybox\nRUN --mount=type=cache,target=/m,source=../../../../../..$T/outside test -e /m/secret\n" ctx
text "FROM busybox\nRUN --mount=type=cache,target=/m,id=s ln -s $T/outside /m/link; ln -s / /m/all\n" ctx >/dev/null
must_fail "CVE-2024-23651: nor by a symlink another build has left there" text "FROM busybox\nRUN --mount=type=cache,target=/m,id=s,source=link test -e /m/secret\n" ctx
must_fail "CVE-2024-23651: nor by one to everything" text "FROM busybox\nRUN --mount=type=cache,target=/m,id=s,source=all$T/outside test -e /m/secret\n" ctx
cat >race <<END
FROM busybox AS swap
RUN --mount=type=cache,target=/m,id=race mkdir -p /m/d; end=\$((\$(date +%s) + 4)); while [ \$(date +%s) -lt \$end ]; do rm -rf /m/s; ln -s $T/outside /m/s; rm -rf /m/s; mkdir /m/s; done; echo 1 > /done
FROM busybox AS take
END
for i in $(seq 25); do echo "RUN --mount=type=cache,target=/m,id=race,source=s if [ -e /m/secret ]; then echo LEAK > /leak; fi; echo x > /m/w$i; true" >>race; done
printf 'FROM scratch\nCOPY --from=swap /done /\nCOPY --from=take /etc/passwd /\n' >>race
for i in 1 2 3; do build --jobs 4 --no-cache -f race ctx >/dev/null 2>&1; done
ok "CVE-2024-11218, CVE-2024-23651: a source swapped by a stage beside it leads nowhere else" untouched

# --- stubs of mount points (CVE-2024-23652): what was made for a mount is removed without following anything
cat >stubs <<END
FROM busybox
RUN --mount=type=bind,target=/p/q/r/s,source=dir rm -rf /p 2>/dev/null; mv /p /old 2>/dev/null; ln -s $T/outside /p; true
RUN --mount=type=tmpfs,target=/t/u rmdir /t/u 2>/dev/null; true
END
text "$(sed 's/%/%%/g' stubs)\n" -t stubs ctx >/dev/null 2>&1
ok "CVE-2024-23652: mount points replaced by symlinks remove nothing" untouched

# --- contexts (CVE-2025-4953, CVE-2026-28406) and what a Dockerfile may ask for (CVE-2024-23653, CVE-2026-33747)
must_fail "CVE-2025-4953: a bind of the context cannot be written without rw" text 'FROM busybox\nRUN --mount=type=bind,target=/m echo x > /m/new\n' ctx
text 'FROM busybox\nRUN --mount=type=bind,target=/m,rw echo x > /m/new; rm /m/a\n' ctx >/dev/null
ok "CVE-2025-4953: with rw it is not written either" sh -c 'test ! -e ctx/new && test -e ctx/a'
is "CVE-2025-4953: nothing of it stays" "$(find "$RL_ROOT/tmp" "$RL_ROOT/containers" -mindepth 1 | wc -l)" 0
python3 - "$T" <<'END'
import io, sys, tarfile
T = sys.argv[1]
with tarfile.open("evil.tar", "w") as t:
    def add(name, data=None, **kw):
        i = tarfile.TarInfo(name)
        for k, v in kw.items(): setattr(i, k, v)
        if data: i.size = len(data)
        t.addfile(i, io.BytesIO(data) if data else None)
    add("Dockerfile", b"FROM busybox\nCOPY . /c/\nRUN find /c > /list\n")
    add("out", type=tarfile.SYMTYPE, linkname=T + "/outside")
    add("out/written", b"x")
    add("../outside/dots", b"x")
    add(T + "/outside/absolute", b"x")
    add("hard", type=tarfile.LNKTYPE, linkname=T + "/outside/secret")
    add("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    add("fifo", type=tarfile.FIFOTYPE)
END
build -t evilctx - <evil.tar >/dev/null 2>&1
ok "CVE-2026-28406: a hostile archive as context writes nothing outside" untouched
must_fail "CVE-2024-23653: RUN --security=insecure is not given by a Dockerfile" --stderr 'sandbox' text 'FROM busybox\nRUN --security=insecure true\n' ctx
must_fail "CVE-2026-33747: a frontend of the Dockerfile's choice is not run" --stderr 'not known' text '# syntax=evil/frontend\nFROM busybox\n' ctx
must_fail "a context is not left by COPY" text 'FROM busybox\nCOPY abs/secret /s\n' ctx
must_fail "nor by a pattern" text 'FROM busybox\nCOPY ab*/secr* /s\n' ctx
must_fail "nor by a magic link" text "FROM busybox\nCOPY magic$T/outside/secret /s\n" ctx
must_fail "COPY --from does not leave an image" text "FROM busybox\nCOPY --from=evil /abs/secret /s\n" ctx
text 'FROM evil\nCOPY a /abs/\nCOPY a /up/\nCOPY a /magic/tmp/rl-evil\nWORKDIR /abs/deeper\nADD a /root2/tmp/rl-evil\n' ctx >/dev/null 2>&1
ok "COPY, ADD and WORKDIR onto symlinks of an image write inside it" untouched
not_ok "whatever they are called" test -e /tmp/rl-evil
mkfifo ctx/fifo && python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind("ctx/sock")'
ok "a fifo or a socket in the context does not stop a build" text 'FROM busybox\nCOPY . /c/\nRUN test -p /c/fifo && test ! -e /c/sock\n' ctx
must_fail "one that is named is refused" text 'FROM busybox\nCOPY sock /s\n' ctx

# --- the base image cannot raise anything
cat >raise <<'END'
FROM busybox
RUN grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status > /status; cat /proc/self/uid_map > /map
END
build -t raise -f raise ctx >/dev/null
is "a step has what a container of rl run has" "$(rl run --rm --network none raise cat /status)" "$(rl run --rm --network none busybox grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status)"

# --- Dockerfiles that are hostile by their size
python3 - <<'END'
with open("big", "w") as f:
    f.write("FROM busybox\n")
    line = "# " + "x" * 98 + "\n"
    f.write(line * 100000)
    f.write("LABEL a=b\n")
with open("labels", "w") as f:
    f.write("FROM busybox\nLABEL " + " ".join(f"k{i}=v{i}" for i in range(20000)) + "\n")
with open("deep", "w") as f:
    f.write("FROM busybox\nENV A=" + "${x:-" * 5000 + "y" + "}" * 5000 + "\n")
with open("double", "w") as f:
    f.write("FROM busybox\nENV A0=xxxxxxxxxxxxxxxx\n" + "".join(f"ENV A{i+1}=$A{i}$A{i}\n" for i in range(40)))
with open("stages", "w") as f:
    f.write("FROM busybox AS s0\n" + "".join(f"FROM s{i} AS s{i+1}\n" for i in range(100000)))
with open("onelong", "w") as f:
    f.write("FROM busybox\nRUN true " + "\\\n x" * 200000 + "\n")
with open("huge", "wb") as f:
    f.truncate(20 << 20)
END
ok "a Dockerfile of 10 MB" timeout 60 rl build -q -f big ctx
ok "20000 labels" timeout 60 rl build -q -f labels ctx
must_fail "expansions 5000 deep are refused" --stderr 'deep' timeout 60 rl build -q -f deep ctx
must_fail "values that double are refused" timeout 60 rl build -q -f double ctx
must_fail "100000 stages on each other are refused" --stderr 'stages' timeout 60 rl build -q -f stages ctx
must_fail "stages that wait for each other are refused" --stderr 'earlier' text 'FROM two AS one\nFROM one AS two\n' ctx
must_fail "20 MB of nothing are refused" timeout 60 rl build -q -f huge ctx
timeout 60 rl build -q --network none -f onelong ctx >/dev/null 2>err
unlike "a command of 200000 lines is done or refused, not a crash" "$?" '^(124|13[0-9])$'
mkdir deepctx && (cd deepctx && for i in $(seq 450); do mkdir d && cd d || exit; done)
must_fail "a context deeper than anything needs is refused" --stderr 'deep' text 'FROM busybox\nCOPY . /c/\n' deepctx
ok "nothing outside was touched by any of this" untouched
leftovers "and nothing is left"
done_testing
