#!/bin/bash
# The properties that the OCI runtime-tools' validation programs demand, as an ordinary user: those that one can have; and
# that the table of the programs is complete.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
. "$HELPERS/oci-validation.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done'
oci_bundle b
# shellcheck disable=SC2046
programs $(oci_programs user)
is "nothing is left of all of them" "$(ls state)" ""

is "every program of the table is a function here, and the other way round" \
	"$(comm -3 <(declare -F | sed -n 's/^declare -f program_//p' | sort) <(grep -v '^#' "$PROGRAMS" | cut -f1 | sort))" ""
is "every row says who runs it and how it differs" "$(grep -v '^#' "$PROGRAMS" | grep -cvE $'^[a-z_]+\t(root|root,user)\t(passes|differs|cannot)(\t.+)?$')" 0
is "who differs or cannot says why" "$(grep -E $'\t(differs|cannot)$' "$PROGRAMS")" ""
done_testing
