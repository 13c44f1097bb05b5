#!/bin/bash
# The command line: verbs, options, help, completion, refusals. What needs a container is in the tests of run.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
# deadline: 240

# --- help
ok "rl alone shows what there is" rl
like "and names the verbs" "$(rl)" 'run +run a command'
output_is "--help is the same" "$(rl)" rl --help
output_is "and so is help" "$(rl)" rl help
for v in $(rl --list-verbs | tr ' ' +); do
	verb=${v//+/ }
	# shellcheck disable=SC2086
	ok "$verb --help succeeds" rl $verb --help
	like "$verb: help begins with the usage" "$(rl $verb --help)" "^Usage: rl $verb"
	like "$verb: help shows an example" "$(rl $verb --help)" $'\nExample:\n  rl |source'
	not_ok "$verb: no line of help is wider than 79" grep -qE '.{80}' <(rl $verb --help; rl help --all $verb)
	lines=$(rl $verb --help | wc -l)
	limit=40
	case $verb in run | create | 'container run' | 'container create') limit=50 ;; esac # all options by name
	ok "$verb: help fits a screen of $limit lines ($lines)" [ "$lines" -le "$limit" ]
	missing=
	while IFS=$'\t' read -r name _; do
		rl $verb --help | grep -qe "$name\b" || missing+=" $name"
		rl help --all $verb | grep -qe "$name\b" || missing+=" $name"
	done < <(rl --list-options "$verb")
	is "$verb: every option is in the help" "$missing" ""
done
like "run --help describes the common options" "$(rl run --help)" '-i, --interactive +keep'
like "and points to the others" "$(rl run --help)" "rl help --all run"
output_is "image ls --help is that of images" "$(rl images --help)" rl image ls --help
must_fail "help for a verb that is not there fails" --status 125 --stderr "there is no verb 'nosuch'" rl help nosuch

# --- version, global options
like "--version" "$(rl --version)" '^rl version [0-9]+\.[0-9]+'
output_is "version is the same" "$(rl --version)" rl version
like "version -f json is JSON" "$(rl version -f json)" '"Client": \{'
output_is "version takes templates" "linux" rl version -f '{{.Client.Os}}'
must_fail "a global option that is not there is refused" --status 125 --stderr 'unknown option --rot.*did you mean --root' rl --rot x images
must_fail "talking to a daemon is refused" --status 125 --stderr 'no daemon' rl -H tcp://x images
ok "--debug leaves standard output alone" [ "$(rl --debug version 2>/dev/null)" = "$(rl version)" ]
like "--debug traces with time and process" "$(rl --debug version 2>&1 >/dev/null)" '^\[ +[0-9]+ us\] rl\[[0-9]+\].*verb version'
must_fail "a verb after -- is still looked for" --status 125 --stderr "no verb 'nosuch'" rl -- nosuch

# --- names of verbs
must_fail "a mistyped verb suggests the nearest" --status 125 --stderr "no verb 'imges'.*did you mean 'rl images'" rl imges
must_fail "a family without a member says what there is" --status 125 --stderr "needs another word.*rl image .*ls" rl image
ok "--help of a family shows its verbs" sh -c "rl image --help | grep -q '^  image ls  *list images'"
ok "so does help with it" sh -c 'rl help volume | grep -q "^  volume create "'
is "and no other verb" "$(rl help pod | grep '^  ' | grep -vc '^  \(pod \|    \)')" 0
must_fail "a mistyped member suggests the nearest" --status 125 --stderr "no verb 'container lss'.*did you mean 'rl container ls'" rl container lss
must_fail "a family with a wrong member says what there is" --status 125 --stderr "no verb 'image nosuch'.*prune" rl image nosuch
is "an error is said once" "$(rl imges 2>&1 | grep -c 'there is no verb')" 1
is "and nothing of it goes to standard output" "$(rl imges 2>/dev/null)" ""
must_fail "control characters of a name are not passed on" --status 125 --stderr '\\x1b\[31m' rl $'im\e[31m'

# --- options of run
must_fail "an unknown option is named with the nearest" --status 125 --stderr 'unknown option --volum.*did you mean --volume' rl run --volum /a:/b busybox
must_fail "an option is not abbreviated" --status 125 --stderr 'unknown option --interact' rl run --interact busybox
for option in link kernel-memory isolation volume-driver runtime gpus secret memory; do
	must_fail "--$option is refused by name" --status 125 --stderr "--${option%%=*}" rl run --$option x busybox true
