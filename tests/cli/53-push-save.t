#!/bin/bash
# rl save, push, login: images that leave the store, read back by skopeo and by rl itself.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"

make_image() { "$HELPERS/make-image" "$@"; }
digest_of() { rl inspect --format '{{.Digest}}' "$1"; }
id_of() { rl inspect --format '{{.Id}}' "$1"; }
tmp_is_empty() { [ -z "$(find "$RL_ROOT/tmp" -mindepth 1 2>/dev/null)" ]; }

export HOME=$T/home XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
make_image oci plain.tar --name s/plain:1 --marker plain
make_image oci gzip.tar --name s/gzip:1 --gzip --marker gzip
rl load -i plain.tar >/dev/null && rl load -i gzip.tar >/dev/null
rl tag s/gzip:1 localhost:5000/other/gzip:2
gzip_digest=$(digest_of s/gzip:1) gzip_id=$(id_of s/gzip:1) plain_digest=$(digest_of s/plain:1)

# --- save ---
ok "an archive is saved" rl save -o d.tar s/gzip:1
output_is "it is docker's" '["docker.io/s/gzip:1"]' python3 -c '
import json, tarfile
m = json.load(tarfile.open("d.tar").extractfile("manifest.json"))
print(json.dumps(m[0]["RepoTags"]))'
rl save s/gzip:1 | cat >d2.tar
ok "to a pipe it is the same, byte for byte" cmp d.tar d2.tar
ok "tar understands it" tar -tf d.tar
ok "several images go into one OCI archive" rl save --format oci-archive -o o.tar s/gzip:1 s/plain:1 localhost:5000/other/gzip:2
is "a blob that is there twice is written once" "$(tar -tf o.tar | sort | uniq -d)" ""
ok "an OCI layout is saved" rl save --format oci-dir -o layout s/gzip:1
mkdir empty full && touch full/file
ok "into an empty directory too" rl save --format docker-dir -o empty s/gzip:1
must_fail "but not into one that has something" --stderr 'new or empty' rl save --format oci-dir -o full s/gzip:1
ok "which stays as it is" test -f full/file
must_fail "a directory does not go to standard output" --stderr 'standard output' rl save --format oci-dir s/gzip:1
must_fail "docker-dir holds one image" --stderr 'one image' rl save --format docker-dir -o two s/gzip:1 s/plain:1
not_ok "and nothing is left of it" test -e two
must_fail "-m=false allows one image" --stderr 'allows one' rl save -m=false -o two s/gzip:1 s/plain:1
must_fail "a format that is none is named" --stderr 'bogus' rl save --format bogus -o x.tar s/gzip:1
must_fail "an image that is not there is named" --stderr 'nosuch' rl save -o x.tar nosuch
must_fail "a file that cannot be written is named" --stderr '/nowhere' rl save -o /nowhere/x.tar s/gzip:1
must_fail "a terminal gets no archive" --stdout 'terminal' script -qec 'rl save s/gzip:1' /dev/null
must_fail "a full device is an error" --stderr 'space' rl save -o /dev/full s/gzip:1
ok "a reader that goes away does no harm" sh -c 'rl save busybox 2>pipe.err | head -c 10 >/dev/null; ! grep -q signal pipe.err'
is "no part of a file is left" "$(find . -maxdepth 1 -name '*.tar.*' -o -maxdepth 1 -name 'x.tar*')" ""

