#!/bin/bash
# Images round other tools and back: every transport, run included; skopeo, umoci, podman and buildah on the other side; a
# registry with TLS and passwords between them. Platforms that are not this machine's.
# deadline: 400
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
have docker-registry skopeo umoci htpasswd openssl || skip_all "docker-registry, skopeo, umoci, apache2-utils or openssl is missing"

export HOME=$T/home XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME/.config/containers" "$XDG_RUNTIME_DIR"
# Compressed: skopeo compresses what is not, and the manifest is then another one.
payload_image plain && gzip -n .payload.tar && rl import .payload.tar.gz payload >/dev/null || fail "the static payload is imported"
mkdir second && echo second >second/file
tar -C second --owner=0 --group=0 -cf second.tar ./file
rl import second.tar second >/dev/null
id_of() { rl inspect --format '{{.Id}}' "$1"; }
digest_of() { rl inspect --format '{{.Digest}}' "$1"; }
skopeo_digest() { skopeo inspect --format '{{.Digest}}' "$@"; }
id=$(id_of payload) digest=$(digest_of payload)

# --- layouts and archives ---
ok "an image is pushed into an OCI layout that is not there yet" rl push -q payload oci:layout:one
ok "another one into the same layout" rl push -q second oci:layout:two
is "umoci lists both" "$(umoci ls --layout layout | sort | tr '\n' ' ')" "one two "
is "skopeo finds the manifest the store has" "$(skopeo_digest oci:layout:one)" "$digest"
ok "the tag is given to another image" rl push -q second oci:layout:one
is "and then it is that one" "$(skopeo_digest oci:layout:one)" "$(digest_of second)"
rl push -q payload oci:layout:one
output_is "the layout's image runs" here rl run --rm --network none oci:layout:one /tinit args here
must_fail "a tag that is not in the layout is named" --status 125 --stderr 'no image called nine' \
	rl run --rm --network none oci:layout:nine /tinit args here
must_fail "without a tag it is not clear which image is meant" --status 125 --stderr 'more than one image' \
	rl run --rm --network none oci:layout /tinit args here
mkdir full && touch full/file
must_fail "a directory that is no layout is not written to" --status 125 --stderr 'new or empty' rl push -q payload oci:full:x
ok "umoci unpacks it" umoci unpack --rootless --image layout:one bundle
ok "with the file that was imported" cmp bundle/rootfs/tinit .payload/tinit

ok "an OCI archive" rl push -q payload oci-archive:one.tar:one
is "is what the store has" "$(skopeo_digest oci-archive:one.tar:one)" "$digest"
output_is "it runs" here rl run --rm --network none oci-archive:one.tar /tinit args here
ok "a docker archive" rl push -q payload docker-archive:docker.tar:example.org/p:1
is "has the name that was given" "$(tar -xOf docker.tar manifest.json | grep -o 'example.org/p:1')" "example.org/p:1"
output_is "it runs, by that name" here rl run --rm --network none docker-archive:docker.tar:example.org/p:1 /tinit args here
ok "a dir" rl push -q payload dir:dir
is "is what the store has, too" "$(skopeo_digest dir:dir)" "$digest"
output_is "it runs" here rl run --rm --network none dir:dir /tinit args here
for source in oci:layout:one oci-archive:one.tar dir:dir docker-archive:docker.tar; do
	export RL_ROOT=$T/from.${source%%:*}
	ok "$source is pulled" rl pull -q "$source"
	is "as the same image" "$(rl images -q --no-trunc | head -n 1)" "$id"
	export RL_ROOT=$T/named.${source%%:*}
	output_is "inspect takes $source" "$id" rl inspect --format '{{.Id}}' "$source"
	ok "history too" rl history -q "$source"
	ok "save too" sh -c "rl save -q --format oci-dir -o saved.${source%%:*} $source"
	is "as what it is" "$(skopeo_digest "oci:saved.${source%%:*}")" "$digest"
	ok "tag too" rl tag "$source" named:1
	ok "image tree and export too" sh -c "rl image tree $source >/dev/null && rl export $source | tar -tf - tinit"
	printf 'FROM %s\nCMD ["/tinit", "args", "built"]\n' "$source" >Containerfile.transport
	ok "and FROM" rl build -q --network none -f Containerfile.transport -t from:1 .
	output_is "what it made runs" built rl run --rm --network none from:1
