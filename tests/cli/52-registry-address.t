#!/bin/bash
# A registry on a public address must not lead us inside: not to loopback, private or link-local addresses, not by
# redirect, not by token server, not by a harmless name. In a network namespace of its own, where all of these exist and
# are served by the same hostile registry, whose log shows who came.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
export HOME=$T/home XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
: >none.conf
export CONTAINERS_REGISTRIES_CONF=$T/none.conf
unshare --user --map-root-user --net --mount true 2>/dev/null || skip_all "no user namespaces here"

cat >inside.sh <<'SH'
ip link set lo up
for a in 203.0.113.5 10.1.2.3 169.254.169.254; do ip addr add $a/32 dev lo; done
printf '127.0.0.1 localhost cdn.example.org\n203.0.113.5 reg.example.org\n10.1.2.3 inside.example.org\n127.0.0.1 local.example.org\n' >hosts
mount --bind hosts /etc/hosts
echo 'hosts: files' >nsswitch.conf
mount --bind nsswitch.conf /etc/nsswitch.conf
python3 "$HELPERS/hostile-registry.py" --ready ready --log log --address 203.0.113.5 --ports 80,81 &
pid=$!
trap 'kill $pid; wait $pid' EXIT
while [ ! -f ready ]; do read -r -t 0.05 _ <> <(:) || :; done
python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1/facts').read().decode())" >facts
layer=$(awk '$1 == "layer" { print $2 }' facts)
# try NAME HOST SCENARIO
try() {
	: >log
	rm -f blob
	timeout 30 registry-driver --tls-verify=0 --retries=-1 --stall=3 --creds=ann:secret blob "$2/$3/x" "$layer" 1500000 blob >"$1.out" 2>"$1.err"
	echo "$?" >"$1.status"
	cp log "$1.log"
}
for s in good redirect-other redirect-loopback redirect-localhost redirect-name redirect-private redirect-metadata redirect-mapped; do
	try "public-$s" reg.example.org $s
done
try named-loopback local.example.org redirect-localhost
try private inside.example.org good
try private-loopback inside.example.org redirect-loopback
try public-token reg.example.org bearer-metadata
SH
export HELPERS
ok "the experiment runs" unshare --user --map-root-user --net --mount --propagation private bash inside.sh

status() { cat "$1.status" 2>/dev/null; }
is "a registry on a public address serves" "$(status public-good)" 0
is "and may redirect to a public address" "$(status public-redirect-other)" 0
for s in loopback localhost name private metadata mapped; do
	is "a public registry's redirect is refused: $s" "$(status "public-redirect-$s")" 1
	like "... with the reason" "$(cat "public-redirect-$s.err")" 'error 1 .*internal address'
	not_ok "... and nothing was sent there" grep -qE '/plain-blob|/latest' "public-redirect-$s.log"
done
is "a registry the user named on loopback may stay on loopback" "$(status named-loopback)" 0
is "a registry the user named on a private address serves" "$(status private)" 0
is "but does not lead to loopback" "$(status private-loopback)" 1
is "a public registry's token server may not be inside" "$(status public-token)" 1
done_testing
