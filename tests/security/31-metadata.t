#!/bin/bash
# Image data may lower privileges, never raise them (CVE-2026-94603, CVE-2026-53488, CVE-2026-121885): whatever an image
# says about itself, the sandbox of its container is the same.
# deadline: 300
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
have python3 skopeo || skip_all "skopeo is not installed"

payload_image payload || fail "the static payload is imported"
state() { # the sandbox as seen from inside
	rl run --rm --network none --hostname h "$@" /tinit seq caps -- limits -- ids -- fds -- cat /proc/self/mountinfo /proc/self/uid_map 2>>stderr |
		sed -E 's/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ //; s#containers/[0-9a-f]+#containers/ID#g; s#layers/[^,: ]+#LAYER#g; s#/proc/self/fd/[0-9]+#FD#g; s/master:[0-9]+//; s/^(pid|ppid|sid|pgid).*//'
}
plain=$(state payload)
like "the plain image's state can be read" "$plain" 'CapEff'

# The payload's layer under configs and manifests that ask for everything.
rl_layout() { # a layout directory of the payload image
	mkdir -p layout && cp -r "$RL_ROOT/images/blobs" layout/ && cp "$RL_ROOT/images/oci-layout" layout/
}
rl_layout
cat >mutate.py <<'P'
import hashlib, json, os, sys
root = 'layout'
def blob(d): return os.path.join(root, 'blobs', *d.split(':'))
def put(doc):
    b = json.dumps(doc).encode()
    d = 'sha256:' + hashlib.sha256(b).hexdigest()
    open(blob(d), 'wb').write(b)
    return d, len(b)
index = json.load(open(os.path.join(os.environ['RL_ROOT'], 'images', 'index.json')))
entry = [m for m in index['manifests'] if 'payload' in json.dumps(m)][0]
manifest = json.load(open(blob(entry['digest'])))
config = json.load(open(blob(manifest['config']['digest'])))
keys = ['run.oci.keep_original_groups', 'run.oci.hooks.stdout', 'run.oci.seccomp.receiver', 'io.podman.annotations.privileged',
        'io.podman.annotations.seccomp', 'io.podman.annotations.label', 'io.kubernetes.cri-o.userns-mode', 'io.kubernetes.cri-o.Devices',
        'io.container.manager', 'org.rl.privileged', 'org.rl.cap-add', 'rl.privileged', 'privileged', 'containerd.io/restart.loguri',
        'com.docker.security', 'io.containers.autoupdate', 'org.systemd.property.DevicePolicy', 'module.wasm.image/variant',
        'run.oci.systemd.force_cgroup_v1', 'run.oci.mount_context_type', 'run.oci.pidfd_receiver', 'run.oci.handler']
anns = {k: v for k in keys for v in ['true']}
c = config['config']
c['Labels'] = dict(anns)
c['Volumes'] = {'/proc': {}, '/sys': {}, '/../../../x': {}, '/dev': {}}
c['Privileged'] = True
c['CapAdd'] = ['ALL']
c['SecurityOpt'] = ['seccomp=unconfined']
c['NetworkDisabled'] = False
c['OnBuild'] = ['RUN id']
c['HostConfig'] = {'Privileged': True, 'Binds': ['/:/host'], 'PidMode': 'host', 'UsernsMode': 'host', 'CapAdd': ['ALL']}
config['HostConfig'] = c['HostConfig']
config['linux'] = {'namespaces': [], 'seccomp': None, 'maskedPaths': [], 'readonlyPaths': []}
config['process'] = {'capabilities': {'effective': ['CAP_SYS_ADMIN']}, 'noNewPrivileges': False}
config['annotations'] = anns
config['hooks'] = {'prestart': [{'path': '/bin/touch', 'args': ['touch', os.path.abspath('hooked')]}]}
config['mounts'] = [{'source': '/', 'destination': '/host', 'type': 'bind', 'options': ['rbind']}]
d, n = put(config)
manifest['config'].update(digest=d, size=n, annotations=anns)
manifest['annotations'] = anns
for l in manifest['layers']: l['annotations'] = anns; l['urls'] = ['http://127.0.0.1:9/x']
d, n = put(manifest)
json.dump({'schemaVersion': 2, 'annotations': anns, 'manifests': [{'mediaType': manifest.get('mediaType', 'application/vnd.oci.image.manifest.v1+json'),
    'digest': d, 'size': n, 'annotations': dict(anns, **{'org.opencontainers.image.ref.name': 'evil:latest'})}]}, open(os.path.join(root, 'index.json'), 'w'))
P
ok "an image that asks for everything in every document is made" python3 mutate.py
ok "it loads" rl load -q -i layout
name=$(rl images --format '{{.Repository}}:{{.Tag}}' | grep evil | head -n 1)
# A VOLUME is the one mount an image may ask for: an empty directory of the store, somewhere inside.
evil=$(state "${name:-evil}")
is "CVE-2026-94603: its container's capabilities, filter, mounts, limits and ids are the plain image's" "$(grep -v '/volumes/' <<<"$evil")" "$plain"
like "a VOLUME that climbs stays inside, without devices and set-id programs" "$(grep '/volumes/' <<<"$evil")" '/_data /x rw,nosuid,nodev'
not_ok "CVE-2026-53488: nothing it names was executed on the host" test -e hooked
is "CVE-2019-16884: a VOLUME on /proc changes nothing" "$(rl run --rm --network none "${name:-evil}" /tinit cat /proc/self/mountinfo | grep -c ' /proc proc\| - proc ')" \
	"$(rl run --rm --network none payload /tinit cat /proc/self/mountinfo | grep -c ' /proc proc\| - proc ')"
