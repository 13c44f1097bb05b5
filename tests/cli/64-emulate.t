#!/bin/bash
# One id only, and calls on owners and identity answered: who a process is, and whose its files are, as with many ids.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
export RL_IDMAP=single
cp "$(command -v emulated)" emulated
run() { rl run --rm --network none "$@" 2>err; }
full() { run -v "$T/emulated:/emulated:ro" --emulate=full busybox "$@"; }

# --- identity
is "without emulation another user is refused" "$(run --emulate=off -u 33 busybox id; grep -c 'emulate=full' err)" 1
like "-u is that user, without being asked for" "$(run -u 33:34 busybox id)" '^uid=33[( ].*gid=34[( ].*groups=34'
like "with the groups asked for" "$(run -u 33 --group-add 50 busybox id -G)" '50'
like "root is root" "$(full id)" '^uid=0.root. gid=0.root.'
is "what a process becomes, its children are" "$(full su -s /bin/sh nobody -c 'sh -c "id -u; id -g"')" "65534
65534"
is "and its parent stays what it was" "$(full sh -c 'su -s /bin/sh nobody -c true; id -u')" 0
is "after a full setuid there is no way back" "$(full su -s /bin/sh nobody -c 'su -s /bin/sh root -c "id -u" 2>/dev/null || echo refused')" refused
is "a child keeps the ids of the moment of its fork" "$(full /emulated inherit)" "child 0:44
parent 6:5"
is "ids are a process's, not a thread's, by the rules of setresuid" "$(full /emulated threads)" "thread 7
real 7 effective 8 saved 9
to saved 0
to root -1 EPERM"
is "capabilities kept over a setuid work until they are given up" "$(full /emulated keepcaps)" "without the effective capability -1
with it 0
given up -1
ids 33:33"
is "nothing is to be seen of where the ids are kept" "$(full /emulated limit)" "set 0 get 0 unlimited
uid 33 unlimited"
is "a capability the container has not is not emulated" "$(run --cap-drop CHOWN --cap-drop SETUID --emulate=full busybox sh -c 'touch /a; chown 5 /a 2>/dev/null; echo $?; su nobody -s /bin/sh -c true 2>/dev/null; echo $?')" "1
1"
is "with --init too" "$(run --emulate=full --init -u 7 busybox id -u)" 7
is "and with a main filter that comes first" "$(run --emulate=full --security-opt no-new-privileges=false -u 7 busybox id -u)" 7
is "and without one" "$(run --emulate=full --security-opt seccomp=unconfined -u 7 busybox id -u)" 7
is "an image that needs none of it gets none" "$(rl run --explain --network none busybox true 2>/dev/null | grep -c notifyd)" 0
like "--explain says what is answered" "$(rl run --explain --network none --emulate=full busybox true 2>/dev/null)" 'answered by rl-notifyd: owners and identity'
must_fail "another word is refused" --stderr 'off, write or full' rl run --emulate=yes busybox true