rl rmi s/gzip:1 s/plain:1 localhost:5000/other/gzip:2 >/dev/null
not_ok "after they were removed" rl image exists s/gzip:1
ok "the OCI archive is loaded" rl load -i o.tar
is "with the same manifest" "$(digest_of s/gzip:1)" "$gzip_digest"
is "for every image" "$(digest_of s/plain:1)" "$plain_digest"
ok "and every name" rl image exists localhost:5000/other/gzip:2
rl rmi s/gzip:1 s/plain:1 localhost:5000/other/gzip:2 >/dev/null
ok "the OCI layout is loaded" rl load -i layout
is "with the same manifest too" "$(digest_of s/gzip:1)" "$gzip_digest"
rl rmi s/gzip:1 >/dev/null
ok "the docker directory is loaded" rl load -i empty
is "as the image it was" "$(rl inspect --format '{{.Digest}}' "$gzip_id")" "$gzip_digest"
rl rmi "$gzip_id" >/dev/null
ok "the docker archive is loaded" rl load -i d.tar
is "with the same id" "$(id_of s/gzip:1)" "$gzip_id"
ok "a saved image is loaded from a pipe" sh -c 'rl save busybox | rl load'
output_is "and runs" hi rl run --rm --network none busybox echo hi
ok "nothing is left in tmp/" tmp_is_empty
if have skopeo; then
	ok "skopeo reads the docker archive" skopeo --insecure-policy copy -q docker-archive:d.tar:docker.io/s/gzip:1 oci:sk1:x
	ok "the OCI archive, by name" skopeo --insecure-policy copy -q oci-archive:o.tar:docker.io/s/plain:1 dir:sk2
	is "with the manifest it should have" "sha256:$(sha256sum sk2/manifest.json | cut -d' ' -f1)" "$plain_digest"
	ok "the layout" skopeo --insecure-policy copy -q oci:layout:docker.io/s/gzip:1 dir:sk3
	ok "and the docker directory" skopeo --insecure-policy copy -q dir:empty dir:sk4
	is "which has the manifest as well" "sha256:$(sha256sum sk4/manifest.json | cut -d' ' -f1)" "$gzip_digest"
else
	skip "skopeo reads what was saved" "skopeo is not installed"