done
must_fail "-it without a terminal is refused" --status 125 --stderr 'standard input is none' rl run -it busybox true </dev/null
must_fail "no image" --status 125 --stderr 'image is missing' rl run --rm
must_fail "an env-file that cannot be read" --status 125 --stderr 'cannot open /nonexistent' rl run --env-file /nonexistent busybox true
must_fail "a bad mount" --status 125 --stderr "unknown option 'readolny'" rl run -v /tmp:/x:readolny busybox true
must_fail "a bad user" --status 125 --stderr "0x1" rl run -u 0x1 busybox true
must_fail "two mounts on one place" --status 125 --stderr 'two mounts' rl run -v /tmp:/x --tmpfs /x busybox true
must_fail "--rm with a restart policy" --status 125 --stderr 'exclude each other' rl run --rm --restart always busybox true
must_fail "--network twice" --status 125 --stderr 'given twice' rl run --network none --net host busybox true
is "a refused run leaves nothing behind" "$(ls "$RL_ROOT/containers" 2>/dev/null)" ""

# --- machine-readable lists
ok "the options of every verb can be listed" bash -c 'rl --list-verbs | while read -r v; do rl --list-options "$v" >/dev/null || exit 1; done'
is "a list has six fields" "$(rl --list-options run | awk -F'\t' 'NF != 6' | wc -l)" 0
must_fail "the options of a verb that is not there" --status 125 --stderr 'no verb' rl --list-options nosuch

# --- completion
for shell in bash zsh fish; do
	ok "completion $shell" rl completion $shell
done
must_fail "completion of another shell" --status 125 --stderr "'tcsh'" rl completion tcsh
ok "the bash completion is sound bash" bash -n <(rl completion bash)
cat >complete <<'END'
source <(rl completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_rl 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
END
completes() {
	local sentence=$1 want=$2
	shift 2
	is "$sentence" "$(bash complete rl "$@" | sort | tr '\n' ' ')" "$want "
}
completes "verbs" "image images import info init inspect" i
completes "members of a family" "prune" image pr
completes "long options" "--sdnotify --secret --security-opt --shm-size --sig-proxy --stop-signal --stop-timeout --sysctl" run --s
completes "an option that is only one" "--network-alias" run --network-
completes "words of an option" "always missing never newer" run --pull ""
completes "words of an option after =" "never newer" run --pull=n
completes "names of images" "busybox:latest" run --rm bus
completes "names of images with a colon" "latest" run --rm busybox:l
completes "global options" "--root" --ro
completes "verbs for help" "import" help imp
rl create --name whale --network none busybox true >/dev/null && rl volume create wvol >/dev/null && rl network create wnet >/dev/null
completes "names of containers" "whale" rm wh
completes "more of them" "whale" stop other wh
completes "the container of exec" "whale" exec -i wh
completes "names of volumes" "wvol" volume inspect w
completes "names of networks" "wnet" network rm w
is "what exec runs is not completed" "$(bash complete rl exec whale w | tr -d '\n')" ""
rl rm whale >/dev/null && rl volume rm wvol >/dev/null && rl network rm wnet >/dev/null
is "the command inside the container is not completed" "$(bash complete rl run busybox r | tr -d '\n')" ""

# --- output
output_is "images --format" "busybox:latest" rl images --format '{{.Repository}}:{{.Tag}}' busybox
output_is "a template with a table has headings" $'REPOSITORY   TAG\nbusybox      latest' rl images --format 'table {{.Repository}}\t{{.Tag}}' busybox
like "json is an array for rl" "$(rl images --format json busybox)" '^\[.*"Repository": "busybox"'
ln -s "$(command -v rl)" docker
like "and one object per line for docker" "$(./docker images --format json busybox)" '^\{"Repository":"busybox".*\}$'
must_fail "a field that is not there is named with the nearest" --status 125 --stderr 'no field .Repositry.*did you mean .Repository' rl images --format '{{.Repositry}}'
must_fail "a template that cannot be read" --status 125 --stderr 'missing' rl images --format '{{.ID'
must_fail "a filter that is not there" --status 125 --stderr "no filter 'nosuch'" rl images -f nosuch=1
must_fail "a sort order that is not there" --status 125 --stderr "sort" rl images --sort nosuch
is "inspect with a template" "$(rl inspect -f '{{index .RepoTags 0}}' busybox)" "busybox:latest"
must_fail "inspect of something missing fails" --status 125 --stderr 'nosuch' rl inspect busybox nosuch
like "and still prints what was found" "$(rl inspect -f '{{.Id}}' busybox nosuch 2>/dev/null)" '^sha256:'
must_fail "a full disk is noticed" --status 125 --stderr 'standard output.*No space' bash -c 'rl images >/dev/full'
like "info knows where the store is" "$(rl images >/dev/null; rl tag busybox t:1; rl info -f '{{.DockerRootDir}}')" "^$RL_ROOT$"
must_fail "podman's flags of save say why they are not needed" --status 125 --stderr 'as they are here' rl save --uncompressed -o x.tar busybox
must_fail "inspect of nothing says where to look" --status 125 --stderr 'docker://NAME' rl inspect nosuch
must_fail "image prune does not ask without a terminal" --status 125 --stderr '-f does it' rl image prune </dev/null
ok "image exists" rl image exists busybox
status_is "image exists says no by its status" 1 rl image exists nosuch
must_fail "a closed standard output is an error" --status 125 --stderr 'standard output' bash -c 'exec rl version >&-'

done_testing
