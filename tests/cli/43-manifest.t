#!/bin/bash
# Indexes of images for several platforms: made, changed, pushed, and what other tools make of them.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
have docker-registry skopeo || skip_all "docker-registry or skopeo is not installed"
export HOME=$T/home XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
start_registry plain || skip_all "the registry does not start"
R=127.0.0.1:$PORT
case $(uname -m) in x86_64) here=amd64 other=arm64 ;; *) here=arm64 other=amd64 ;; esac
payload_image payload
gzip -n <.payload.tar >payload.tgz
rl import payload.tgz packed >/dev/null
digest_of() { rl inspect --format '{{.Digest}}' "$1"; }
entries() { rl manifest inspect "$1" | python3 -c '
import json, sys
for m in json.load(sys.stdin)["manifests"]:
    p = m["platform"]
    print("/".join(filter(None, [p.get("os"), p.get("architecture"), p.get("variant")])), m["digest"], *sorted(m.get("annotations", {}).items()))'; }

output_is "an index is made" "localhost/multi:1" rl manifest create localhost/multi:1
must_fail "not twice" --status 125 --stderr 'already' rl manifest create localhost/multi:1
ok "unless it may be there" rl manifest create --amend localhost/multi:1
ok "it exists" rl manifest exists localhost/multi:1
must_fail "another does not" --status 1 rl manifest exists localhost/multi:2
must_fail "an empty one is not pushed" --status 125 --stderr 'no entries' rl manifest push -q --tls-verify=false localhost/multi:1 "$R/multi:1"
output_is "an image is added, and its digest is printed" "$(digest_of packed)" rl manifest add localhost/multi:1 packed
is "for its own platform" "$(entries localhost/multi:1)" "linux/$here $(digest_of packed)"
ok "another one for another platform" rl manifest add --arch "$other" --variant v9 --annotation a=b localhost/multi:1 payload
is "with what was said of it" "$(entries localhost/multi:1 | tail -n 1)" "linux/$other/v9 $(digest_of payload) ('a', 'b')"
ok "an entry is annotated" rl manifest annotate --variant "" --annotation c=d localhost/multi:1 payload
is "and says so" "$(entries localhost/multi:1 | tail -n 1)" "linux/$other $(digest_of payload) ('a', 'b') ('c', 'd')"
python3 - "$RL_ROOT"/lists/* <<'P'
import json, sys
for f in sys.argv[1:]:
    d = json.load(open(f))
    if len(d["manifests"]) == 2:
        d["manifests"][1].update(platform=None, annotations=None)
        open(f, "w").write(json.dumps(d))
P
ok "one whose members are null, too" rl manifest annotate --os linux --arch "$other" --annotation e=f localhost/multi:1 payload
is "which then are what was said" "$(entries localhost/multi:1 | tail -n 1)" "linux/$other $(digest_of payload) ('e', 'f')"
ok "an image for a platform that is there takes its place" rl manifest add --arch "$other" localhost/multi:1 payload
is "and there are still two" "$(entries localhost/multi:1 | wc -l)" 2
must_fail "an annotation is a pair" --status 125 --stderr 'KEY=VALUE' rl manifest add --annotation x localhost/multi:1 packed
must_fail "an image that is not there is named" --status 125 --stderr 'nosuch' rl manifest add --tls-verify=false localhost/multi:1 "docker://$R/nosuch:1"
must_fail "an index that is not there, too" --status 125 --stderr 'no index called nix' rl manifest add nix packed
must_fail "an entry that is not there, too" --status 125 --stderr 'no entry' rl manifest remove localhost/multi:1 busybox
rl untag payload && rl untag packed
rl image prune -f >/dev/null 2>&1
is "pruning leaves the images of an index that have no other name" \
	"$(entries localhost/multi:1 | while read -r _ digest _; do rl image exists "localhost/multi@$digest" && echo there; done | wc -l)" 2
ok "the index is pushed with its images" rl manifest push --tls-verify=false --digestfile digest localhost/multi:1 "docker://$R/multi:1"
is "the digest of the index is in the file" "$(cat digest)" "$(skopeo inspect --raw --tls-verify=false "docker://$R/multi:1" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/')"
is "skopeo sees both platforms" "$(skopeo inspect --raw --tls-verify=false "docker://$R/multi:1" | grep -o '"architecture": *"[a-z0-9]*"' | sort | wc -l)" 2
ok "skopeo copies all of it" skopeo copy -q --all --insecure-policy --src-tls-verify=false "docker://$R/multi:1" dir:all
ok "every layer is compressed there" sh -c '! grep -l "layer.v1.tar\"" all/*manifest*.json'
ok "rl reads what the registry has" rl manifest inspect --tls-verify=false "docker://$R/multi:1"
is "also without the transport, where the name has a registry" "$(rl manifest inspect --tls-verify=false "$R/multi:1")" \
	"$(rl manifest inspect --tls-verify=false "docker://$R/multi:1")"
must_fail "what the registry has not either" --status 125 --stderr '404 not found' rl manifest inspect --tls-verify=false "$R/nosuch:1"
must_fail "a name without a registry is looked for here only" --status 125 --stderr 'docker://nosuch:1 asks the registry' rl manifest inspect nosuch:1
export RL_ROOT=$T/puller
ok "it is pulled" rl pull -q --tls-verify=false "$R/multi:1"
output_is "and the image for this machine runs" here rl run --rm --network none --pull never "$R/multi:1" /tinit args here
ok "the other one is pulled as well" rl pull -q --tls-verify=false --platform "linux/$other" "$R/multi:1"
export RL_ROOT=$T/store
ok "as docker's list it is pushed, and removed here" rl manifest push -q --rm --tls-verify=false -f v2s2 localhost/multi:1 "$R/multi:docker"
is "the media types are docker's" "$(skopeo inspect --raw --tls-verify=false "docker://$R/multi:docker" | grep -o 'vnd\.[a-z]*' | sort -u)" vnd.docker
must_fail "it is gone" --status 1 rl manifest exists localhost/multi:1
is "with the names that kept its images" "$(rl images --digests --format '{{.Repository}}' | grep -c localhost/multi)" 0

ok "an index is made of images of a registry" rl manifest create -q --tls-verify=false again:1 "docker://$R/multi:1"
ok "of another platform, too" rl manifest add -q --tls-verify=false --arch "$other" again:1 "docker://$R/multi:1"
is "both are in it" "$(entries again:1 | wc -l)" 2
ok "an entry is taken out" rl manifest remove again:1 "$(entries again:1 | head -n 1 | cut -d' ' -f2)"
is "and one is left" "$(entries again:1 | wc -l)" 1

ok "an index is removed" rl manifest rm again:1
must_fail "and is not there any more" --status 125 --stderr 'no index' rl manifest inspect again:1

# What is named otherwise than by a name.
rl import payload.tgz localhost/alone:x >/dev/null
rl push -q --tls-verify=false localhost/alone:x "$R/single:1"
rl save -q --format oci-dir -o layout localhost/alone:x
rl manifest create localhost/named:1 >/dev/null
ok "an image of a layout is added" rl manifest add localhost/named:1 oci:layout
ok "and its entry named by the layout" rl manifest annotate --variant v3 localhost/named:1 oci:layout
ok "an image that is alone may be added for a platform that is not its own" \
	rl manifest add --tls-verify=false --arch s390x localhost/named:1 "docker://$R/single:1"
is "and is in the index for that" "$(entries localhost/named:1 | grep -c '^linux/s390x')" 1
must_fail "an index does not go to a layout, which is said" --status 125 --stderr 'pushed to a registry' \
	rl manifest push localhost/named:1 oci:other
rl manifest rm localhost/named:1

# What an index needs is kept, whatever becomes of the names.
rl import payload.tgz localhost/kept:x >/dev/null
left=$(digest_of localhost/kept:x)
rl manifest create localhost/kept:1 >/dev/null && rl manifest add localhost/kept:1 localhost/kept:x >/dev/null
rl untag localhost/kept:x
must_fail "rmi does not take an image out of an index" --status 125 --stderr 'part of the index localhost/kept:1' \
	rl rmi "localhost/kept@$left"
ok "nor does prune -a" rl image prune -a -f
ok "system check finds nothing wrong" rl system check --quick
ok "another index of the same repository has the image too" \
	sh -c "rl manifest create localhost/kept:2 && rl manifest add localhost/kept:2 localhost/kept@$left"
ok "the first index is removed" rl manifest rm localhost/kept:1
ok "the image stays, by the name they shared" rl image exists "localhost/kept@$left"

# An index that lost its image, and one that is no document.
rl manifest create -q --tls-verify=false "$R/multi:mine" "docker://$R/multi:1" >/dev/null
mine=$(entries "$R/multi:mine" | cut -d' ' -f2)
ok "images of indexes are removed with --force" rl rmi --force "$mine" "$left"
is "system check misses both" "$(rl system check --quick 2>/dev/null | grep -c '^broken: index entry missing')" 2
rl system check --repair --tls-verify=false >mend 2>&1
ok "what a registry has, --repair brings back" rl image exists "$R/multi@$mine"
ok "of the other it says what to do" grep -q "rl manifest remove localhost/kept:2 $left" mend
ok "and that is enough" sh -c "rl manifest remove localhost/kept:2 $left && rl system check --quick"
for file in "$RL_ROOT"/lists/*kept*; do echo '{' >"$file"; done
rl system check --quick >mend 2>&1
ok "a damaged index is told" grep -q 'rl manifest rm localhost/kept:2' mend
ok "and can be removed" rl manifest rm localhost/kept:2
ok "then all is well" rl system check --quick
done_testing
