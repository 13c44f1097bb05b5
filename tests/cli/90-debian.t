#!/bin/bash
# The acceptance of `rl run`: a Debian root file system, imported, installs and runs a package as an ordinary user. The
# one test that talks to the outside: package mirrors, through the host's resolver and the user-mode network.
# deadline: 600
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
TAP_TIMEOUT=400

image=${RL_TEST_DEBIAN:-$("$HELPERS/debian-image" small 2>"$T/why")} ||
	skip_all "no Debian root file system: $(tail -n 1 "$T/why")"

ok "a Debian root file system is imported" rl import "$image" debian
like "it is listed" "$(rl images)" debian
output_is "its command runs" "hello" rl run --rm debian echo hello
like "it is Debian" "$(rl run --rm debian cat /etc/os-release)" 'Debian GNU/Linux'
ok "a login shell starts" rl run --rm debian bash -lc true

ok "apt-get update and install work, and what was installed runs" \
	rl run --rm debian bash -lc 'apt-get update && apt-get install -y hello && hello'
like "the package says its line" "$(tail -n 1 "$T/.out")" 'Hello, world!'
unlike "without complaints about users or permissions" "$(cat "$T/.err")" '[Pp]ermission denied|Operation not permitted|setgroups'

status_is "nothing of it stays in the image" 127 rl run --rm debian hello
leftovers "nothing runs or is mounted afterwards"
ok "the image is removed" rl rmi debian
unlike "and is gone" "$(rl images)" debian
done_testing
