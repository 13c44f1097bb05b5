#!/bin/bash
# The harness itself: a harness that cannot fail proves nothing.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

# inner NAME [VAR=VALUE...]: runs a test file made from standard input under a run-one of its own.
inner() {
	local name=$1
	shift
	{
		echo '#!/bin/bash'
		echo ". '$HELPERS/tap.sh'"
		cat
	} >"$T/$name.t"
	env -u RL_TEST_GUARD -u RL_TEST_STAGE "$@" "$HELPERS/run-one" "$T/$name.t" >"$T/$name.tap" 2>"$T/$name.err"
	INNER_STATUS=$?
	INNER=$(cat "$T/$name.tap")
}

inner good <<'X'
ok "a good one" true
is "equal" a a
done_testing
X
is "a file whose lines are all ok ends with 0" "$INNER_STATUS" 0
like "and has a plan" "$INNER" '1\.\.2'

inner bad <<'X'
ok "a bad one" false
done_testing
X
isnt "a file with a failing line does not" "$INNER_STATUS" 0
like "and the line says so" "$INNER" 'not ok 1 - a bad one'

inner noplan <<'X'
ok "fine so far" true
exit 0
X
unlike "a file that ends by accident has no plan" "$INNER" '1\.\.'

inner crash <<'X'
must_fail "refuses" bash -c 'echo no; kill -SEGV $$'
must_fail "refuses too" bash -c 'echo "ERROR: AddressSanitizer: x" >&2; exit 1'
must_fail "refuses in silence" false
must_fail "does not refuse" true
must_fail "with another status" --status 125 bash -c 'echo no >&2; exit 1'
must_fail "with another text" --stderr 'no such image' bash -c 'echo other >&2; exit 1'
TAP_TIMEOUT=1
must_fail "in time" sleep 30
must_fail "well" --status 3 --stderr '^no$' bash -c 'echo no >&2; exit 3'
done_testing
X
is "must_fail takes crashes, reports, silence, success, wrong status, wrong text and hangs for failures" \
	"$(grep -c '^not ok' <<<"$INNER")" 7
like "and a refusal for what it is" "$INNER" 'ok 8 - well'

inner left <<'X'
setsid bash -c 'trap "" TERM; exec sleep 1000' &
disown
ok "something" true
done_testing
X
like "a process that is left over is a failure" "$INNER" 'not ok 2 - nothing of the test is left running'
like "that names it" "$INNER" 'sleep 1000'
like "within the plan" "$INNER" '1\.\.2'
ok "and it is ended" wait_for "its end" 10 tap_nothing_left

inner leftovers <<'X'
sleep 1000 &
pid=$!
leftovers "nothing runs"
kill $pid
wait $pid
leftovers "nothing runs any more"
done_testing
X
like "leftovers sees a process that runs" "$INNER" 'not ok 1 - nothing runs'
like "and sees when there is none" "$INNER" $'\nok 2 - nothing runs any more'

inner late <<'X'
# deadline: 1
ok "something" true
sleep 1000
X
like "a file that takes too long is ended" "$INNER" 'not ok 2 - the test ends within'

inner skipped RL_TEST_STRICT=1 <<'X'
skip "a property" "no reason on the list"
skip "another" "only root can do it"
done_testing
X
like "a skip that is not on the list is a failure in strict mode" "$INNER" 'not ok 1 - a property'
like "one that is on it is not" "$INNER" $'\nok 2 - another # SKIP only root'
isnt "the status says so" "$INNER_STATUS" 0
inner skipped RL_TEST_STRICT=0 <<'X'
skip "a property" "no reason on the list"
done_testing
X
is "without strict mode a skip is a skip" "$INNER_STATUS" 0
inner all RL_TEST_STRICT=1 <<'X'
skip_all "nothing works here"
X
like "a file that skips everything is a failure in strict mode" "$INNER" 'not ok 1'

inner bail <<'X'
echo "Bail out! no"
done_testing
X
unlike "one file cannot end the whole suite" "$INNER" '^Bail'

inner tidy <<'X'
on_finish 'echo second >>"$TMPDIR/order"'
on_finish 'echo first >>"$TMPDIR/order"'
mkdir -p "$T/a/b"
chmod 000 "$T/a"
echo "$T" >"$TMPDIR/where"
ok "in a directory of its own" test "$PWD" = "$T"
ok "with a store of its own" test "$RL_ROOT" = "$T/store"
ok "and no runtime directory" test -z "${XDG_RUNTIME_DIR:-}"
done_testing
X
is "the inner tests pass" "$INNER_STATUS" 0
not_ok "the temporary directory is gone afterwards" test -e "$(cat "$TMPDIR/where")"
is "on_finish runs last things first" "$(tr '\n' ' ' <"$TMPDIR/order")" "first second "
rm -f "$TMPDIR/order" "$TMPDIR/where"

ok "wait_for waits for a condition" wait_for "a file" 5 test -e "$T"
not_ok "and gives up" wait_for "a file" 0 test -e "$T/nothing"

is "the payload runs" "$(tinit exit 7; echo $?)" 7
output_is "the payload's attempts name the errno" ENOENT tinit open /no/such/file
output_is "enosys takes a system call away" ENOSYS enosys mkdir,mkdirat tinit syscall 83 @/x 0
output_is "and can say something else" EPERM enosys --errno EPERM mkdir tinit syscall 83 @/x 0
done_testing
