#!/bin/bash
# A Debian image with one user id: packages that make users are installed, users are added and become, archives are
# unpacked with their owners, and what comes out of the container has them. Talks to package mirrors, as 90-debian.t.
# deadline: 600
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
TAP_TIMEOUT=500
export RL_IDMAP=single

image=${RL_TEST_DEBIAN:-$("$HELPERS/debian-image" small 2>"$T/why")} ||
	skip_all "no Debian root file system: $(tail -n 1 "$T/why")"

ok "a Debian root file system is imported" rl import "$image" debian
is "its owners are as they are, without being asked for" "$(rl run --rm --network none debian stat -c %U:%G:%a /etc/shadow /var/mail /usr/bin/chage 2>/dev/null | xargs)" "root:shadow:640 root:mail:2775 root:shadow:2755"

cat >steps <<'X'
export DEBIAN_FRONTEND=noninteractive
(apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server rpm) >/dev/null || exit 1
echo "redis $(stat -c %U:%G:%a /var/lib/redis /etc/redis/redis.conf /var/log/redis | xargs)"
echo "audit $(dpkg --audit | wc -l) verify $(dpkg -V redis-server | wc -l)"
useradd -m joe && echo joe:secret | chpasswd && echo "joe $(stat -c %U:%G /home/joe /home/joe/.profile | xargs) $(stat -c %G /etc/shadow)"
echo "su $(su joe -c 'id -un; touch ~/f; stat -c %U ~/f' | xargs)"
echo "setpriv $(setpriv --reuid joe --regid joe --init-groups id -un)"
groupadd crew && usermod -aG crew joe && echo "groups $(su joe -c 'id -Gn')"
mkdir /t && cd /t && mkdir d && echo x >d/a && chown 12:34 d d/a && ln -s a d/l && chown -h 5:6 d/l
tar cf t.tar d && rm -rf d && tar xf t.tar && echo "tar $(stat -c %u:%g d d/a d/l | xargs)"
cp -a d e && echo "cp $(stat -c %u:%g e e/a e/l | xargs)"
install -o games -g mail -m 640 /etc/hostname /t/i && echo "install $(stat -c %U:%G:%a /t/i)"
mkdir -p /r/SPECS && cat >/r/SPECS/p.spec <<'S'
Name: p
Version: 1
Release: 1
Summary: s
License: none
BuildArch: noarch
%description
d
%install
mkdir -p %{buildroot}/srv/p
echo hi > %{buildroot}/srv/p/f
%files
%attr(0640, games, mail) /srv/p/f
%dir %attr(2755, daemon, daemon) /srv/p
S
rpmbuild --quiet --define '_topdir /r' -bb /r/SPECS/p.spec >/tmp/rpm.log 2>&1 || cat /tmp/rpm.log
rpm -i --nodeps /r/RPMS/noarch/p-1-1.noarch.rpm 2>/dev/null && echo "rpm $(stat -c %U:%G:%a /srv/p/f /srv/p | xargs) $(rpm -V --nodeps p)"
redis-server --version >/dev/null && su -s /bin/sh redis -c 'echo x >/var/lib/redis/dump; stat -c %U:%G /var/lib/redis/dump'
X
ok "packages with users of their own are installed" rl run --name c -v "$T/steps:/steps:ro" debian sh /steps
cp "$T/.out" out
unlike "without complaints about owners or permissions" "$(cat "$T/.err")" '[Pp]ermission denied|Operation not permitted|Invalid argument|setgroups'
line() { grep "^$1 " out; }
is "apt-get and dpkg: files are the package's user's" "$(line redis)" "redis redis:redis:750 redis:redis:640 redis:adm:2750"
is "dpkg finds nothing amiss" "$(line audit)" "audit 0 verify 0"
is "useradd: a home is its user's" "$(line joe)" "joe joe:joe joe:joe shadow"
is "su: a user is who he is, and so is what he makes" "$(line su)" "su joe joe"
is "setpriv as well" "$(line setpriv)" "setpriv joe"
is "usermod: groups are had" "$(line groups)" "groups joe crew"
is "tar -x as root gives files to whom they were" "$(line tar)" "tar 12:34 12:34 5:6"
is "cp -a keeps owners" "$(line cp)" "cp 12:34 12:34 5:6"
is "install -o sets them" "$(line install)" "install games:mail:640"
is "rpm: a package's owners, which it verifies" "$(line rpm)" "rpm games:mail:640 daemon:daemon:2755 "
is "a file a service makes is the service's" "$(tail -n 1 out)" "redis:redis"

names() { tar --numeric-owner -tv | grep -E ' \.?/?(var/lib/redis/(dump)?|etc/redis/redis.conf|home/joe/f|t/d/l -> a|srv/p/f|etc/shadow|usr/bin/chage)$' | sed -E 's/ +/ /g' | awk '{print $1, $2, $6}' | sort -k3; }
redis=$(rl cp c:/etc/passwd - 2>/dev/null | tar -xO | awk -F: '$1 == "redis" {print $3 "/" $4}')
joe=$(rl cp c:/etc/passwd - 2>/dev/null | tar -xO | awk -F: '$1 == "joe" {print $3 "/" $4}')
want="-rw-r----- $redis etc/redis/redis.conf
-rw-r----- 0/42 etc/shadow
-rw-r--r-- $joe home/joe/f
-rw-r----- 60/8 srv/p/f
lrwxrwxrwx 5/6 t/d/l
-rwxr-sr-x 0/42 usr/bin/chage
drwxr-x--- $redis var/lib/redis/
-rw-r--r-- $redis var/lib/redis/dump"
games=$(rl cp c:/etc/passwd - 2>/dev/null | tar -xO | awk -F: '$1 == "games" {print $3}')
want=${want//60\/8/$games\/8}
is "export gives back the owners of all of it" "$(rl export c 2>/dev/null | names | sed 's| \./| |')" "$want"
ok "it is committed" rl commit -q c installed
is "and the image has them" "$(rl run --rm --network none installed stat -c %U:%G /var/lib/redis/dump /home/joe/f /srv/p/f /etc/shadow 2>/dev/null | xargs)" "redis:redis joe:joe games:mail root:shadow"
rl rm -f c >/dev/null 2>&1
leftovers "nothing runs or is mounted afterwards"
done_testing
