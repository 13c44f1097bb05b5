#!/bin/bash
# What goes wrong around a container that lives: nobody reads its terminal, its records are damaged or from another
# time, its process's number is another's by now, its disk is full. Nothing hangs, nothing of others is touched.
# deadline: 300
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
have python3 || skip_all "python3 is not installed"
N="--network none"
status_is_now() { [ "$(rl inspect -f '{{.State.Status}}' "$1")" = "$2" ]; }
logs_have() { rl logs "$1" 2>&1 | grep -q "$2"; }

# A program on a terminal that is read until it has said `want`, then is stopped as by Ctrl-Z or left unread.
cat >unread.py <<'P'
import os, pty, signal, sys, time
want = sys.argv[1].encode()
how = sys.argv[2]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
seen = b''
while want not in seen:
    seen += os.read(fd, 65536)
if how == 'stop':
    os.kill(pid, signal.SIGSTOP)
print(pid, flush=True)
sys.stdin.read()
os.kill(pid, signal.SIGKILL)
P
# unread WHAT HOW rl ...: the client's pid in CLIENT; end_unread ends it.
unread() {
	mkfifo hold
	python3 unread.py "$@" <hold >client.pid 2>/dev/null &
	UNREAD=$!
	exec 9>hold
	wait_for "the client" 60 test -s client.pid
}
end_unread() {
	exec 9>&-
	wait $UNREAD 2>/dev/null
	rm -f client.pid hold
}
flood='yes 0123456789012345678901234567890123456789012345678901234567890'