# --- files
owners() { awk '{print $3 ":" $4}' | xargs; }
is "owners of files and directories are what they were set to" "$(full sh -c 'cd /tmp; touch a; mkdir d; chown 33:34 a; chown 5 d; ls -lnd a d' | owners)" "33:34 5:0"
is "for stat by path, by descriptor and relative to a directory" "$(full sh -c 'cd /tmp; touch a; chown 33 a; stat -c %u a /tmp/a ../tmp/a; exec 5<a; stat -L -c %u /proc/self/fd/5 /dev/fd/5' | xargs)" "33 33 33 33 33"
is "of symlinks too, and they follow a rename, a hard link and no removal" "$(full sh -c 'cd /tmp; mkdir d; ln -s x l; chown -h 7:8 l; ls -ln l; mv l d/m; ls -ln d/m; ln d/m n; ls -ln n; ln -s y l; ls -ln l; rm d/m; ln -s y d/m; ls -ln d/m' | owners)" "7:8 7:8 7:8 0:0 0:0"
is "of fifos" "$(full sh -c 'mkfifo /tmp/f; chown 9:9 /tmp/f; ls -ln /tmp/f' | owners)" "9:9"
is "a hard link is the same file" "$(full sh -c 'cd /tmp; touch a; ln a b; chown 3 a; ls -ln b' | owners)" "3:0"
is "a file replaced is a new one" "$(full sh -c 'cd /tmp; touch a; chown 3 a; rm a; touch a; ls -ln a' | owners)" "0:0"
is "chown takes set-id bits away, and chmod gives them" "$(full sh -c 'cd /tmp; touch a; chmod 6755 a; chown 3 a; stat -c %a a; chmod 4755 a; stat -c %a:%u a' | xargs)" "755 4755:3"
is "back to root there is nothing left to keep" "$(full sh -c 'cd /tmp; touch a; chown 3:3 a; chown 0:0 a; ls -ln a' | owners)" "0:0"
is "device nodes are made" "$(full sh -c 'cd /tmp; mknod c c 1 3; mknod b b 8 17; chmod 600 b; stat -c "%F %t:%T %a" c b')" "character special file 1:3 644
block special file 8:11 600"
is "what somebody else makes is theirs" "$(full su -s /bin/sh nobody -c 'cd /tmp; umask 027; touch f; mkdir d; ln -s x l; mkfifo p; echo text >t; cat t; stat -c %u:%a f d l p t' | xargs)" "text 65534:640 65534:750 65534:777 65534:640 65534:640"
is "and they may not chown" "$(full sh -c 'touch /tmp/a; chmod 777 /tmp; su -s /bin/sh nobody -c "chown nobody /tmp/a 2>/dev/null || echo refused"')" refused
is "in a chroot owners are found, below its root" "$(full sh -c 'mkdir -p /j/bin /j/etc; cp /bin/busybox /j/bin/sh; cp /bin/busybox /j/bin/chown; cp /bin/busybox /j/bin/stat; touch /j/etc/a /etc/a; chroot /j /bin/sh -c "chown 12 /etc/a; cd /etc; stat -c %u a /etc/a ../../etc/a"; stat -c %u /etc/a /j/etc/a' | xargs)" "12 12 12 0 12"
is "32-bit calls agree" "$(full /emulated i386 | grep -v '^no 32-bit')" "$(full /emulated i386 | grep -q '^no 32-bit' || echo "chown32 0
old chown 0
stat64 0 owner 70000:33
setuid32 0
getuid32 70000 getuid 70000
old getuid 0")"
is "with write owners are kept but not shown" "$(run --emulate=write busybox sh -c 'touch /tmp/a; chown 4 /tmp/a && stat -c %u /tmp/a; su -s /bin/sh nobody -c "id -u"' | xargs)" "0 0"

# --- where an outer filter refuses what it is done with
for without in "--errno EPERM mount" fsopen,fsmount,open_tree,move_mount,mount_setattr,openat2,clone3,close_range "--errno EPERM process_vm_readv,process_vm_writev"; do
	is "it works without ${without#--errno EPERM }" "$(enosys $without rl run --rm --network none -u 33 busybox sh -c 'id -u; touch /tmp/a; stat -c %u /tmp/a' 2>/dev/null | xargs)" "33 33"
done
enosys --errno EPERM seccomp rl run --rm --network none -u 33 busybox id -u >out 2>err
like "without listeners that is said" "$(cat err)" 'cannot be answered here: Operation not permitted'

