#!/bin/bash
# A hostile container whose calls on owners are answered by a process of ours: what it writes while we look, and where it
# makes us go.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
export RL_IDMAP=single
cp "$(command -v emulated)" emulated
run() { rl run --rm --network none -v "$T/emulated:/emulated:ro" --emulate=full "$@" 2>err; }
host_marks() { getfattr -R -d -m '^user\.rl|^trusted' "$1" 2>/dev/null | grep -c rl; }

# --- paths that change while they are resolved
mkdir outside && touch outside/file && chmod 777 outside
mkdir inside && chmod 777 inside
for where in "$T/outside" "../../../../../../../../../../..$T/outside" "/proc/1/root$T/outside" "/proc/$$/root$T/outside"; do
	is "a directory exchanged for a symlink to ${where//$T/HOST} is chowned in the container only" \
		"$(run -v "$T/inside:/in" busybox sh -c "rm -rf /in/*; /emulated race-path /in '$where' 1500"; stat -c %u outside/file)" "done some
$(id -u)"
done
is "nothing outside of the container was marked" "$(host_marks outside)" 0
is "and nothing made there" "$(ls outside)" file
is "/proc/self/.. is not the host's /proc" "$(run busybox sh -c 'chown 5 /proc/self/../1/oom_score_adj 2>/dev/null; mkdir /proc/self/../x 2>/dev/null; stat -c %n "/proc/self/../$PPID/../'$$'" 2>/dev/null; echo end')" end

# --- memory that changes while it is read
is "a record cannot be forged by exchanging the name of an attribute" "$(run busybox /emulated race-name /tmp/f 4000)" "refused some"
is "our attributes cannot be set, removed or seen" "$(run busybox sh -c 'touch /tmp/a; chown 5 /tmp/a; /emulated attr /tmp/a user.rl.stat "1 0 0 100644 0 0"; /emulated attr /tmp/a user.rl.stat; /emulated attr /tmp/a user.overlay.opaque y; /emulated attr /tmp user.rl.at.x y; /emulated attr /tmp/a user.own x; stat -c %u /tmp/a')" "set EPERM
removed ENODATA
set EPERM
set EPERM
set yes user.own
5"
is "what only root of the machine may set succeeds" "$(run busybox /emulated attr /etc/passwd trusted.x y)" "set yes"
is "bad pointers and long names are errors of the caller" "$(run busybox timeout 20 /emulated pointers)" "long symlink 0 0 owner 5
alive 0"

# --- a container that was not emulated wrote its own records
rl run --name forger --network none -v "$T/emulated:/emulated:ro" --emulate=off busybox sh -c 'touch /g; /emulated attr /g user.rl.stat "1 4711 4711 100644 0 0"' >said 2>/dev/null
like "a container without emulation can write what looks like a record" "$(cat said)" 'set yes'
is "they are not believed" "$(rl export forger 2>/dev/null | tar --numeric-owner -tv | grep -c 4711)" 0
rl commit -q forger forged >/dev/null 2>&1
is "nor by commit" "$(run forged stat -c %u:%a /g)" "0:644"

# --- the supervisor
rl run -d --name c --network none --pid=host --emulate=full busybox sleep 1000 >/dev/null 2>&1
pid=$(pgrep -u "$(id -u)" -x rl-notifyd | head -n 1)
isnt "it is a process of the user's" "$pid" ""
is "root of a container that can see it can neither read its memory nor signal it out of reach of its user" \
	"$(rl exec c sh -c "cat /proc/$pid/environ 2>/dev/null | wc -c; ls -l /proc/$pid/fd 2>/dev/null | grep -c -e '->'; readlink /proc/$pid/exe" 2>/dev/null | xargs)" "0 0"
# What /proc/self is for it, and its own number, lead nowhere either: not to the host's tree, not to its program.
in_c() { rl exec c sh -c "$1" 2>/dev/null; }
rl cp emulated c:/emulated >/dev/null 2>&1
for where in /proc/self "/proc/$pid"; do
	for way in "cwd/..$T" "cwd/../..$T" "root/../..$T" "fd/3/..$T" "fd/4/..$T" "fd/5/..$T" "fd/6/..$T" "fd/7/..$T" "fd/8/..$T"; do
		in_c "ln -sfn $where/$way /tmp/x; chown 5 /tmp/x/outside/file $where/$way/outside/file; mkdir /tmp/x/outside/made $where/$way/outside/made; /emulated attr /tmp/x/outside/file trusted.x y" >/dev/null
	done
	in_c "chown 5 $where/exe; ln -sfn $where/exe /tmp/e; chown 5 /tmp/e; /emulated attr /tmp/e user.x y" >/dev/null
done
is "it is not led to files of the host through itself" "$(host_marks outside; ls outside)" "0
file"
is "nor to its own program" "$(getfattr -d -m '^user' "$(readlink -f /proc/$pid/exe 2>/dev/null || echo "$RL_TEST_PREFIX/libexec/rl/rl-notifyd")" 2>/dev/null | grep -c user)" 0
is "it has no capability that it does not need" "$(grep -c '^CapEff:.*0000000000000000' /proc/$pid/status; grep CapBnd /proc/$pid/status | awk '{print $2}')" "0
0000000000000000"
like "and cannot gain any" "$(cat /proc/$pid/status)" 'NoNewPrivs:.*1'
# The sanitizers need calls of their own; that build has no filter.
[ "${RL_TEST_FLAVOUR:-}" = asan ] ||
	like "what it does not need of the kernel would end it" "$(cat /proc/$pid/status)" 'Seccomp:.*2'
kill -9 "$pid"
is "when somebody ends it, calls fail and nothing hangs" "$(timeout 10 rl exec c id -u 2>/dev/null)" 0
rl rm -f c >/dev/null 2>&1
wait_for "every supervisor to end with its container" 10 sh -c "! pgrep -u $(id -u) -x rl-notifyd"
pass "every supervisor ends with its container"
done_testing
