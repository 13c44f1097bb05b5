#!/bin/bash
# The cache of `rl build`: what is in a key and what is not, steps that travel (--cache-to, --cache-from), one layer in
# place of many (--squash).
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"

build() { rl build --network none --pull=never -q "$@"; }
text() { local t=$1; shift; printf "$t" >"$T/text.dockerfile"; build -f "$T/text.dockerfile" "$@"; }
# What the cache knows of a Dockerfile given as text: one word a step.
known() { local t=$1; shift; printf "$t" >"$T/text.dockerfile"; rl build --network none --pull=never --explain -f "$T/text.dockerfile" "$@" | awk '/^  /{ print $1 }' | tr '\n' ' '; }
mkdir ctx

# --- keys: what differs in the result differs in the key
mkdir -p k1 k2
printf 'X' >k1/a && printf 'Y' >k1/b
# The bytes of one file that read like the end of it, the name of another and its bytes.
printf 'Xt1:b100644:1:Y' >k2/a && chmod 644 k1/* k2/*
text 'FROM busybox\nCOPY * /d/\n' -t k1 k1 >/dev/null
text 'FROM busybox\nCOPY * /d/\n' -t k2 k2 >/dev/null
output_is "two files are not mistaken for one with the same bytes" a rl run --rm --network none k2 ls /d
text 'FROM busybox\nRUN mkdir "/x y" /x "/y z"\nFROM busybox\nRUN --mount=from=0,target=/m,source="/x y" touch /a\n' ctx >/dev/null 2>&1
for option in 'uid=7' 'gid=7' 'mode=0711' 'size=2m' 'required' 'target=/n' 'id=other'; do
	type=tmpfs
	case $option in required | id=*) type=secret ;; uid=* | gid=* | mode=*) type=cache ;; esac
	echo s >"$T/s"
	text "FROM busybox\nRUN --mount=type=$type,id=i,target=/m true; echo x > /x\n" --secret "id=i,src=$T/s" --secret "id=other,src=$T/s" ctx >/dev/null
	unlike "--mount $option is part of the key" "$(known "FROM busybox\nRUN --mount=type=$type,id=i,target=/m,$option true; echo x > /x\n" --secret "id=i,src=$T/s" --secret "id=other,src=$T/s" ctx)" 'cached'
done
mkdir ex && echo 1 >ex/a && echo 2 >ex/b
for what in a b; do
	build -t "ex-$what" --build-arg "E=$what" -f - ex <<'END' >/dev/null
FROM busybox AS files
COPY . /files/
FROM busybox
ARG E
COPY --from=files --exclude=$E /files/ /out/
END
done
is "a variable in --exclude is, too" "$(rl run --rm --network none ex-a ls /out) $(rl run --rm --network none ex-b ls /out)" "b a"
mkdir hidden && echo 1 >hidden/ignored && echo ignored >hidden/.dockerignore
bound='FROM busybox\nRUN --mount=type=bind,target=/m cat /m/ignored > /seen\n'
text "$bound" -t bound hidden >/dev/null && echo 2 >hidden/ignored && text "$bound" -t bound hidden >/dev/null
is "what a bind of the context shows is in the key, ignored or not" "$(rl run --rm --network none bound cat /seen)" 2
text 'FROM busybox\nRUN echo x > /x\n' ctx >/dev/null
for option in --shm-size=10m --cap-add=sys_ptrace --cap-drop=chown --add-host=a:1.2.3.4 --ulimit=nofile=100 --security-opt=seccomp=unconfined --timestamp=5; do
	unlike "$option is part of the key of RUN" "$(known 'FROM busybox\nRUN echo x > /x\n' $option ctx)" '^cached'
done
for option in --label=a=b --jobs=1 --annotation=a=b --squash --secret=id=zz,src=$T/s --build-arg=HTTP_PROXY=http://x/; do
	like "$option is not" "$(known 'FROM busybox\nRUN echo x > /x\n' $option ctx)" '^cached'
done
like "an ARG that is not used by RUN is part of its environment, and of the key" "$(text 'FROM busybox\nARG A=1\nRUN echo y > /y\n' ctx >/dev/null; known 'FROM busybox\nARG A=1\nRUN echo y > /y\n' --build-arg A=2 ctx)" 'not'

# --- the same bytes elsewhere: another store, another time zone, umask and language, other times of the files
mkdir -p same/dir && echo 1 >same/dir/a && ln -s dir/a same/l && chmod 755 same/dir && chmod 644 same/dir/a
cat >same/Dockerfile <<'END'
FROM busybox
COPY . /src/
WORKDIR /new/dir
RUN date > /dev/null; mkdir -p /z/y; echo 1 > /z/y/x; ln -s x /z/y/l; touch /z/b /z/a
ADD --chown=5:6 dir/a /added/
END
here=$(SOURCE_DATE_EPOCH=1700000000 build same)
cp -r same same2 && touch -d 2031-02-02 same2/dir/a
is "SOURCE_DATE_EPOCH makes the same image in another store, time zone, language and umask" \
	"$(umask 077; SOURCE_DATE_EPOCH=1700000000 TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 RL_ROOT=$T/elsewhere build same2)" "$here"
is "the root directory keeps the mode of the base image's" "$(umask 077; rl run --rm --network none busybox stat -c %a /; rl run --rm --network none "$here" stat -c %a /)" "755
755"
ok "--verify finds a build that is the same twice" build --verify same
must_fail "and says of one that is not" --stderr 'another image' rl build -q --network none --verify -f - ctx <<'END'
FROM busybox
RUN head -c 8 /dev/urandom > /r
END
printf 'FROM busybox\nRUN echo x > /x; touch -d "2001-01-01 00:00" /x\n' >old
build --source-date-epoch 1700000000 -t clamped -f old ctx >/dev/null
is "--source-date-epoch leaves earlier times alone" "$(rl run --rm --network none clamped date -r /x +%Y)" 2001
build --timestamp 1700000000 -t set -f old ctx >/dev/null
is "--timestamp sets them as well" "$(rl run --rm --network none set date -r /x +%Y)" 2023
build --source-date-epoch 5 --rewrite-timestamp=false -t left -f old ctx >/dev/null
is "--rewrite-timestamp=false leaves all of them" "$(rl run --rm --network none left date -r /x +%Y)" 2001
must_fail "--rewrite-timestamp without a time is refused" --stderr 'source-date-epoch' build --rewrite-timestamp -f old ctx

# --- --squash
cat >squash <<'END'
FROM busybox
RUN echo a > /a; mkdir /d; echo x > /d/x; echo keep > /d/keep
RUN rm /a; echo b > /b; rm -r /d; mkdir /d; echo y > /d/y; rm /etc/group; chown 5:6 /b
ENV A=b
WORKDIR /w
RUN echo 1 > /d/z; ln /b /c
END
build -t plain -f squash ctx >/dev/null
build -t squashed --squash -f squash ctx >/dev/null
is "--squash makes one layer on the base's" "$(rl inspect --format '{{len .RootFS.Layers}}' squashed)" 2
look='find / -xdev ! -path "/proc*" ! -path "/sys*" ! -path "/dev*" ! -path "/etc/hosts" ! -path "/etc/resolv.conf" ! -path "/etc/hostname" | sort | while read f; do stat -c "%n %A %u:%g %s" "$f"; done; cat /d/* /b'
is "with the files the layers had together" "$(rl run --rm --network none squashed sh -c "$look")" "$(rl run --rm --network none plain sh -c "$look")"
is "the config is the same" "$(rl inspect --format '{{json .Config}}' squashed)" "$(rl inspect --format '{{json .Config}}' plain)"
like "the history says so" "$(rl history --no-trunc squashed)" '--squash.*4 layers as one'
is "the next one has the same id" "$(build --squash -f squash ctx)" "$(build --squash -f squash ctx)"
rl save --format oci-dir -o squashed.oci squashed
is "what was removed on the way is nowhere in it" "$(for b in squashed.oci/blobs/sha256/*; do tar tf "$b" 2>/dev/null; done | grep -c 'keep')" 0
ok "the steps are still in the cache" test "$(known "$(sed 's/%/%%/g' squash)" ctx | tr -d ' ')" = cachedcachedconfigcachedcached

# --- steps that travel
cat >travel <<'END'
FROM busybox AS a
RUN echo a > /a
RUN true
FROM busybox
RUN echo b > /b; date > /date
COPY --from=a /a /a
END
other() { RL_ROOT=$T/other rl build --network none --pull=never --progress plain -f travel "$@" ctx; }
before=$(rl images -aq --no-trunc | sort -u)
want=$(build -f travel --cache-to type=local,dest=cache ctx)
ok "--cache-to makes an OCI layout" test -f cache/oci-layout
is "nothing of it stays in the store" "$(rl images -aq --no-trunc | sort -u)" "$(printf '%s\n' "$before" "$want" | sort -u)"
got=$(other --cache-from type=local,src=cache 2>log)
is "--cache-from in another store makes the very same image" "$got" "$want"
is "without doing a step" "$(grep -c '(cached)' log) of $(grep -c '^\[' log)" "4 of 4"
unlike "and no image without a name is left there" "$(RL_ROOT=$T/other rl images -a --no-trunc | grep -v "$want")" '<none>'
ok "what came by it outlives the garbage collection" sh -c "RL_ROOT=$T/other rl system prune -f && rm -rf cache && RL_ROOT=$T/other rl build --explain --network none -f travel ctx | grep -c cached | grep -qx 4"
remove_tree "$T/other"
rm -rf min && build -f travel --cache-to type=local,dest=min,mode=min ctx >/dev/null
other --cache-from type=local,src=min >/dev/null 2>log
is "mode=min gives only the target's own steps away" "$(grep -c '(cached)' log)" 2
remove_tree "$T/other"
like "a place that is not there is a warning" "$(other --cache-from type=local,src=/nonexistent 2>&1)" 'warning: --cache-from.*nonexistent'
remove_tree "$T/other"
mkdir broken && echo '{}' >broken/index.json
like "so is one that holds something else" "$(other --cache-from type=local,src=broken 2>&1)" 'warning: --cache-from'
must_fail "an unknown type is refused" --stderr 'type=local' build -f travel --cache-from type=s3,bucket=x ctx
must_fail "an unknown option is named" --stderr 'compress=1' build -f travel --cache-to type=local,dest=x,compress=1 ctx
must_fail "inline is nowhere to take steps from" --stderr 'type=registry' build -f travel --cache-from type=inline ctx
if have docker-registry; then
	mkdir -p "$HOME/.config/containers"
	start_registry cache || exit 1
	conf=$HOME/.config/containers/registries.conf
	[ -e "$conf" ] && cp "$conf" "$T/registries.conf"
	on_finish "rm -f '$conf'; [ -e '$T/registries.conf' ] && cp '$T/registries.conf' '$conf'"
	printf '[[registry]]\nlocation = "127.0.0.1:%s"\ninsecure = true\n' "$PORT" >"$conf"
	remove_tree "$T/other"
	ok "--cache-to type=registry" rl build -q --network none -f travel --cache-to "type=registry,ref=127.0.0.1:$PORT/cache:main" ctx
	got=$(RL_ROOT=$T/other rl build --network none --progress plain -f travel --cache-from "type=registry,ref=127.0.0.1:$PORT/cache:main" ctx 2>log)
	is "--cache-from it makes the same image" "$got" "$want"
	is "from steps that are known" "$(grep -c '(cached)' log)" 4
	unlike "the carrier is gone from that store" "$(RL_ROOT=$T/other rl images -a)" 'cache'
	remove_tree "$T/other"
	inline=$(rl build -q --network none -f travel --cache-to type=inline -t "127.0.0.1:$PORT/app:1" ctx)
	ok "an image with inline steps is pushed" rl push "127.0.0.1:$PORT/app:1"
	got=$(RL_ROOT=$T/other rl build --network none --progress plain -f travel --cache-to type=inline --cache-from "127.0.0.1:$PORT/app:1" ctx 2>log)
	is "and a build that names it is the same image" "$got" "$inline"
	is "with the target's steps known" "$(grep -c '(cached)' log)" 2
	remove_tree "$T/other"
else
	skip "steps travel through a registry" "docker-registry is not installed"
fi

# --- limits and modes of every RUN
must_fail "--userns=host is refused with the reason" --stderr 'user namespace' build --userns=host -f old ctx
ok "--userns=private is what there is" build --userns=private -f old ctx
status_is "-m holds for RUN" 137 text 'FROM busybox\nRUN tail /dev/zero\n' -m 30m ctx
ok "--ulimit too" text 'FROM busybox\nRUN test "$(ulimit -n)" = 100\n' --ulimit nofile=100 ctx
ok "--shm-size too" text 'FROM busybox\nRUN df -k /dev/shm | grep -q " 10240 "\n' --shm-size 10m ctx
ok "--add-host too" text 'FROM busybox\nRUN grep -q "1.2.3.4.*box" /etc/hosts\n' --add-host box:1.2.3.4 ctx
ok "--no-hosts leaves the image's file alone" text 'FROM busybox\nRUN ! grep -q 1.2.3.4 /etc/hosts\n' --no-hosts ctx
ok "--dns too" sh -c 'printf "FROM busybox\nRUN grep -qx \"nameserver 9.9.9.9\" /etc/resolv.conf\n" | rl build -q --network host --dns 9.9.9.9 -f - ctx'
ok "-v too" text 'FROM busybox\nRUN test -e /host/Dockerfile && touch /host/new\n' -v "$PWD/same:/host" ctx
ok "which writes to this machine" test -e same/new
ok "--cap-add too" text 'FROM busybox\nRUN grep -q CapEff.*0*[1-9a-f] /proc/self/status && grep CapEff /proc/self/status > /caps\n' --cap-add sys_admin -t caps ctx
isnt "and is what the step had" "$(rl run --rm --network none caps cat /caps)" "$(text 'FROM busybox\nRUN grep CapEff /proc/self/status > /caps\n' -t caps2 ctx >/dev/null; rl run --rm --network none caps2 cat /caps)"
ok "--security-opt too" text 'FROM busybox\nRUN grep -q "Seccomp:.0" /proc/self/status\n' --security-opt seccomp=unconfined ctx
rl build --network none --logfile log.txt -f old ctx >/dev/null 2>err.txt
like "--logfile gets the progress" "$(cat log.txt)" 'RUN echo x'
is "and the terminal does not" "$(cat err.txt)" ""
printf '# a comment\nA=from file\n\nB=2\n' >args
ok "--build-arg-file, and --build-arg over it" text 'FROM busybox\nARG A\nARG B\nRUN test "$A $B" = "from file 3"\n' --build-arg-file args --build-arg B=3 ctx
is "--annotation is in the manifest" "$(build --annotation a.b=c -t annotated -f old ctx >/dev/null; rl save --format oci-dir -o annotated.oci annotated; grep -l '"a.b":"c"' annotated.oci/blobs/sha256/* | wc -l)" 1
done_testing