done
export RL_ROOT=$T/store
must_fail "layers are not compressed on the way to a file" --status 125 --stderr 'as they are' \
	rl push -q --compression-format zstd payload oci:other:1
must_fail "an image that is nowhere needs a destination" --status 125 --stderr 'where to' rl push -q oci:layout:one

# --- skopeo there and back: documents stay, byte for byte ---
ok "skopeo copies the layout" skopeo copy -q --insecure-policy oci:layout:one oci:copied:one
export RL_ROOT=$T/copied.store
ok "rl reads what skopeo wrote" rl pull -q oci:copied:one
is "the manifest is the same" "$(digest_of "$id")" "$digest"
ok "skopeo makes a docker archive of it" skopeo copy -q --insecure-policy oci:layout:one docker-archive:sk.tar:sk:1
ok "which is loaded" rl load -q -i sk.tar
is "under its name, as the image of the same layers" "$(rl inspect --format '{{index .RootFS.Layers 0}}' sk:1)" \
	"$(rl inspect --format '{{index .RootFS.Layers 0}}' "$id")"

# --- umoci changes it ---
cp -r layout changed
echo new >bundle/rootfs/new
ok "umoci repacks a changed root" umoci repack --image changed:three bundle
ok "we pull it" sh -c 'rl pull -q oci:changed:three >three.id'
is "with the layer that umoci added" "$(rl inspect --format '{{len .RootFS.Layers}}' "$(cat three.id)")" 2
output_is "it runs" here rl run --rm --network none "$(cat three.id)" /tinit args here
export RL_ROOT=$T/store

# --- podman and buildah ---
# podman's run root is at most 50 characters long, and buildah wants the paths of layouts in lower case.
short=/tmp/rl-test.$$
mkdir -m 700 "$short"
end_podman() {
	podman --root $short/p --runroot $short/r unshare rm -rf $short/p $short/r 2>/dev/null
	# The process that keeps podman's user namespace; where its number is depends on the version.
	find "$XDG_RUNTIME_DIR" /tmp/podman-run-"$(id -u)" -name pause.pid -exec cat {} + 2>/dev/null | xargs -r kill 2>/dev/null
	rm -rf "$short"
}
on_finish end_podman
storage="--root $short/p --runroot $short/r --storage-driver vfs"
# shellcheck disable=SC2086
if have podman buildah && podman $storage images >podman.out 2>&1; then
	PODMAN="podman $storage"
	BUILDAH="buildah $storage"
	for format in docker-archive oci-archive; do
		rl save -q --format $format -o to-podman.tar payload
		ok "podman loads a $format of ours" $PODMAN load -q -i to-podman.tar
		is "as the same image" "$($PODMAN inspect --format '{{.Id}}' payload 2>/dev/null)" "${id#sha256:}"
		ok "and saves it as one" $PODMAN save -q --format $format -o from-podman.tar docker.io/library/payload:latest
		export RL_ROOT=$T/back.$format
		ok "which we load" rl load -q -i from-podman.tar
		is "as the same image again" "$(id_of payload)" "$id"
		output_is "it runs" here rl run --rm --network none payload /tinit args here
		export RL_ROOT=$T/store
		$PODMAN rmi -f -a >/dev/null 2>&1
	done
	cp -r layout "$short/layout"
	ok "buildah starts from our layout" sh -c "c=\$($BUILDAH from -q oci:$short/layout:one) && $BUILDAH config --cmd '/tinit args built' \$c && $BUILDAH commit -q \$c oci:$short/built:1 >/dev/null"
	output_is "what it made of it runs" built rl run --rm --network none "oci:$short/built:1"
else
	skip "podman does not work here: $(tail -n 1 podman.out 2>/dev/null)" "podman and buildah exchange images with us"
fi

# --- a registry with TLS and passwords ---
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext 'subjectAltName=IP:127.0.0.1' \
	-keyout key.pem -out cert.pem 2>/dev/null