faults() {
	local how=$1 id other pid sleeper bad name file saved

	# --- a terminal nobody reads
	rl run -dt $N --name p busybox sh -c "$flood | head -n 50000; echo end >/end" >/dev/null
	is "$how: a terminal that nobody looks at does not stop the program" "$(timeout 60 rl wait p)" 0
	is "$how: and its output is in the log" "$(rl logs p | grep -c '^0123456789')" 50000
	rl rm p >/dev/null

	rl run -dit $N --name t busybox sh -c "$flood" >/dev/null
	unread 0123 stop rl attach t
	ok "$how: while an attached client is stopped ps answers" timeout 20 rl ps
	ok "$how: logs too" sh -c 'timeout 20 rl logs -n 5 t | grep -q 0123'
	ok "$how: exec too" timeout 20 rl exec t true
	ok "$how: another container is none the wiser" timeout 20 rl run --rm $N busybox true
	ok "$how: and stop ends it" timeout 30 rl stop -t 1 t
	is "$how: its end is recorded" "$(rl inspect -f '{{.State.Status}} {{.State.ExitCode}}' t)" "exited 137"
	end_unread
	ok "$how: it can be started again" rl start t
	unread 0123 leave rl attach t
	ok "$how: a client whose own terminal is not read is no obstacle to rm -f" timeout 30 rl rm -f t
	end_unread

	rl run -d $N --name x busybox sleep 1000 >/dev/null
	unread 0123 stop rl exec -it x sh -c "$flood"
	ok "$how: while the client of an exec is stopped, exec works" timeout 20 rl exec x true
	ok "$how: stop works, though only that client can reap its process" timeout 30 rl stop -t 1 x
	end_unread
	rl start x >/dev/null
	unread 0123 leave rl exec -it x sh -c "$flood"
	ok "$how: and where the client's terminal is not read" timeout 30 rl stop -t 1 x
	end_unread
	rl rm x >/dev/null

	unread 0123 stop rl run -it $N --name fg busybox sh -c "$flood"
	ok "$how: a foreground run whose rl is stopped can be stopped" timeout 40 rl stop -t 1 fg
	end_unread
	ok "$how: and removed" timeout 30 rl rm -f fg

	# --- a log flood beside everything else
	rl run -d $N --log-opt max-size=64k --log-opt max-file=2 --name fl busybox sh -c "$flood" >/dev/null
	wait_for "the flood" 60 logs_have fl 0123
	ok "$how: a container that floods its log can be looked at" timeout 20 rl ps
	is "$how: its log stays within bounds while it does" "$(bad=0; for i in $(seq 50); do
		size=$(cat store/containers/*/container.log* 2>/dev/null | wc -c); [ "$size" -le 200000 ] || bad=$size; done; echo $bad)" 0
	timeout 20 rl logs -f fl >followed & pid=$!
	ok "$how: a follower of it is served" wait_for "output" 20 test -s followed
	ok "$how: and it is stopped" timeout 30 rl stop -t 1 fl
	wait $pid
	is "$how: with which the follower ends" $? 0
	rl rm fl >/dev/null

	# --- what containers do
	rl run -d $N --name closed busybox sh -c 'exec <&- >&- 2>&-; sleep 1000' >/dev/null
	ok "$how: one that closed its standard files runs on" status_is_now closed running
	ok "$how: can be joined" rl exec closed true
	cpu() { awk '{ print $14 + $15 }' "/proc/$(rl inspect -f '{{.State.MonitorPid}}' closed)/stat"; }
	is "$how: and keeps nobody busy" "$(a=$(cpu); timeout 1 rl events --filter container=none >/dev/null; echo $(($(cpu) - a > 20)))" 0
	ok "$how: and stopped" timeout 20 rl stop -t 1 closed
	rl run -d $N --name bomb --ulimit nproc=4096 busybox sh -c 'trap "" TERM; while :; do (sleep 1000 &); done' >/dev/null
	forks() { [ "$(rl top bomb pid | wc -l)" -gt 50 ]; }
	ok "$how: one that forks without end and ignores SIGTERM" wait_for "its children" 60 forks
	pid=$(rl inspect -f '{{.State.Pid}}' bomb)
	ns=$(readlink "/proc/$pid/ns/pid")
	ok "$how: is removed" timeout 60 rl rm -f bomb
	is "$how: with all it forked" "$(for p in /proc/[0-9]*; do [ "$(readlink "$p/ns/pid" 2>/dev/null)" = "$ns" ] && echo "$p"; done)" ""
	rl rm -f closed >/dev/null

	# --- it ends between the two looks of who asks: at its record, at its process
	if have strace; then
		rl run -d $N --name ends busybox sleep 1000 >/dev/null
		id=$(rl inspect -f '{{.State.Pid}}' ends)
		ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -D -qq -o looks -P "/proc/$id/stat" -e trace=openat \
			-e inject=openat:signal=STOP:when=1 rl inspect -f '{{.State.ExitCode}}' ends >said & pid=$!
		wait_for "the second look" 60 grep -q 'stopped by SIGSTOP' looks
		rl kill ends >/dev/null
		is "$how: one that ends while somebody looks is recorded" "$(rl wait ends)" 137
		kill -CONT $pid
		wait $pid
		is "$how: and who looked tells what the monitor wrote, not that nobody knows" "$(cat said)" 137
		rl rm ends >/dev/null
	else
		skip "strace is not installed" "$how: one that ends while somebody looks"
	fi

	# --- the number of its process is another's
	rl run -d $N --name old busybox sleep 1000 >/dev/null
	rl run -d $N --name other busybox sleep 1000 >/dev/null
	id=$(rl inspect -f '{{.Id}}' old)
	kill -9 "$(rl inspect -f '{{.State.MonitorPid}}' old)" "$(rl inspect -f '{{.State.Pid}}' old)"
	sleep 1000 & sleeper=$!
	python3 - "store/containers/$id/state.json" "$sleeper" <<'P'
import json, sys
s = json.load(open(sys.argv[1]))
s['init_pid'] = s['monitor_pid'] = int(sys.argv[2])
open(sys.argv[1], 'w').write(json.dumps(s))
P
	like "$how: the record names the stranger's number" "$(cat "store/containers/$id/state.json")" "\"init_pid\": $sleeper"
	is "$how: it is not listed as running" "$(rl ps -a --filter name=old --format '{{.State}}')" exited
	for verb in "kill" "stop -t 0" "pause" "exec" "top"; do
		case $verb in exec) rl exec old true ;; *) rl $verb old ;; esac >/dev/null 2>&1
	done
	rl rm -f old >/dev/null
	ok "$how: and no verb touches the stranger" kill -0 $sleeper
	not_ok "$how: (who is not stopped either)" grep -q '^State:.T' "/proc/$sleeper/status"
	kill $sleeper
	wait $sleeper 2>/dev/null
	status_is_now other running
	is "$how: another container runs on" $? 0

	# --- times of another clock
	rl run -d $N --name future busybox sh -c 'echo one; echo two; sleep 1000' >/dev/null
	wait_for "its output" 60 logs_have future two
	id=$(rl inspect -f '{{.Id}}' future)
	python3 - "store/containers/$id" <<'P'
import json, re, sys
d = sys.argv[1]
day = 86400 * 10**9
for f in ('config.json', 'state.json'):
    s = json.load(open(f'{d}/{f}'))
    for k in ('created', 'started'):
        if k in s: s[k] += 400 * day
    open(f'{d}/{f}.new', 'w').write(json.dumps(s))
    __import__('os').rename(f'{d}/{f}.new', f'{d}/{f}')
lines = open(f'{d}/container.log').read().splitlines()
lines[0] = re.sub(r'"time":"\d{4}', '"time":"2090', lines[0])
open(f'{d}/container.log', 'w').write('\n'.join(lines) + '\n')
P
	like "$how: one that was started in the future is listed" "$(rl ps --filter name=future --format '{{.Names}} {{.RunningFor}} {{.Status}}')" '^future Less than a second ago Up Less than a second$'
	is "$how: the log is shown in the order it was written" "$(rl logs future | tr '\n' ' ')" "one two "
	is "$how: --since takes what is later" "$(rl logs --since 2089-01-01T00:00:00Z future)" one
	is "$how: --until does not end at a line of the future" "$(rl logs --until 2089-01-01T00:00:00Z future)" two
	ok "$how: it is stopped in its time" timeout 30 rl stop -t 1 future
	ok "$how: and removed" rl rm future

	# --- damaged records
	bad=
	rl create $N --name model busybox true >/dev/null
	id=$(rl inspect -f '{{.Id}}' model)
	rl start -a model
	files=$(cd "store/containers/$id" && find . -maxdepth 1 -type f -size +0 -printf '%f\n' | sort)
	like "$how: a container has these records" "$(echo $files)" 'config.json.*state.json'
	rl rm model >/dev/null
	for file in $files; do
		for kind in empty half garbage gone; do
			[ "$file.$kind" = config.json.gone ] && continue # without it there is no container: it is swept
			for state in stopped running; do
				name=v-$kind
				if [ $state = running ]; then rl run -d $N --name "$name" busybox sleep 1000 >/dev/null; else
					rl create $N --name "$name" busybox true >/dev/null && rl start -a "$name"; fi
				id=$(rl inspect -f '{{.Id}}' "$name")
				saved=store/containers/$id/$file
				[ -e "$saved" ] || { rl rm -f "$name" >/dev/null; continue; }
				size=$(stat -c %s "$saved")
				case $kind in
				empty) : >"$saved" ;;
				half) truncate -s $((size / 2)) "$saved" ;;
				garbage) head -c "$size" /dev/urandom >"$saved" ;;
				gone) rm -f "$saved" ;;
				esac
				listed=$(timeout 20 rl ps -a --no-trunc --format '{{.ID}}') || bad="$bad list:$file:$kind:$state"
				[[ $listed = *other* ]] || [ "$(rl ps --filter name=^other$ --format '{{.State}}')" = running ] || bad="$bad other:$file:$kind:$state"
				timeout 20 rl inspect "$id" >/dev/null 2>.err
				[ $? -le 125 ] || bad="$bad inspect:$file:$kind:$state"
				timeout 30 rl rm -f "$id" >/dev/null 2>.err || bad="$bad rm:$file:$kind:$state"
				[ ! -e "store/containers/$id" ] || bad="$bad left:$file:$kind:$state"
				[ -z "$(rl ps -aq --filter name="^$name$")" ] || bad="$bad listed:$file:$kind:$state"
			done
		done
	done
	is "$how: each record emptied, halved, overwritten and taken away: it is listed and can be removed" "$bad" ""
	is "$how: the other one runs on" "$(rl inspect -f '{{.State.Status}}' other)" running
	ok "$how: rm -fa" rl rm -fa
	is "$how: and nothing is left" "$(rl ps -aq)$(ls store/names)" ""
	leftovers "$how: no process or mount stays"
}
faults subordinate
RL_IDMAP=single faults single

# --- a record that cannot be written. The leak checker cannot be traced.
if have strace && [ "${RL_TEST_FLAVOUR:-}" != asan ]; then
	export RL_IDMAP=single # strace takes newuidmap's privileges away
	rl create --name unwritten $N busybox sleep 1000 >/dev/null
	must_fail "a container does not start of which nothing can be written" --stderr "record of container" timeout -k 5 60 \
		strace -D -f -qq -e trace=renameat -e inject=renameat:error=EIO:when=1 -o unwritten.trace rl start unwritten
	ok "(its record was what failed)" grep -q 'state.json.*INJECTED' unwritten.trace
	like "it is not running" "$(rl ps -a --filter name=unwritten --format '{{.Status}}')" '^(Exited|Created)'
	ok "and starts when it can" rl start unwritten
	ok "and goes" rl rm -f unwritten
	unset RL_IDMAP
else
	skip "a container does not start of which nothing can be written" "strace is not installed"
fi

# --- a full disk: a small one of its own
cat >full.sh <<'P'
mount -t tmpfs -o size=8m none "$1" || exit 77
export RL_ROOT=$1/store RL_IDMAP=single
quiet() { "$@" >/dev/null 2>&1; }
rl run -d --network none --name full busybox sh -c 'trap "exit 9" TERM; until [ -e /go ]; do sleep 0.1; done; while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done' >/dev/null
rl run -d --network none --name beside busybox sh -c 'trap "exit 4" TERM; while :; do sleep 0.1; done' >/dev/null
# What is set aside for their ends is there only a moment after they run.
i=0; until [ "$(find "$1/store/containers" -name reserve -size +0 | wc -l)" = 2 ] || [ $((i += 1)) -ge 600 ]; do sleep 0.1; done
rl exec full touch /go
full() { ! head -c 4096 /dev/zero >"$1/probe" 2>/dev/null; }
i=0; while ! full "$1" && [ $((i += 1)) -lt 600 ]; do sleep 0.1; done
cat /dev/zero >"$1/rest" 2>/dev/null
echo "state: $(rl inspect -f '{{.State.Status}}' full)"
quiet rl exec full true; echo "exec: $?"
echo "logs: $(rl logs full 2>/dev/null | head -n 1 | cut -c1-10)"
quiet rl stop -t 20 full; echo "stop: $?"
echo "end: $(rl inspect -f '{{.State.Status}} {{.State.ExitCode}}' full)"
{ rl inspect -f '{{.State.Error}}' full; rl logs full 2>&1; } | grep -oE 'bytes of the log were lost: No space left on device' | sort -u
quiet rl kill -s TERM beside; echo "kill: $?"
echo "wait: $(rl wait beside)"
quiet rl rm full beside; echo "rm: $?"
rm "$1/rest" "$1/probe"
rl rm -fa >/dev/null; echo "left: $(rl ps -aq)"
P
mkdir full
if unshare -rm true 2>/dev/null; then
	is "a disk that its log has filled: the container goes on, is stopped, its end recorded, it is removed, another one is not hurt, and what was lost is said" \
		"$(timeout 200 unshare -rm bash full.sh "$T/full" 2>&1)" "state: running
exec: 0
logs: 0123456789
stop: 0
end: exited 9
bytes of the log were lost: No space left on device
kill: 0
wait: 4
rm: 0
left: "
else
	skip "a full disk" "no user and mount namespace"
fi
done_testing
