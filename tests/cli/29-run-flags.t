#!/bin/bash
# deadline: 240
# What podman's run can say beyond docker's: the environment taken apart, accounts, the time zone, requirements.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
N="--network none"
run() { rl run --rm $N "$@"; }

# An image with variables, accounts, and a time zone that leads to nothing.
mkdir -p root/bin root/etc
cp /bin/busybox root/bin/ && for a in sh env cat id date uname printf setarch grep; do ln -s busybox root/bin/$a; done
echo root:x:0:0:root:/root:/bin/sh >root/etc/passwd
printf root:x:0: >root/etc/group
ln -s /usr/share/zoneinfo/Nowhere root/etc/localtime
tar -C root --owner=0 --group=0 -cf root.tar .
"$HELPERS/layers-image" image.tar img:latest '{"Env":["PATH=/bin","IMG=one","BOTH=image"]}' root.tar
rl load -q -i image.tar >/dev/null || exit 1

# --- the environment
is "--env-host gives the caller's variables" "$(MINE=x run --env-host img sh -c 'echo $MINE')" x
is "the image's win over them" "$(BOTH=host run --env-host img sh -c 'echo $BOTH')" image
is "and -e over all" "$(BOTH=host run --env-host -e BOTH=opt img sh -c 'echo $BOTH')" opt
is "--env-merge puts the old value in" "$(run --env-merge 'IMG=${IMG}-two' --env-merge 'BOTH=$IMG:$BOTH' img sh -c 'echo $IMG $BOTH')" "one-two one:image"
is "--unsetenv takes one away" "$(run --unsetenv IMG img sh -c 'echo ${IMG-none} $BOTH')" "none image"
is "--unsetenv-all takes every one" "$(run --unsetenv-all -e A=b img /bin/env | grep -v '^HOME=' | sort)" "A=b"
is "--http-proxy gives the proxies that are set" "$(http_proxy=http://p:1 NO_PROXY=x run --http-proxy img sh -c 'echo $http_proxy $NO_PROXY ${https_proxy-unset}')" "http://p:1 x unset"
must_fail "--env-merge without a value" --status 125 --stderr 'NAME=TEXT' run --env-merge IMG img true

# --- time, personality
mkdir zone
if [ -e /usr/share/zoneinfo/Asia/Tokyo ]; then
	is "--tz mounts the zone, over a link that leads to nothing" "$(run --tz Asia/Tokyo img cat /etc/localtime | sha256sum)" "$(sha256sum </usr/share/zoneinfo/Asia/Tokyo)"
else
	skip "--tz mounts the zone" "no zoneinfo here"
fi
must_fail "a zone that is none" --status 125 --stderr 'tz Mars' run --tz Mars/Base img true
must_fail "nor a path" --status 125 --stderr 'local' run --tz ../../etc/passwd img true
is "--personality" "$(run --personality linux32 img uname -m)" i686
must_fail "one that does not exist" --status 125 --stderr "'VMS' is not known" run --personality VMS img true

# --- accounts
me=$(id -un) uid=$(id -u)
is "keep-id gives the caller a name" "$(run --userns keep-id img id -un)" "$me"
is "and a home that exists" "$(run --userns keep-id -w /etc img sh -c 'echo $HOME')" /etc
home=$(getent passwd "$me" | cut -d: -f6)
is "its own where that is mounted" "$(run --userns keep-id -v "$HOME:$home" img sh -c 'echo $HOME')" "$home"
is "the line is added once" "$(rl create --name k --userns keep-id $N img grep -c "^$me:" /etc/passwd >/dev/null; rl start -a k; rl start -a k)" "1
1"
rl rm k >/dev/null
is "the group file is complete, also without a last newline" "$(run --userns keep-id img cat /etc/group | head -1)" root:x:0:
is "--passwd=false adds nothing" "$(run --userns keep-id --passwd=false img sh -c 'grep -c . /etc/passwd')" 1
is "without keep-id nothing is added" "$(run img sh -c 'grep -c . /etc/passwd')" 1
is "--passwd-entry and --group-entry" "$(run --userns keep-id --passwd-entry 'boss:*:$UID:$GID:x:/srv:/bin/sh' --group-entry 'bosses:x:$GID:' img sh -c 'id -un; id -gn; echo $HOME')" "boss
bosses
/srv"
must_fail "a line that is two" --status 125 --stderr 'one line' run --passwd-entry $'a:*:1:1:a:/:/bin/sh\nroot2:*:0:0:::' img true
must_fail "or not all of one" --status 125 --stderr '7 fields' run --passwd-entry 'a:b' img true
is "--hostuser" "$(run --hostuser nobody img grep -c '^nobody:' /etc/passwd)" 1
must_fail "one that does not exist" --status 125 --stderr 'no such user' run --hostuser nosuchuser img true
ln -sf /etc/shadow-of-nothing root/etc/passwd
tar -C root --owner=0 --group=0 -cf root2.tar .
"$HELPERS/layers-image" image2.tar img2:latest '{}' root2.tar && rl load -q -i image2.tar >/dev/null
ok "a passwd file that is a link to nothing is left alone" run --userns keep-id img2 /bin/busybox true

