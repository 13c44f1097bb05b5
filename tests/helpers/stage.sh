# stage.sh - a place to run the built tree from, and an ordinary user to run it as. Sourced by tests/run, `make try` and
# the benchmark.
#
# Model: everything a run makes lives in one directory, the stage, which any user can read: the installed tree in
# prefix/, the tests in tests/, the user's home in home/, temporary directories in tmp/. As root an account is made for
# the run (its subordinate ids come from useradd itself, once uidmap is installed). stage_close, called from an EXIT
# trap, ends what the account still runs, removes it and the stage. A run that was killed is swept by the next one: the
# account's comment field names the process that made it.
#
# Sets: STAGE, STAGE_USER (empty when not root), STAGE_HOME.

STAGE=
STAGE_USER=
STAGE_HOME=
STAGE_COMMENT='rl test user of process'

stage_say() {
	printf '%s\n' "$*" >&2
}

# Start time of a living process, so that a recycled pid is not taken for the run that made the account.
stage_start_time() {
	[ -r "/proc/$1/stat" ] && sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

# uid and first,count of the subordinate range of a user, as "FIRST LAST" lines.
stage_uid_ranges() {
	local uid
	uid=$(id -u "$1") || return
	echo "$uid $uid"
	awk -F: -v u="$1" '$1 == u { print $2, $2 + $3 - 1 }' /etc/subuid 2>/dev/null
}

# SIGKILL to every process whose real uid is the account's or in its subordinate range: nobody else has those.
stage_kill_user() {
	local ranges pid uid first last
	ranges=$(stage_uid_ranges "$1") || return 0
	for pid in /proc/[0-9]*; do
		uid=$(awk '/^Uid:/ { print $2; exit }' "$pid/status" 2>/dev/null) || continue
		[ -n "$uid" ] || continue
		while read -r first last; do
			[ "$uid" -ge "$first" ] && [ "$uid" -le "$last" ] && kill -KILL "${pid#/proc/}" 2>/dev/null
		done <<<"$ranges"
	done
	return 0
}

stage_remove_user() {
	case $1 in
	rltest-*) ;;
	*) return 1 ;;
	esac
	stage_kill_user "$1"
	# A killed process may take a moment to be gone, and userdel refuses while one is there.
	local i
	for i in 1 2 3 4 5 6 7 8 9 10; do
		userdel "$1" 2>/dev/null && return 0
		id "$1" >/dev/null 2>&1 || return 0
		stage_kill_user "$1"
		read -r -t 0.2 _ <> <(:) || :
	done
	userdel -f "$1" 2>/dev/null
}

# Accounts and directories left by runs that did not reach their trap (SIGKILL, power).
stage_sweep() {
	local name comment home pid start
	[ "$(id -u)" = 0 ] || return 0
	while IFS=: read -r name _ _ _ comment home _; do
		case $name:$comment in
		rltest-*:"$STAGE_COMMENT "*) ;;
		*) continue ;;
		esac
		read -r pid start <<<"${comment#"$STAGE_COMMENT "}"
		[ "$(stage_start_time "$pid")" = "$start" ] && continue
		stage_remove_user "$name"
		case $home in
		/*/rl-check.??????/home) rm -rf --one-file-system "${home%/home}" ;;
		esac
	done </etc/passwd
}

stage_open() {
	local base=${RL_STAGE_BASE:-/var/tmp}
	stage_sweep
	STAGE=$(mktemp -d "$base/rl-check.XXXXXX") || return 1
	chmod 755 "$STAGE"
	STAGE_HOME=$STAGE/home
	mkdir "$STAGE/prefix"
	if [ "$(id -u)" != 0 ]; then
		mkdir -m 700 "$STAGE_HOME" "$STAGE_HOME/tmp"
		return 0
	fi
	mkdir -m 700 "$STAGE/tmp"
	STAGE_USER=rltest-${STAGE##*.}
	STAGE_USER=${STAGE_USER,,}
	useradd -m -d "$STAGE_HOME" -s /bin/bash -c "$STAGE_COMMENT $$ $(stage_start_time $$)" "$STAGE_USER" \
		>/dev/null || { stage_say "cannot make the test user $STAGE_USER"; STAGE_USER=; return 1; }
	grep -q "^$STAGE_USER:" /etc/subuid 2>/dev/null ||
		stage_say "note: useradd gave $STAGE_USER no subordinate ids; tests that need them will say so"
	install -d -m 700 -o "$STAGE_USER" -g "$STAGE_USER" "$STAGE_HOME/tmp"
}

stage_close() {
	[ -n "$STAGE" ] || return 0
	[ -n "$STAGE_USER" ] && stage_remove_user "$STAGE_USER"
	chmod -R u+rwX "$STAGE" 2>/dev/null
	rm -rf --one-file-system "$STAGE" 2>/dev/null ||
		# Files of subordinate ids: only a namespace that maps them may remove them.
		unshare --map-root-user --map-auto rm -rf --one-file-system "$STAGE" 2>/dev/null ||
		stage_say "left behind: $STAGE"
	STAGE=
	STAGE_USER=
}

# Run a command as the stage's user with a login's clean environment (no XDG_RUNTIME_DIR).
stage_as_user() {
	local -a env=(env -i "HOME=$STAGE_HOME" "TMPDIR=$STAGE_HOME/tmp" LANG=C.UTF-8 "TERM=${TERM:-dumb}"
		"PATH=$STAGE/prefix/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
	if [ -n "$STAGE_USER" ]; then
		(cd "$STAGE_HOME" && exec setpriv --reuid="$STAGE_USER" --regid="$STAGE_USER" --init-groups \
			"${env[@]}" USER="$STAGE_USER" LOGNAME="$STAGE_USER" "$@")
	else
		(cd "$STAGE_HOME" && exec "${env[@]}" USER="$(id -un)" LOGNAME="$(id -un)" "$@")
	fi
}