# The same with documents of chance: fields of every specification there is, and words put together from theirs, with values
# of every kind, anywhere in config, manifest and index. RL_FUZZ_SEED repeats a run.
cat >fuzz.py <<'P'
import copy, random, sys
sys.argv, seed = sys.argv[:1], int(sys.argv[1])
exec(open('mutate.py').read().split("keys = [")[0])  # blob, put, index, entry, manifest, config
rnd = random.Random(seed)
words = """privileged capabilities capAdd CapAdd cap-add bounding effective inheritable ambient seccomp unconfined noNewPrivileges
    no_new_privs namespaces pid net ipc uts user cgroup userns UsernsMode PidMode IpcMode NetworkMode hooks prestart createRuntime
    startContainer poststop mounts Binds Mounts Devices devices deviceCgroupRules resources memory cpu pids rlimits Ulimits sysctl
    Sysctls rootfsPropagation maskedPaths readonlyPaths MaskedPaths ReadonlyPaths ReadonlyRootfs apparmorProfile selinuxLabel
    mountLabel oomScoreAdj uidMappings gidMappings additionalGids GroupAdd personality intelRdt timeOffsets cgroupsPath
    CgroupParent Runtime HostConfig NetworkingConfig SecurityOpt annotations Labels labels runtime oci rl run io podman kubernetes
    cri-o crun containerd docker systemd property wasm handler restart loguri keep_original_groups autoremove init share bind
    host-access emulate egress allow-net volumes-from secrets gpu cdi""".split()
values = [True, False, None, 'true', '1', 'ALL', ['ALL'], 'host', 'unconfined', '/', '/proc', '../../..', ['/:/host:rw'], 0, -1, 2**53, [], {},
          {'type': 'bind', 'source': '/', 'destination': '/host', 'options': ['rbind']}, [{'path': '/bin/touch', 'args': ['touch', 'hooked']}],
          {'effective': ['CAP_SYS_ADMIN']}, [{'type': 'user', 'path': '/proc/1/ns/user'}], 'container:x', 'keep-groups', '%s%n' * 9, 'x' * 5000]
# What a config may say about how its command runs is not the sandbox; it stays as it is.
may = {'rootfs', 'architecture', 'os', 'User', 'Env', 'Cmd', 'Entrypoint', 'WorkingDir', 'Volumes', 'ExposedPorts', 'StopSignal', 'Healthcheck',
       'Labels', 'config', 'history', 'layers', 'schemaVersion', 'mediaType', 'digest', 'size', 'manifests', 'created', 'author', 'os.version',
       'os.features', 'variant', 'platform', 'annotations', 'urls', 'data', 'artifactType', 'subject', 'fsLayers', 'OnBuild', 'Shell', 'ArgsEscaped'}
def key():
    k = rnd.choice(words) if rnd.random() < .5 else rnd.choice('./-_').join(rnd.choices(words, k=rnd.randint(2, 4)))
    return k if k not in may else 'x' + k
def value(depth=0):
    if depth < 3 and rnd.random() < .4:
        return {key(): value(depth + 1) for _ in range(rnd.randint(0, 4))}
    if depth < 3 and rnd.random() < .1:
        return [value(depth + 1) for _ in range(rnd.randint(0, 3))]
    return copy.deepcopy(rnd.choice(values))
def stir(doc, n):
    for _ in range(n):
        doc[key()] = value()
def notes():
    return {key(): str(value())[:300].replace('\0', '') for _ in range(rnd.randint(0, 30))}
stir(config, 12)
stir(config['config'], 12)
config['config']['Labels'] = notes()
d, n = put(config)
manifest['config'].update(digest=d, size=n, annotations=notes())
stir(manifest['config'], 3)
manifest['annotations'] = notes()
stir(manifest, 5)
for l in manifest['layers']:
    l['annotations'] = notes()
    stir(l, 3)
d, n = put(manifest)
last = {'mediaType': manifest.get('mediaType', 'application/vnd.oci.image.manifest.v1+json'), 'digest': d, 'size': n,
        'annotations': dict(notes(), **{'org.opencontainers.image.ref.name': 'chance:latest'})}
stir(last, 3)
top = {'schemaVersion': 2, 'annotations': notes(), 'manifests': [last]}
stir(top, 3)
json.dump(top, open(os.path.join(root, 'index.json'), 'w'))
P
seed=${RL_FUZZ_SEED:-$RANDOM}
diag "RL_FUZZ_SEED=$seed"
different= loaded=0
for ((i = seed; i < seed + 60; i++)); do
	python3 fuzz.py $i && rl load -q -i layout >/dev/null 2>>stderr || continue
	loaded=$((loaded + 1))
	[ "$(state chance)" = "$plain" ] || different="$different $i"
done
ok "most of 60 images with documents of chance can be loaded" test $loaded -ge 50
is "CVE-2026-94603: whatever is in them, the sandbox is the plain image's" "$different" ""
not_ok "and nothing was executed" test -e hooked
leftovers "nothing is left running or mounted"
done_testing
