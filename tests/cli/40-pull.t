#!/bin/bash
# Images from a real registry on loopback: pull, run with an image that is not here yet, policies, kills.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
export XDG_RUNTIME_DIR=$T/run # whatever /run/containers of this machine is
mkdir -p "$XDG_RUNTIME_DIR"
have docker-registry skopeo htpasswd openssl || skip_all "docker-registry, skopeo, apache2-utils or openssl is not installed"

start_registry plain || skip_all "the registry does not start"
R=127.0.0.1:$PORT
payload_image payload || fail "the static payload is imported"
skopeo_to() { skopeo copy -q --insecure-policy --dest-tls-verify=false "$@"; }
ok "skopeo takes an image out of our store, which is an OCI layout" \
	skopeo_to "oci:$RL_ROOT/images:docker.io/library/payload:latest" "docker://$R/team/payload:1"
skopeo_to "oci:$RL_ROOT/images:docker.io/library/payload:latest" "docker://$R/team/payload:2"
id=$(rl images --no-trunc --format '{{.ID}}' payload | head -n 1)

export RL_ROOT=$T/other
pull() { rl pull -q --tls-verify=false "$@"; }
output_is "pull prints the image's id, which is the one that was pushed" "${id#sha256:}" pull "$R/team/payload:1"
output_is "the image runs" here rl run --rm --network none "$R/team/payload:1" /tinit args here
ok "pulling it again fetches nothing and succeeds" pull "$R/team/payload:1"
ok "all tags come with -a" pull -a "$R/team/payload"
is "both are listed" "$(rl images --format '{{.Tag}}' | grep -c '^[12]$')" 2
by_digest=$R/team/payload@$(rl inspect --format '{{.Digest}}' "$R/team/payload:1")
ok "an image is pulled by its digest" pull "$by_digest"
ok "and that name taken away again" rl untag "$by_digest"
must_fail "once" --status 125 --stderr 'no such name' rl untag "$by_digest"
ok "docker:// in front is the same" pull "docker://$R/team/payload:1"
must_fail "a tag that is not there is refused by name" --status 125 --stderr 'nosuch' pull "$R/team/payload:nosuch"
must_fail "a registry that is not there is refused" --status 125 --stderr '127.0.0.1:1' pull --retry 1 127.0.0.1:1/x
must_fail "https is not given up by itself" --status 125 rl pull -q "$R/team/payload:1"
must_fail "--policy never does not ask the registry" --status 125 pull --policy never "$R/team/payload:9"
ok "--policy missing is content with what is here" pull --policy missing "$R/team/payload:1"

mkdir -p "$HOME/.config/containers"
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$R" >registries.conf
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf
export RL_ROOT=$T/third
output_is "run pulls an image that is not here" here rl run --rm --network none "$R/team/payload:1" /tinit args here
must_fail "--pull never does not" --status 125 rl run --rm --pull never "$R/team/payload:2" /tinit exit 0
ok "--pull always asks" rl run --rm --network none --pull always "$R/team/payload:2" /tinit exit 0
ok "--pull newer is content with what is current" rl run --rm --network none --pull newer "$R/team/payload:2" /tinit exit 0

# with a password
htpasswd -Bbn user secret >htpasswd 2>/dev/null
start_registry auth "" "auth: {htpasswd: {realm: test, path: $T/htpasswd}}"
A=127.0.0.1:$PORT
skopeo_to --dest-creds user:secret "oci:$T/store/images:docker.io/library/payload:latest" "docker://$A/p:1"
must_fail "without credentials the registry's refusal is explained" --status 125 --stderr 'login' rl pull -q --tls-verify=false "$A/p:1"
ok "--creds are used" rl pull -q --tls-verify=false --creds user:secret "$A/p:1"
must_fail "wrong ones are refused" --status 125 rl pull -q --tls-verify=false --creds user:wrong "$A/p:2"
must_fail "pull says the image once" --status 125 --stderr "^rl: pull $A/p:2: $A: " rl pull -q "$A/p:2"
must_fail "so does push" --status 125 --stderr "^rl: push $A/p:1: $A: " rl push -q "$A/p:1"
must_fail "so does inspect" --status 125 --stderr "inspect $A/p:2: $A: " rl inspect "docker://$A/p:2"
must_fail "so does search" --status 125 --stderr "^rl: tags of $A/p: $A: " rl search --list-tags "$A/p"
must_fail "and login the registry" --status 125 --stderr "^rl: login $A: TLS" sh -c "echo secret | rl login -u user --password-stdin $A"
ok "a name that is nearly the wanted one is in the store" rl tag "$A/p:1" "$A/p:1a"
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$A" >auth.conf
export CONTAINERS_REGISTRIES_CONF=$T/auth.conf
must_fail "run names that one, and how to log in as well" --stderr 'did you mean .*/p:1.*else: rl login' rl run --rm "$A/p:1b" /tinit exit 0
must_fail "a run for another platform says which one is not there" --stderr 'not in the store for linux/s390x, and' rl run --rm --platform linux/s390x "$A/p:1" /tinit exit 0
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf

# build reaches registries by the same options
based() { echo "FROM $A/p:1" | rl build -q --network none --pull --tls-verify=false "$@" -; }
printf '{"auths": {"%s": {"auth": "%s"}}}' "$A" "$(printf user:secret | base64)" >auth.json
must_fail "build without credentials is refused" --status 125 --stderr 'login' based
ok "build has --creds" based --creds user:secret
ok "and --authfile" based --authfile auth.json
must_fail "wrong ones are refused by build, too" --status 125 --stderr 'refused' based --creds user:wrong
must_fail "http is used by build only if it is told so" --stderr 'tls-verify=false' sh -c "echo FROM $A/p:1 | rl build -q --pull --creds user:secret -"
must_fail "and so it is for shared steps that are pushed" --stderr 'cache-to.*(TLS|tls)' sh -c "echo FROM $A/p:1 | rl build -q --creds user:secret --cache-to $A/steps -"
ok "which then are" sh -c "echo FROM $A/p:1 | rl build -q --creds user:secret --tls-verify=false --cache-to $A/steps -"

# several at once, and killed ones
export RL_ROOT=$T/fourth
for i in 1 2 3 4; do pull "$R/team/payload:1" >"p$i" 2>&1 & pids[i]=$!; done
failed=0
for i in 1 2 3 4; do wait "${pids[i]}" || failed=$((failed + 1)); done
is "four pulls of one image at once all succeed" "$failed" 0
export RL_ROOT=$T/fifth
for delay in 0.00 0.01 0.02 0.03 0.05 0.08 0.12 0.2; do
	timeout -s KILL "$delay" rl pull -q --tls-verify=false "$R/team/payload:1" >/dev/null 2>&1
done
ok "after kills at several moments the next pull succeeds" pull "$R/team/payload:1"
ok "and the image runs" rl run --rm --network none "$R/team/payload:1" /tinit exit 0
is "nothing but whole objects is left" "$(ls "$RL_ROOT/tmp" "$RL_ROOT/cache" 2>/dev/null | grep -cE 'partial|work')" 0
done_testing
