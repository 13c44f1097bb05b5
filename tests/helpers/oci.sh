# oci.sh - bundles for the tests of the OCI runtime. Source it after tap.sh.
#
#     oci_bundle b                                   # b/rootfs with the built-in busybox, b/config.json
#     oci_config b 'c["process"]["args"] = ["id"]'   # the example config of `rl-oci spec`, changed by lines of Python
#
# Every rl-oci of a test has its state below T.
ln -sf "$(command -v rl)" "$T/rl-oci"
oci() { timeout -k 5 "${OCI_TIMEOUT:-50}" "$T/rl-oci" --root "$T/state" "$@"; }
oci_status() { oci state "$1" 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])' 2>/dev/null || echo none; }
oci_pid() { oci state "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'; }

oci_bundle() {
	local id
	mkdir -p "$1/rootfs"
	if [ ! -d "$T/oci-root" ]; then
		mkdir "$T/oci-root"
		id=$(rl create --network none busybox true) && rl export "$id" | tar -C "$T/oci-root" -xf - && rl rm "$id" >/dev/null
	fi
	cp -a "$T/oci-root/." "$1/rootfs/"
	oci_config "$1"
}

# oci_config BUNDLE [PYTHON...]: c is the document.
oci_config() {
	local bundle=$1 rootless=
	shift
	[ "$(id -u)" = 0 ] || rootless=--rootless
	rm -f "$bundle/config.json"
	# shellcheck disable=SC2086
	oci spec -b "$bundle" $rootless || return 1
	python3 - "$bundle/config.json" "$@" <<'PY'
import json, sys
path, lines = sys.argv[1], sys.argv[2:]
c = json.load(open(path))
c["process"]["terminal"] = False
c["process"]["args"] = ["true"]
c["process"]["env"] = ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]
c["root"]["readonly"] = False
names = {"c": c, "p": c["process"], "l": c["linux"], "json": json}
for line in lines:
    exec(line, names)
json.dump(names["c"], open(path, "w"))
PY
}

# oci_sh BUNDLE SCRIPT: the command of the bundle is a shell with this script.
oci_args() { printf 'p["args"] = json.loads(%s)' "$(python3 -c 'import json, sys; print(repr(json.dumps(sys.argv[1:])))' "$@")"; }

# oci_run_with ID [PYTHON...]: bundle b with this config, run to its end.
oci_run_with() {
	local id=$1
	shift
	oci_config b "$@" && oci run -b b "$id"
}
