#!/bin/bash
# Secrets: in the container on a tmpfs or in the environment, and nowhere else.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
run() { rl run --rm $N "$@"; }
word=s3cret-$$-needle

secrets() {
	local how=$1
	like "$how: create from standard input prints an id" "$(printf %s $word | rl secret create --label a=b key -)" '^[0-9a-f]{24}$'
	must_fail "$how: a name is given once" --status 125 --stderr 'exists' sh -c 'echo x | rl secret create key -'
	is "$how: it is a file of the owner's alone" "$(stat -c %a "$RL_ROOT/secrets/key" "$RL_ROOT/secrets")" "600
700"
	is "$how: ls" "$(rl secret ls --format '{{.Name}} {{.Driver}}')" "key file"
	is "$how: inspect says all but the secret" "$(rl secret inspect key | grep -c "$word") $(rl secret inspect -f '{{.Spec.Name}} {{.Spec.Labels.a}}' key)" "0 key b"
	is "$how: unless it is asked for" "$(rl secret inspect --showsecret -f '{{.SecretData}}' key)" "$word"
	is "$how: in a container it is a file" "$(run --secret key busybox cat /run/secrets/key)" "$word"
	is "$how: readable for all, of root, on a read-only tmpfs" "$(run --secret key busybox sh -c 'stat -c "%a %u %g" /run/secrets/key; stat -f -c %T /run/secrets; touch /run/secrets/x 2>&1 | grep -c Read-only')" "444 0 0
tmpfs
1"
	is "$how: target and mode" "$(run --secret key,target=sub/k,mode=400 busybox sh -c 'cat /run/secrets/sub/k; echo; stat -c %a /run/secrets/sub/k')" "$word
400"
	is "$how: an absolute target is a mount of its own" "$(run --secret source=key,target=/etc/deep/k busybox sh -c 'cat /etc/deep/k; echo; ls -A /run/secrets; grep -c " /etc/deep/k tmpfs ro" /proc/mounts')" "$word
1"
	is "$how: in the environment" "$(run --secret key,type=env,target=TOKEN busybox sh -c 'echo $TOKEN; ls /run/secrets 2>/dev/null')" "$word"
	is "$how: with a read-only root" "$(run --read-only --secret key busybox cat /run/secrets/key)" "$word"
	is "$how: under a tmpfs on /run" "$(run --tmpfs /run --secret key busybox cat /run/secrets/key)" "$word"
	rl create --name c $N --secret key --secret key,type=env busybox sh -c 'cat /run/secrets/key | wc -c; echo ${#key}' >/dev/null
	is "$how: a created container gets it at each start" "$(rl start -a c; rl start -a c)" "${#word}
${#word}
${#word}
${#word}"
	must_fail "$how: a secret a container names is not removed" --status 125 --stderr 'used by container c' rl secret rm key
	rl run -d --name d $N --secret key --secret key,type=env --secret key,target=/k busybox sh -c 'cat /k >/dev/null; sleep 1000' >/dev/null
	is "$how: exec gets those that are variables" "$(rl exec d sh -c 'echo $key'; rl exec -e key=mine d sh -c 'echo $key')" "$word
mine"
	is "$how: no file of the store but its own has it" "$(grep -rl "$word" "$RL_ROOT" 2>/dev/null)" "$RL_ROOT/secrets/key"
	is "$how: neither has inspect, explain or the log of what is done" "$( (rl inspect c d; rl run --explain --secret key --secret key,type=env busybox; RL_DEBUG=all rl start -a c) 2>&1 | grep -c "$word")" 0
	rl commit d taken >/dev/null 2>&1
	is "$how: nor has a commit or an export of the container" "$( (rl export d; rl run --rm $N taken sh -c 'cat /k /run/secrets/* 2>/dev/null'; rl inspect taken) 2>&1 | grep -c "$word")" 0
	rl rm -f c d >/dev/null
	rl rmi -f taken >/dev/null 2>&1
	like "$how: a new value" "$(echo new | rl secret create --replace key -)" '^[0-9a-f]{24}$'
	is "$how: is what the next container gets" "$(run --secret key busybox cat /run/secrets/key)" new
	is "$how: by id" "$(rl secret rm "$(rl secret ls -q)" | wc -l)" 1
	must_fail "$how: exists says no" --status 1 rl secret exists key
}
secrets subordinate
RL_IDMAP=single secrets single

head -c 512000 /dev/urandom >big
ok "512000 bytes are a secret" rl secret create big big
is "any bytes" "$(run --secret big busybox sha256sum /run/secrets/big | cut -d' ' -f1)" "$(sha256sum big | cut -d' ' -f1)"
must_fail "one with a NUL is no variable" --status 125 --stderr 'NUL' run --secret big,type=env busybox true
head -c 512001 /dev/urandom >bigger
must_fail "one byte more is none" --status 125 rl secret create bigger bigger
must_fail "nothing is none" --status 125 --stderr '1 to' rl secret create none /dev/null
must_fail "a name that leads away" --status 125 --stderr 'no name' rl secret create ../x big
must_fail "a secret that is missing" --status 125 --stderr "no secret 'bog'" run --secret bog busybox true
must_fail "an unknown option" --status 125 --stderr "unknown option 'mod'" run --secret big,mod=1 busybox true
must_fail "a target with .." --status 125 --stderr 'target' run --secret big,target=../x busybox true
FOO=bar ok "from a variable" rl secret create --env foo FOO
is "its value" "$(run --secret foo,type=env busybox sh -c 'echo $foo')" bar
if [ "$(run busybox cat /proc/self/uid_map | wc -l)" -gt 1 ]; then
	is "uid and gid" "$(run --secret foo,uid=5,gid=6 busybox stat -c %u:%g /run/secrets/foo)" 5:6
	is "for the user of the command" "$(run -u 5 --secret foo,uid=5,mode=0400 busybox cat /run/secrets/foo)" bar
else
	skip "uid and gid" "no subordinate ids"
fi
done_testing
