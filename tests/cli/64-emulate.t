#!/bin/bash
# One id only, and calls on owners and identity answered: who a process is, and whose its files are, as with many ids.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
export RL_IDMAP=single
run() { rl run --rm --network none "$@" 2>err; }

# --- identity
is "without emulation another user is refused" "$(run --emulate=off -u 33 busybox id; grep -c 'emulate=full' err)" 1
like "-u is that user, without being asked for" "$(run -u 33:34 busybox id)" '^uid=33[( ].*gid=34[( ].*groups=34'
like "with the groups asked for" "$(run -u 33 --group-add 50 busybox id -G)" '50'
like "root is root" "$(run --emulate=full busybox id)" '^uid=0.root. gid=0.root.'
is "what a process becomes, its children are" "$(run --emulate=full busybox su -s /bin/sh nobody -c 'sh -c "id -u; id -g"')" "65534
65534"
is "and its parent stays what it was" "$(run --emulate=full busybox sh -c 'su -s /bin/sh nobody -c true; id -u')" 0
is "after a full setuid there is no way back" "$(run --emulate=full busybox su -s /bin/sh nobody -c 'su -s /bin/sh root -c "id -u" 2>/dev/null || echo refused')" refused
is "with --init too" "$(run --emulate=full --init -u 7 busybox id -u)" 7
is "and with a main filter that comes first" "$(run --emulate=full --security-opt no-new-privileges=false -u 7 busybox id -u)" 7
is "an image that needs none of it gets none" "$(rl run --explain --network none busybox true 2>/dev/null | grep -c notifyd)" 0
like "--explain says what is answered" "$(rl run --explain --network none --emulate=full busybox true 2>/dev/null)" 'answered by rl-notifyd: owners and identity'

# --- a container that runs
rl run -d --name c --network none --emulate=full busybox sleep 1000 >/dev/null 2>&1
is "exec is who it is asked to be" "$(rl exec -u 33 c id -u 2>/dev/null)" 33
is "and root otherwise" "$(rl exec c id -u 2>/dev/null)" 0
is "what an exec leaves behind stays who it was" "$(rl exec -u 33 c sh -c '(sleep 0.2; id -u >/tmp/id) &' 2>/dev/null; rl exec c sh -c 'until [ -s /tmp/id ]; do sleep 0.1; done; cat /tmp/id' 2>/dev/null)" 33
rl restart -t 0 c >/dev/null 2>&1
is "and so it is after a restart" "$(rl exec -u 33 c id -u 2>/dev/null)" 33
rl rm -f c >/dev/null 2>&1
done_testing