# --- a container that runs
rl run -d --name c --network none --emulate=full -v "$T/emulated:/emulated:ro" busybox sleep 1000 >/dev/null 2>&1
is "exec is who it is asked to be" "$(rl exec -u 33 c id -u 2>/dev/null)" 33
is "and root otherwise" "$(rl exec c id -u 2>/dev/null)" 0
is "what one made, another sees" "$(rl exec -u 33 c touch /tmp/made 2>/dev/null; rl exec c stat -c %u /tmp/made 2>/dev/null)" 33
is "what an exec leaves behind stays who it was" "$(rl exec -u 33 c sh -c '(sleep 0.2; id -u >/tmp/id) &' 2>/dev/null; rl exec c sh -c 'until [ -s /tmp/id ]; do sleep 0.1; done; cat /tmp/id' 2>/dev/null)" 33
rl restart -t 0 c >/dev/null 2>&1
is "and so it is after a restart" "$(rl exec -u 33 c id -u 2>/dev/null; rl exec c stat -c %u /tmp/made 2>/dev/null)" "33
33"
# What no attribute can be put on.
rl exec c sh -c 'cd /tmp; mkfifo p q; chown 41:42 p; chown 43 q; ln -s p to-p' 2>/dev/null
rl exec -u 45 c mkfifo /tmp/mine 2>/dev/null
rl exec c sh -c 'cd /tmp; /emulated socket sock; chown 46:47 sock; mv q r; rm -f gone; mkfifo gone; chown 48 gone; rm gone; mkfifo gone' 2>/dev/null
want_special="p 41:42
r 43:0
mine 45:0
sock 46:47
gone 0:0
p 41:42"
special() { rl exec c sh -c 'cd /tmp; stat -c "%n %u:%g" p r mine sock gone; stat -L -c "p %u:%g" to-p' 2>/dev/null; }
is "owners of fifos and sockets are seen by others of the container, through renames and symlinks, and not by new ones of a name" "$(special)" "$want_special"
rl restart -t 0 c >/dev/null 2>&1
is "and after a restart, when nobody of those who set them is left" "$(special)" "$want_special"
is "they are exported" "$(rl export c 2>/dev/null | tar --numeric-owner -tv | awk '$6 ~ /tmp\/(p|r|mine|gone)$/ { sub(".*/", "", $6); print $6, $2 }' | sort | xargs)" "gone 0/0 mine 45/0 p 41/42 r 43/0"
ok "and committed" rl commit -q c special
is "as its image shows inside" "$(run --emulate=full special stat -c %n:%u:%g /tmp/p /tmp/r /tmp/mine | xargs)" "/tmp/p:41:42 /tmp/r:43:0 /tmp/mine:45:0"

# Set-group-id directories, and copying.
is "what is made in a set-group-id directory has its group, whoever makes it" "$(rl exec c sh -c 'mkdir /g; chown 0:50 /g; chmod 2777 /g; cd /g; echo r >r; mkdir d; mkfifo p; ln -s x l; echo again >>r; stat -c "%n %u:%g" r d p l; stat -c %A d; cat r; touch d/deep; stat -c %g d/deep' 2>/dev/null; rl exec -u 7:8 c sh -c 'cd /g; touch u; mkdir v; touch v/w; stat -c "%n %u:%g" u v v/w' 2>/dev/null)" "r 0:50
d 0:50
p 0:50
l 0:50
drwxr-sr-x
r
again
50
u 7:50
v 7:50
v/w 7:50"
is "cp -a makes a copy of everything, owners of links, fifos and devices included" "$(rl exec c sh -c 'mkdir -p /from/sub; cd /from; echo x >f; chown 1:2 f; chmod 4750 f; ln -s f l; chown -h 3:4 l; mkfifo p; chown 5:6 p; mknod dev c 1 3; chown 7:8 dev; chmod 640 dev; ln f hard; chown 9:10 sub; chmod 2711 sub; touch sub/in; cp -a /from /to; (cd /from && find . | sort | xargs stat -c "%n %F %u:%g %a %t:%T") >/a; (cd /to && find . | sort | xargs stat -c "%n %F %u:%g %a %t:%T") >/b; wc -l </a; cmp /a /b && echo same' 2>/dev/null | xargs)" "8 same"
rl rm -f c >/dev/null 2>&1
rl run --rm --network none --emulate=full -v kept:/v busybox sh -c 'cd /v; echo x >f; chown 61:62 f; ln -s f l; chown -h 63:64 l; mkfifo p; chown 65:66 p; mkdir d; chown 67 d; mknod n c 1 3' 2>/dev/null
is "owners in volumes are exported, devices that are none are not" "$(rl volume export kept 2>/dev/null | tar --numeric-owner -tv | awk '{ print $6, $1, $2 }' | grep -v '^\./ ' | sort | xargs)" "d/ drwxr-xr-x 67/0 f -rw-r--r-- 61/62 l lrwxrwxrwx 63/64 n -rw-r--r-- 0/0 p prw-r--r-- 65/66"
rl volume export -o kept.tar kept 2>/dev/null
rl volume create again >/dev/null && rl volume import again kept.tar >/dev/null 2>&1
is "and imported again" "$(rl run --rm --network none --emulate=full -v again:/v busybox stat -c %n:%u:%g /v/f /v/l /v/p /v/d 2>/dev/null | xargs)" "/v/f:61:62 /v/l:63:64 /v/p:65:66 /v/d:67:0"
printf 'FROM busybox\nRUN mkdir -p /srv && touch /srv/f && chown 71:72 /srv /srv/f\n' >Volfile && mkdir -p nothing && rl build -q -t withdir -f Volfile nothing >/dev/null 2>&1
is "what a volume gets from the image keeps its owners" "$(rl run --rm --network none --emulate=full -v srv:/srv withdir stat -c %n:%u:%g /srv /srv/f 2>/dev/null | xargs)" "/srv:71:72 /srv/f:71:72"
rl run -d --name h --network none --emulate=full --health-cmd 'test $(id -u) = 0' busybox sleep 1000 >/dev/null 2>&1
ok "a health check is answered too" rl healthcheck run h
rl rm -f h >/dev/null 2>&1

