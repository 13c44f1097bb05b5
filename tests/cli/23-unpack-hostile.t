#!/bin/bash
# The corpus of tests/data/layers: every layer ends as its line says, and nothing outside the target ever changes, with
# subordinate ids (where this user has some) and with a single-uid map.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

layers=$T/layers
box=$T/box
mkdir -p "$box/outside" "$box/work"
echo secret >"$box/outside/secret"
/usr/bin/python3 "$(dirname "$0")/../data/layers/make-layers" "$layers" "$box/outside" ||
	{ echo "Bail out! the corpus could not be made"; exit 1; }

# Everything outside the target: names, types, modes, sizes, times, contents. The clean-up afterwards is root in the
# id map's user namespace, since files belong to subordinate ids.
outside_state() {
	(cd "$box" && find outside work -maxdepth 1 -printf '%p %y %m %U %G %s %T@\n' | LC_ALL=C sort && cat outside/*)
}

run_layer() { # OPTIONS LAYER: sets status, out, err
	out=$(archive-tool unpack $1 "$2" "$box/target" 2>"$T/err")
	status=$?
	err=$(cat "$T/err")
}

for options in "" "-s"; do
	kind="the caller's map"
	[ -n "$options" ] && kind="a single-uid map"
	before=$(outside_state)
	while read -r name expect sentence; do
		run_layer "$options" "$layers/$name"
		verdict="status $status"
		case $status in
		0) verdict=ok; case $out in *needs_lower=1*) verdict=lower ;; esac ;;
		125) [ -n "$err" ] && verdict=refused ;;
		esac
		[ "$expect" = any ] && case $verdict in ok | refused) verdict=any ;; esac
		is "$name ($kind): $sentence: $expect" "$verdict" "$expect" || { diag "$out"; diag "$err"; }
		case $name in
		xattrs-control.*)
			# What the target itself cannot hold goes into a record of ours: that is looked into, too.
			seen=$(archive-tool show $options "$box/target" && cat "$box/target.idx" 2>/dev/null)
			like "its files are there ($kind)" "$seen" '\./low/x - 0644 '
			is "and none of the attributes ($kind)" "$(grep -aoE 'overlay\.|containers|fuseoverlayfs|104755|user\.rl\.at' <<<"$seen")" ""
			;;
		xattrs.*) like "while others are kept ($kind)" "$(archive-tool show $options "$box/target")" '\./f .* user\.test=value' ;;
		esac
		archive-tool remove $options "$box/target"
		[ -e "$box/target" ] && diag "left: $(ls -la "$box/target")"
	done <"$layers/LIST"
	is "nothing outside the target changed ($kind)" "$(outside_state)" "$before"
done

done_testing