mkdir certs && cp cert.pem certs/ca.crt
htpasswd -Bbn user secret >htpasswd 2>/dev/null
start_registry tls "  tls: {certificate: $T/cert.pem, key: $T/key.pem}" "auth: {htpasswd: {realm: test, path: $T/htpasswd}}" || :
S=127.0.0.1:$PORT
remote() { "$@" --cert-dir certs --creds user:secret; }
ok "an archive goes to a registry with TLS and passwords" \
	rl push -q --cert-dir certs --creds user:secret oci-archive:one.tar "docker://$S/team/one:1"
is "skopeo reads the image we pushed" "$(skopeo_digest --cert-dir certs --creds user:secret "docker://$S/team/one:1")" "$digest"
ok "skopeo pushes there" skopeo copy -q --insecure-policy --dest-cert-dir certs --dest-creds user:secret dir:dir "docker://$S/team/two:1"
export RL_ROOT=$T/tls.store
ok "we pull that" rl pull -q --cert-dir certs --creds user:secret "$S/team/two:1"
is "as the image it was" "$(digest_of "$S/team/two:1")" "$digest"
must_fail "not without the password" --status 125 --stderr 'login' rl pull -q --cert-dir certs "$S/team/one:1"
must_fail "and not without the certificate" --status 125 --stderr 'TLS|certificate' rl pull -q --creds user:secret "$S/team/one:1"
python3 - "$S" <<'PY' >fields.txt
import json, re, subprocess, sys
url = f"docker://{sys.argv[1]}/team/one:1"
ours = json.loads(subprocess.run(["rl", "inspect", "--cert-dir", "certs", "--creds", "user:secret", url], capture_output=True, text=True).stdout)
ours = ours[0] if isinstance(ours, list) else ours
theirs = json.loads(subprocess.run(["skopeo", "inspect", "--cert-dir", "certs", "--creds", "user:secret", url], capture_output=True, text=True).stdout)
for key in ("Name", "Digest", "RepoTags", "Created", "Labels", "Architecture", "Os", "Layers", "LayersData", "Env"):
    a, b = ours.get(key), theirs.get(key)
    if key == "LayersData" and b is None:
        continue  # an older skopeo
    for layers in (a, b):
        for layer in (layers or ()) if key == "LayersData" else ():
            layer.pop("Annotations", None)
    if key == "Created":  # the same moment; zeros at the end of the fraction
        a, b = re.sub(r"\.?0*Z$", "Z", a), re.sub(r"\.?0*Z$", "Z", b)
    if (a or None) != (b or None):
        print(key, a, b)
PY
is "inspect docker:// says what skopeo inspect says" "$(cat fields.txt)" ""

# --- compression ---
export RL_ROOT=$T/store
start_registry plain || :
P=127.0.0.1:$PORT
types() { skopeo inspect --raw --tls-verify=false "docker://$P/$1" | python3 -c 'import json, sys; print(*sorted({l["mediaType"].split("+")[-1].split(".")[-1] for l in json.load(sys.stdin)["layers"]}))'; }
ok "an image is pushed with gzip" rl push -q --tls-verify=false payload "$P/c:gzip"
is "its layers are" "$(types c:gzip)" gzip
export RL_ROOT=$T/c.store
rl pull -q --tls-verify=false "$P/c:gzip" >/dev/null
ok "--compression-format leaves compressed layers" rl push -q --tls-verify=false --compression-format zstd "$P/c:gzip" "$P/c:same"
is "alone" "$(types c:same)" gzip
ok "--force-compression does not" rl push -q --tls-verify=false --compression-format zstd --compression-level 5 --force-compression "$P/c:gzip" "$P/c:zstd"
is "they are zstd then" "$(types c:zstd)" zstd
ok "or nothing" rl push -q --tls-verify=false --compression-format none --force-compression "$P/c:gzip" "$P/c:none"
is "at all" "$(types c:none)" tar
for tag in zstd none; do
	export RL_ROOT=$T/c.$tag
	output_is "$tag runs" here sh -c "rl pull -q --tls-verify=false $P/c:$tag >/dev/null && rl run --rm --network none $P/c:$tag /tinit args here"
done
must_fail "docker's format has no zstd" --status 125 --stderr 'zstd' \
	rl push -q --tls-verify=false -f v2s2 --compression-format zstd --force-compression "$P/c:zstd" "$P/c:bad"
must_fail "a level that is none is refused" --status 125 --stderr 'level' \
	rl push -q --tls-verify=false --compression-format gzip --compression-level 30 --force-compression "$P/c:none" "$P/c:bad"
