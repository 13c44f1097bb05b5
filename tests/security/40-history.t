#!/bin/bash
# Every row of history.tsv names a test that exists, and rl-security(7) has the table made from it.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
top=$RL_TEST_HELPERS/../..
rows=0
while IFS=$'\t' read -r group names threat defence test phrase; do
	case $group in '#'*) continue ;; esac
	rows=$((rows + 1))
	[ -e "$top/$test" ] || { case $test in tests/unit/*.c) continue ;; esac; } # sources of unit tests are not staged
	ok "$names ($threat): $test says '$phrase'" grep -qF -- "$phrase" "$top/$test"
done <"$top/tests/security/history.tsv"
ok "there are rows" test $rows -gt 50
zcat "$RL_TEST_PREFIX/share/man/man7/rl-security.7.gz" |
	sed -n '/^\.\\" table: made by/,/^\.\\" end of table/p' | sed '1d;$d' >page
is "the table of rl-security(7) is made from it" "$("$HELPERS/history-page" "$top" | diff - page | head -5)" ""
done_testing