fi
# --- push ---
if have docker-registry htpasswd openssl skopeo; then
	: >none.conf
	export CONTAINERS_REGISTRIES_CONF=$T/none.conf
	start_registry plain || exit 1
	REG=127.0.0.1:$PORT
	rl load -i o.tar >/dev/null
	ok "an image is pushed" rl push --tls-verify=false --digestfile digest s/gzip:1 "$REG/team/app:1"
	is "the digest is that of the store" "$(cat digest)" "$gzip_digest"
	ok "skopeo pulls it" skopeo copy -q --src-tls-verify=false "docker://$REG/team/app:1" dir:back
	is "byte for byte" "sha256:$(sha256sum back/manifest.json | cut -d' ' -f1)" "$gzip_digest"
	rl tag s/gzip:1 "$REG/team/app:2"
	ok "the name alone says where to" rl push -q --tls-verify=false "$REG/team/app:2"
	rl rmi "$REG/team/app:2" >/dev/null
	ok "rl pulls it" rl pull -q --tls-verify=false "$REG/team/app:2"
	is "as the same image" "$(digest_of "$REG/team/app:2")" "$gzip_digest"
	ok "docker:// in front of the destination is the same" rl push -q --tls-verify=false s/plain:1 "docker://$REG/other/plain"
	ok "another repository gets it as well, by mounting" rl push -q --tls-verify=false s/gzip:1 "$REG/other/app:3"
	ok "docker's format is made" rl push --tls-verify=false -f v2s2 s/gzip:1 "$REG/team/app:d"
	like "which is what the registry then has" "$(skopeo inspect --raw --tls-verify=false "docker://$REG/team/app:d")" \
		'docker.distribution.manifest.v2'
	ok "it runs the same way: skopeo can read its layers" skopeo copy -q --src-tls-verify=false "docker://$REG/team/app:d" oci:backd:x
	ok "an image by id needs a destination" rl push -q --tls-verify=false "$gzip_id" "$REG/team/app:id"
	must_fail "and says so" --stderr 'destination' rl push --tls-verify=false "$gzip_id"
	layer_types() { skopeo inspect --raw --tls-verify=false "docker://$1" | python3 -c 'import json, sys; print(*sorted({l["mediaType"].split(".")[-1] for l in json.load(sys.stdin)["layers"]}))'; }
	is "a layer that was not compressed is, on the way" "$(layer_types "$REG/other/plain")" "tar+gzip"
	ok "it is pulled, which verifies every DiffID" rl pull -q --tls-verify=false "$REG/other/plain"
	is "as the same image with another manifest" "$(id_of "$REG/other/plain")" "$(id_of s/plain:1)"
	ok "with zstd as well" rl push -q --tls-verify=false --compression-format zstd --compression-level 7 s/plain:1 "$REG/other/plain:z"
	is "as the registry then has it" "$(layer_types "$REG/other/plain:z")" "tar+zstd"
	ok "which is pulled and verified too" rl pull -q --tls-verify=false "$REG/other/plain:z"
	touch stamp
	ok "pushed once more" rl push -q --tls-verify=false --compression-format zstd --compression-level 7 --digestfile twice s/plain:1 "$REG/other/plain:z"
	is "nothing is compressed and sent again" "$(find plain.data -name data -newer stamp | wc -l)" 0
	is "and the digest is the same" "$(cat twice)" "$(rl inspect --tls-verify=false --format '{{.Digest}}' "docker://$REG/other/plain:z")"
	ok "or not at all" rl push -q --tls-verify=false --compression-format none --digestfile digest s/plain:1 "$REG/other/plain:n"
	is "then the digest is that of the store" "$(cat digest)" "$plain_digest"
	ok "docker's format with gzip" rl push -q --tls-verify=false -f v2s2 s/plain:1 "$REG/other/plain:d"
	must_fail "but not with zstd" --stderr 'format oci' rl push -q --tls-verify=false -f v2s2 --compression-format zstd s/plain:1 "$REG/other/plain:d"
	must_fail "levels have bounds" --stderr 'level' rl push -q --tls-verify=false --compression-level 10 s/plain:1 "$REG/other/plain:l"
	ok "nothing of that is left in tmp/" tmp_is_empty

	rl tag s/plain:1 all/tags:1 && rl tag s/gzip:1 all/tags:2
	ok "all tags of a repository are pushed" rl push -q --tls-verify=false --all all/tags "$REG/all/tags"
	is "each under its own" "$(skopeo list-tags --tls-verify=false "docker://$REG/all/tags" | grep -c '"[12]"')" 2
	must_fail "not to one tag" --status 125 --stderr 'without a tag' rl push -q --tls-verify=false --all all/tags "$REG/all/tags:1"
	rl rmi all/tags:1 all/tags:2 >/dev/null
	# --- looking without pulling ---
	rl rmi "$REG/team/app:2" >/dev/null
	output_is "a registry's image is inspected" "$gzip_digest" rl inspect --tls-verify=false --format '{{.Digest}}' "docker://$REG/team/app:1"
	output_is "as skopeo sees it" "$(skopeo inspect --tls-verify=false --format '{{.Name}} {{.Layers}} {{.Architecture}}' "docker://$REG/team/app:1")" \
		rl inspect --tls-verify=false --format '{{.Name}} {{.Layers}} {{.Architecture}}' "docker://$REG/team/app:1"
	not_ok "which does not bring it here" rl image exists "$REG/team/app:1"
	must_fail "one that is not there is named" --stderr 'nosuch' rl inspect --tls-verify=false "docker://$REG/team/app:nosuch"
	output_is "tags are listed" "1 2 d id" sh -c "rl search --list-tags --tls-verify=false --format '{{.Tag}}' $REG/team/app | sort | tr '\n' ' ' | sed 's/ \$//'"
	like "as a table" "$(rl search --list-tags --tls-verify=false --limit 1 "$REG/team/app")" "NAME.*TAG"
	must_fail "other searches are refused" --stderr 'list-tags' rl search app

	must_fail "http is not used without being told" --stderr 'tls-verify=false' rl push s/gzip:1 "$REG/team/app:1"
	must_fail "an image that is not there is named" --stderr 'nosuch' rl push nosuch "$REG/team/app:1"
	must_fail "so is a registry that is not there" --stderr '127.0.0.1:1' rl push --retry 1 --tls-verify=false s/gzip:1 127.0.0.1:1/x
	must_fail "and a format that is none" --stderr 'bogus' rl push -f bogus s/gzip:1 "$REG/team/app:1"
	ok "nothing of it is left in tmp/" tmp_is_empty

	# --- with TLS and passwords ---
	htpasswd -Bbc htpasswd alice 'se cret:1' 2>/dev/null
	openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
		-addext subjectAltName=IP:127.0.0.1 2>/dev/null
	start_registry secret "  tls: {certificate: $T/cert.pem, key: $T/key.pem}" "auth: {htpasswd: {realm: test, path: $T/htpasswd}}" || exit 1
	SEC=127.0.0.1:$PORT
	mkdir certs && cp cert.pem certs/ca.crt
	must_fail "a certificate nobody knows is refused" --stderr 'ertificate' rl push s/gzip:1 "$SEC/t/a:1"
	must_fail "without credentials nothing is pushed" --stderr 'rl login' rl push --cert-dir certs s/gzip:1 "$SEC/t/a:1"
	ok "with --creds it is" rl push -q --cert-dir certs --creds 'alice:se cret:1' s/gzip:1 "$SEC/t/a:1"
	must_fail "a wrong password is not kept" --stderr "$SEC" sh -c "echo wrong | rl login --cert-dir certs -u alice --password-stdin $SEC"
	not_ok "there is no file" test -e "$XDG_RUNTIME_DIR/containers/auth.json"
	must_fail "without a terminal nobody is asked" --stderr 'password-stdin' sh -c "rl login --cert-dir certs $SEC </dev/null"
	ok "the right one is" sh -c "echo 'se cret:1' | rl login --cert-dir certs -u alice --password-stdin $SEC"
	is "in a file for the user alone" "$(stat -c %a "$XDG_RUNTIME_DIR/containers/auth.json")" 600
	output_is "whose login it is" alice rl login --cert-dir certs --get-login "$SEC"
	ok "stored credentials are checked" rl login --cert-dir certs "$SEC"
	ok "and used: push" rl push -q --cert-dir certs s/plain:1 "$SEC/t/a:2"
	ok "skopeo finds them too" skopeo inspect --cert-dir certs "docker://$SEC/t/a:2"
	output_is "logout forgets them" "Removed login credentials for $SEC" rl logout "$SEC"
	output_is "and says it only if there were some" "" rl logout "$SEC"
	must_fail "so that nothing is pushed any more" --stderr 'rl login' rl push --cert-dir certs s/plain:1 "$SEC/t/a:3"
	must_fail "nobody is logged in" --stderr 'not logged in' rl login --cert-dir certs --get-login "$SEC"
	ok "-p works, with a warning" rl login --cert-dir certs -u alice -p 'se cret:1' "$SEC"
	like "which says what is wrong with it" "$(cat .err)" 'list of processes'
	ok "logout --all forgets everything" rl logout --all
	must_fail "two passwords are one too many" --status 125 rl login -u a -p b --password-stdin "$SEC"
	like "on a terminal user and password are asked" \
		"$( (sleep 1; echo alice; sleep 1; echo 'se cret:1'; sleep 1) | script -qec "rl login --cert-dir certs $SEC" /dev/null)" 'Login Succeeded'
else
	skip "images are pushed" "docker-registry, htpasswd, openssl or skopeo is not installed"
fi

# --- a damaged store ---
blob=$(ls -S "$RL_ROOT/images/blobs/sha256" | head -1)
printf x | dd of="$RL_ROOT/images/blobs/sha256/$blob" bs=1 seek=300 conv=notrunc status=none
name=$(rl images --format '{{.Repository}}:{{.Tag}}' | while read -r n; do rl save --format oci-archive -q "$n" 2>/dev/null >/dev/null || echo "$n"; done | head -1)
must_fail "a damaged blob ends the save" --stderr 'damaged' rl save -o broken.tar "$name"
not_ok "and leaves no file" test -e broken.tar

done_testing