export RL_ROOT=$T/store
rl tag payload "$P/many:1" && rl tag second "$P/many:2"
ok "push --all sends every tag" rl push -q --all --tls-verify=false --digestfile digests "$P/many"
is "the registry has them" "$(rl search --list-tags --tls-verify=false "$P/many" 2>/dev/null | grep -c "many")" 2
is "the digest of each is in the file" "$(grep -c '^sha256:' digests)" 2
ok "also elsewhere" rl push -q -a --tls-verify=false "$P/many" "$P/elsewhere"
is "under the same tags" "$(skopeo list-tags --tls-verify=false "docker://$P/elsewhere" | grep -c '"[12]"')" 2
must_fail "a tag is not a repository" --status 125 --stderr 'without a tag' rl push -q -a --tls-verify=false "$P/many:1"

# --- platforms ---
case $(uname -m) in x86_64) other=arm64 ;; *) other=amd64 ;; esac
# An index of two platforms; the other one's config says so.
python3 - "$other" <<'PY'
import hashlib, json, os, shutil, sys
host = json.load(open("layout/index.json"))
def blob(data):
    d = hashlib.sha256(data).hexdigest()
    open("layout/blobs/sha256/" + d, "wb").write(data)
    return {"digest": "sha256:" + d, "size": len(data)}
def read(d):
    return open("layout/blobs/sha256/" + d["digest"][7:], "rb").read()
one = next(m for m in host["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == "one")
m = json.loads(read(one))
config = json.loads(read(m["config"]))
arch = config["architecture"]
config["architecture"] = sys.argv[1]
m["config"].update(blob(json.dumps(config).encode()))
foreign = dict(blob(json.dumps(m).encode()), mediaType="application/vnd.oci.image.manifest.v1+json")
entries = [dict(mediaType=one["mediaType"], digest=one["digest"], size=one["size"], platform={"os": "linux", "architecture": arch}),
           dict(foreign, platform={"os": "linux", "architecture": sys.argv[1]})]
index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}).encode()
shutil.copytree("layout", "multi")
d = hashlib.sha256(index).hexdigest()
open("multi/blobs/sha256/" + d, "wb").write(index)
json.dump({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + d,
          "size": len(index), "annotations": {"org.opencontainers.image.ref.name": "m"}}]}, open("multi/index.json", "w"))
PY
skopeo copy -q --all --insecure-policy --dest-tls-verify=false oci:multi:m "docker://$P/multi:1"
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$P" >registries.conf
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf RL_ROOT=$T/p.store
output_is "of an index this machine's image runs" here rl run --rm --network none "$P/multi:1" /tinit args here
must_fail "another platform's is fetched, and refused with what could be done" --status 126 \
	--stderr "is for linux/$other .*interpreter.*--platform linux" rl run --rm --network none --platform "linux/$other" "$P/multi:1" /tinit
must_fail "it stays refused, as it is the image of that name now" --status 126 --stderr "is for linux/$other" \
	rl run --rm --network none "$P/multi:1" /tinit
output_is "--platform of this machine fetches its image again" here \
	rl run --rm --network none --platform linux/"$(skopeo inspect --format '{{.Architecture}}' oci:layout:one)" "$P/multi:1" /tinit args here
must_fail "--pull never does not fetch it" --status 125 --stderr 'for another platform' \
	rl run --rm --network none --pull never --platform "linux/$other" "$P/multi:1" /tinit
ok "pull --platform takes the other one" rl pull -q --platform "linux/$other" "$P/multi:1"
is "and it says what it is" "$(rl inspect --format '{{.Architecture}}' "$P/multi:1")" "$other"
ok "as --arch does" rl pull -q --arch "$other" "$P/multi:1"
must_fail "but not both" --status 125 --stderr 'platform' rl pull -q --platform "linux/$other" --arch "$other" "$P/multi:1"
must_fail "an image for one platform only is not taken for another" --status 125 --stderr 'only one for linux/' \
	rl pull -q --platform "linux/$other" "$P/c:gzip"
must_fail "a platform that is not in the index is named" --status 125 --stderr 's390x' rl pull -q --platform linux/s390x "$P/multi:1"
done_testing