# --- requirements, attach, rmi, the rest
rl create --name first $N busybox sleep 1000 >/dev/null
ok "--requires starts another container first" run --requires first busybox true
is "it runs" "$(rl inspect -f '{{.State.Status}}' first)" running
rl create --name second --requires first $N busybox true >/dev/null
rl stop -t 0 first >/dev/null
rl start -a second
is "also at every start" "$(rl inspect -f '{{.State.Status}}' first)" running
rl rm -f first second >/dev/null
must_fail "one that does not exist" --status 125 --stderr "no container 'first'" rl create --requires first img true
is "-a stdin is -i" "$(echo hi | run -a stdin -a stdout -a stderr img cat)" hi
ok "--rmi" run --rmi img2 /bin/busybox true
must_fail "the image is gone" --status 1 rl image exists img2
is "the status is the command's" "$(run --rmi img sh -c 'exit 3'; echo $?; rl images -q img | wc -l)" "3
0"
rl load -q -i image.tar >/dev/null
rl create --name user $N img true >/dev/null
like "an image that is used stays" "$(run --rmi img true 2>&1; rl images -q img)" '[0-9a-f]{12}$'
rl rm user >/dev/null
must_fail "--rmi waits for the end" --status 125 --stderr 'detach' rl run -d --rmi img true
is "--no-hostname leaves the file to the image" "$(run --no-hostname img sh -c 'cat /etc/hostname 2>/dev/null | wc -l')" 0
must_fail "--arch of another machine" --status 125 --stderr 's390x' run --pull never --arch s390x busybox true
for flag in init-path=/x systemd=always authfile=x preserve-fds=1 chrootdirs=/x; do
	must_fail "--$flag is refused by name" --status 125 --stderr "--${flag%%=*}" run "--$flag" img true
done
rl run -d --name web $N img sh -c 'while :; do :; done' >/dev/null
first=$(rl inspect -f '{{.Id}}' web)
ok "--replace takes the place of a running container" rl run -d --replace --name web $N busybox sleep 1000
isnt "it is another one" "$(rl inspect -f '{{.Id}}' web)" "$first"
is "and the only one" "$(rl ps -aq | wc -l)" 1
rl rm -f web >/dev/null
is "--annotation is in inspect" "$(rl create --name an --annotation a.b=c $N img true >/dev/null; rl inspect -f '{{json .HostConfig.Annotations}}' an)" '{"a.b":"c"}'
printf 'x=1\n# no\ny=2 3\n' >labels
is "--label-file" "$(rl create --name lf --label-file labels $N img true >/dev/null; rl inspect -f '{{json .Config.Labels}}' lf)" '{"x":"1","y":"2 3"}'
is "--umask" "$(run --umask 077 img sh -c 'umask')" 0077
is "--oom-score-adj" "$(run --oom-score-adj 500 img cat /proc/self/oom_score_adj)" 500

# --- output that is not attached
both='echo out; echo err >&2'
is "--attach stdout shows that only" "$(rl run --rm $N -a stdout busybox sh -c "$both" 2>&1)" out
is "--attach stderr, too" "$(rl run --rm $N -a stderr busybox sh -c "$both" 2>&1)" err
is "with a monitor in between as well" "$(rl run --rm $N --restart no --health-cmd true -a stderr busybox sh -c "$both" 2>&1)" err
is "rl's own messages are shown" "$(rl run --rm $N -a stdout busybox nope 2>&1 | grep -c 'not found')" 1
is "stdin, and both" "$(echo in | rl run --rm $N -a stdin -a stdout -a stderr busybox cat)" in
is "--ulimit host takes what was asked for before back" "$(rl run --rm $N --ulimit nofile=77:88 --ulimit host busybox sh -c 'ulimit -n')" "$(ulimit -n)"
is "--ipc none is one's own without a tmpfs on /dev/shm" "$(rl run --rm $N --ipc none busybox grep -c ' /dev/shm ' /proc/mounts)" 0
ok "--mount takes docker's consistency=" rl run --rm $N --mount type=bind,src="$T",dst=/m,consistency=cached busybox true
done_testing
