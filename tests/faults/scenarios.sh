# scenarios.sh - every verb that changes something, as NAME|BEFORE|COMMAND lines, for the tests that disturb them.
#
# BEFORE puts in place what COMMAND needs, whatever the last disturbed COMMAND left; it is run undisturbed, and its
# failure counts only where it runs before an undisturbed COMMAND. Both are shell text that may use T, IMAGE_TAR and
# LOAD_TAR; COMMAND is one command. Names begin with x, so that none is the beginning of an id.
#
# RL_FAULT_ONLY, a regular expression, leaves those whose NAME matches it.
#
# prepare_scenarios makes the files and the image localhost/whole, which no COMMAND touches.

SCENARIOS=(
	'run --rm|:|rl run --rm --network none busybox true'
	'run --rm, default network|:|rl run --rm busybox true'
	'run -d|rl rm -fi xc|rl run -d --name xc --network none busybox sleep 1000'
	'run -d, default network|rl rm -fi xc|rl run -d --name xc busybox sleep 1000'
	'run -d -p|rl rm -fi xc|rl run -d --name xc -p 127.0.0.1::80 busybox sleep 1000'
	'create|rl rm -fi xc|rl create --name xc --network none busybox true'
	'start|rl rm -fi xc; rl create --name xc --network none busybox sleep 1000|rl start xc'
	'stop|rl rm -fi xc; rl run -d --name xc --network none busybox sleep 1000|rl stop -t 0 xc'
	'kill|rl rm -fi xc; rl run -d --name xc --network none busybox sleep 1000|rl kill xc'
	'restart|rl rm -fi xc; rl run -d --name xc --network none busybox sleep 1000|rl restart -t 0 xc'
	'rm -f|rl rm -fi xc; rl run -d --name xc --network none busybox sleep 1000|rl rm -f xc'
	'rename|rl rm -fi xc xd; rl create --name xc --network none busybox true|rl rename xc xd'
	'update|rl rm -fi xc; rl create --name xc --network none busybox true|rl update --restart on-failure:3 xc'
	'pause|rl rm -fi xc; rl run -d --name xc --network none busybox sleep 1000|rl pause xc'
	'unpause|rl rm -fi xc; rl run -d --name xc --network none busybox sleep 1000; rl pause xc|rl unpause xc'
	'exec|rl rm -fi xc; rl run -d --name xc --network none busybox sleep 1000|rl exec xc true'
	'cp in|rl rm -fi xc; rl create --name xc --network none busybox true|rl cp "$T/files" xc:/'
	'cp out|rm -rf "$T/out"; rl rm -fi xc; rl create --name xc --network none busybox true|rl cp xc:/bin "$T/out"'
	'commit|rl rm -fi xc; rl run --name xc --network none busybox sh -c "for i in 1 2 3 4 5 6 7 8 9; do echo $i >/f$i; done"|rl commit xc localhost/xcommit'
	'export|rl rm -fi xc; rl create --name xc --network none busybox true|rl export -o "$T/export.tar" xc'
	'snapshot create|rl rm -fi xc; rl run --name xc --network none busybox touch /one|rl snapshot create xc xsnap'
	'snapshot rollback|rl rm -fi xc; rl run --name xc --network none busybox touch /one; rl snapshot create xc xsnap; rl start -a xc|rl snapshot rollback xc xsnap'
	'snapshot branch|rl rm -fi xb xc; rl run --name xc --network none busybox touch /one; rl snapshot create xc xsnap|rl snapshot branch xc xsnap xb'
	'snapshot merge|rl rm -fi xc; rl run --name xc --network none busybox touch /one; rl snapshot create xc xone; rl start -a xc; rl snapshot create xc xtwo|rl snapshot merge xc xtwo'
	'container prune|rl create --network none busybox true|rl container prune -f'
	'import|:|rl import "$IMAGE_TAR" localhost/ximport'
	'load|rl rmi -f localhost/xload:1|rl load -i "$LOAD_TAR"'
	'save|:|rl save -o "$T/save.tar" localhost/whole'
	'tag|:|rl tag localhost/whole localhost/xtag'
	'rmi|rl import "$IMAGE_TAR" localhost/ximport|rl rmi -f localhost/ximport'
	'image prune|rl import "$IMAGE_TAR" localhost/ximport; rl untag localhost/ximport|rl image prune -f'
	'system prune|rl import "$IMAGE_TAR" localhost/ximport; rl untag localhost/ximport|rl system prune -f'
	'system check --repair|:|rl system check --repair'
	'manifest|rl manifest rm localhost/xlist|rl manifest create localhost/xlist localhost/whole'
	'volume create|rl volume rm -f xv|rl volume create xv'
	'volume rm|rl volume create xv|rl volume rm xv'
	'volume, filled|rl rm -fi xc; rl volume rm -f xv|rl run --name xc --network none -v xv:/bin busybox true'
	'volume import|rl volume rm -f xv; rl volume create xv|rl volume import xv "$IMAGE_TAR"'
	'network create|rl network rm -f xn|rl network create xn'
	'network, used|rl rm -fi xc; rl network create xn|rl run -d --name xc --network xn busybox sleep 1000'
	'network rm|rl rm -fi xc; rl network create xn|rl network rm xn'
	'pod create|rl pod rm -f xp|rl pod create --name xp'
	'pod rm|rl pod create --name xp; rl run -d --pod xp busybox sleep 1000|rl pod rm -f xp'
	'secret create|rl secret rm xs|rl secret create xs "$T/files/one"'
	'build|:|rl build -q --no-cache -t localhost/xbuild "$T/context"'
	'build, cached|:|rl build -q -t localhost/xbuild "$T/context"'
)
ALL_SCENARIOS=${#SCENARIOS[@]}
if [ -n "${RL_FAULT_ONLY:-}" ]; then
	mapfile -t SCENARIOS < <(printf '%s\n' "${SCENARIOS[@]}" | grep -E "^[^|]*($RL_FAULT_ONLY)[^|]*\|")
fi

prepare_scenarios() {
	export T IMAGE_TAR=$T/image.tar LOAD_TAR=$T/load.tar
	payload_rootfs base
	for i in $(seq 60); do echo "$i" >"base/file$i"; done
	tar -C base --owner=0 --group=0 --numeric-owner -cf image.tar .
	"$HELPERS/make-image" oci load.tar --name localhost/xload:1 --layers 6 --gzip
	mkdir files context out && for i in $(seq 20); do echo "$i" >"files/f$i"; done && echo 1 >files/one
	printf 'FROM busybox\nCOPY files /files\nRUN echo built >/built\n' >context/Dockerfile
	cp -r files context/
	rl import image.tar localhost/whole >/dev/null
}

# The other side of "only what was disturbed": an image and a container that no scenario touches.
whole() { [ "$(rl run --rm --network none --pull=never localhost/whole /tinit args kept 2>/dev/null)" = kept ]; }
legal_states() {
	local states
	states=$(rl ps -a --format '{{.State}}') || return 1
	! grep -qvE '^(created|running|restarting|stopping|exited|paused)?$' <<<"$states"
}
remove_all() {
	rl unpause -a
	rl rm -fa
	rl pod rm -fa
	rl network prune -f
	rl volume prune -af
	rl secret rm xs
	rl rmi -f localhost/ximport localhost/xload:1 localhost/xtag localhost/xcommit localhost/xbuild
	rl manifest rm localhost/xlist
} >/dev/null 2>&1