# --- out of the container
rl run --name k --network none --emulate=full busybox sh -c 'mkdir /o; cd /o; touch f; chown 33:34 f; ln -s f l; chown -h 5:6 l; mknod n c 1 3; chmod 666 n; mkfifo p; mkdir d; chown 7 d; chown 44 /etc/passwd; su -s /bin/sh nobody -c "echo hi >/tmp/n"' 2>/dev/null
listing() { tar --numeric-owner -tv "$@" | grep -E ' (\./)?(o/|etc/passwd|tmp/n$)' | sed -E 's/ +/ /g; s/[0-9]{4}-[0-9-]+ [0-9:]+ //; s/ \.\// /' | sort -k4; }
want="-rw-r--r-- 44/0 $(rl run --rm --network none busybox stat -c %s /etc/passwd 2>/dev/null) etc/passwd
drwxr-xr-x 7/0 0 o/d/
-rw-r--r-- 33/34 0 o/f
lrwxrwxrwx 5/6 0 o/l -> f
crw-rw-rw- 0/0 1,3 o/n
prw-r--r-- 0/0 0 o/p
-rw-r--r-- 65534/65534 3 tmp/n"
is "export gives back owners, links and devices" "$(rl export k 2>/dev/null | listing | grep -v ' o/$')" "$want"
ok "and commit" rl commit -q k kept
is "as its image shows inside" "$(run --emulate=full kept stat -c %u:%g /o/f /o/l /o/d /etc/passwd | xargs)" "33:34 5:6 7:0 44:0"
rl save -q -o kept.tar kept 2>/dev/null
layer() { tar -xOf "$1" "$(tar -xOf "$1" manifest.json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["Layers"][-1])')"; }
is "and its layer says" "$(layer kept.tar | python3 -c 'import gzip,sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(gzip.decompress(d) if d[:2] == b"\x1f\x8b" else d)' | listing | grep -v ' o/$')" "$want"
ok "the store is sound" rl system check

# --- builds
mkdir ctx && cat >ctx/Dockerfile <<'X'
FROM busybox
RUN echo joe:x:1234:1234::/home/joe:/bin/sh >>/etc/passwd && echo joe:x:1234: >>/etc/group && mkdir -p /home/joe && touch /home/joe/a && chown -R joe:joe /home/joe
COPY --chown=joe Dockerfile /home/joe/
USER joe
RUN id -u >/home/joe/who && ln -s who /home/joe/link
X
ok "a build that makes users works without being asked to emulate" rl build -q -t built ctx
is "and what it made is theirs" "$(run built sh -c 'id -u; stat -c %U /home/joe/a /home/joe/Dockerfile /home/joe/who /home/joe/link; cat /home/joe/who' | xargs)" "1234 joe joe joe joe 1234"
must_fail "without emulation it fails" --status 1 rl build -q --no-cache --emulate=off -t no ctx
done_testing
