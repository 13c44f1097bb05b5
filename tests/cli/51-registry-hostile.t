#!/bin/bash
# The registry engine against a registry that lies, stalls, resets, redirects and floods. Every answer must be either the
# right bytes or a refusal in time; credentials must stay where they belong; memory must stay small.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
export HOME=$T/home XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
: >none.conf
export CONTAINERS_REGISTRIES_CONF=$T/none.conf
TAP_TIMEOUT=40
start_hostile || skip_all "python3 does not start the hostile registry"
H=127.0.0.1:$P1
SECRET=$(printf 'ann:secret' | base64)
rd() { registry-driver --tls-verify=0 --delay=20 --stall=2 "$@"; }

# right SENTENCE SCENARIO: the blob arrives whole, in a file and in a receiver.
right() {
	rm -f blob
	ok "$1" rd blob "$H/$2/x" "$LAYER" "$LAYERSIZE" blob
	is "... and is the right one" "$(sha256sum blob | cut -d' ' -f1)" "${LAYER#sha256:}"
}
# wrong SENTENCE SCENARIO REGEX
wrong() {
	rm -f blob
	must_fail "$1" --stderr "$3" rd blob "$H/$2/x" "$LAYER" "$LAYERSIZE" blob
}

right "a good blob" good
right "chunks of all sizes" chunks
right "a connection closed again and again is continued" closes-early
right "a reset in the middle is continued" resets-once
ok "with Range" grep -q 'resets-once.*bytes=[1-9][0-9]*-' "$HOSTILE_LOG"
right "a stall in the middle is continued" stalls-once
right "a relative redirect is followed" redirect-relative
for s in range-ignored range-wrong range-416; do
	rd blob "$H/good/x" "$LAYER" "$LAYERSIZE" whole >/dev/null
	head -c 600000 whole >blob
	ok "$s: a server that cannot do ranges is no obstacle to resuming" rd blob "$H/$s/x" "$LAYER" "$LAYERSIZE" blob
	ok "... the blob is right" cmp blob whole
done

wrong "a length longer than the descriptor's is refused" says-longer 'error 74 .*its descriptor says'
wrong "a body that never ends is refused" longer 'error 74 .*longer than its descriptor'
wrong "one byte too many is refused" wrong-length 'error 74 '
wrong "one wrong byte is refused" wrong-blob 'error 74 .*other contents'
is "... and nothing of it is kept" "$(stat -c %s blob)" 0
wrong "half a blob, properly ended, is refused after the retries" truncated-chunked 'error 5 .*ends after 750000'
wrong "a stalling server is given up" stalls 'error 110 '
wrong "a server that resets every time is given up" resets 'error 104 '
wrong "a server that answers nothing is given up" empty-answer 'error 104 '
wrong "a range that was not asked for is refused" range-always 'error 34 '
wrong "what is no HTTP is refused" no-http 'error 71 '
wrong "a NUL in a header is refused" nul-header 'error 71 '
wrong "endless headers are refused" endless-headers 'error 27 .*headers'
wrong "an endless header is refused" endless-header 'error 71 '
wrong "endless interim answers are refused" endless-continue 'error 27 .*headers'
wrong "503 for ever is given up" unavailable 'error 5 .*503 service unavailable: later'
wrong "a rate limit of a day is told, not waited for" rate-limited 'error 11 .*slow down.*86400'
wrong "a redirect loop is refused" redirect-loop 'error 71 .*8 redirects'
wrong "an oversized URL is refused" redirect-long 'error 71 '
wrong "a redirect to file: is refused" redirect-file 'error 71 .*not an http'
wrong "a redirect to gopher: is refused" redirect-gopher 'error 71 .*not an http'
wrong "a redirect with a user name is refused" redirect-user 'error 71 '
wrong "a redirect to the metadata service is refused" redirect-metadata 'error 1 .*internal address'
wrong "written as a number as well" redirect-decimal 'error 1 .*internal address'
wrong "and inside an IPv6 address" redirect-mapped 'error 1 .*internal address'
wrong "control characters of an error message do not reach the terminal" nasty-error 'error 13 '
unlike "... really not" "$TAP_STDERR" $'\x1b'
wrong "an endless error page is cut" huge-error 'error 13 .{50,400}\.\.\.'

# --- credentials ---
rm -f blob
ok "a redirect to another origin is followed" rd --creds=ann:secret blob "$H/redirect-other/x" "$LAYER" "$LAYERSIZE" blob
ok "the registry got the password" grep -q "^$P1 GET /v2/redirect-other/.* Basic:$SECRET" "$HOSTILE_LOG"
ok "the other origin got the request" grep -q "^$P2 GET /plain-blob" "$HOSTILE_LOG"
rm -f blob
ok "with a token as well" rd --creds=ann:secret blob "$H/redirect-bearer/x" "$LAYER" "$LAYERSIZE" blob
rm -f blob
ok "localhost for 127.0.0.1 is another origin too" rd --creds=ann:secret blob "$H/redirect-localhost/x" "$LAYER" "$LAYERSIZE" blob
rm -f blob
ok "a redirect away and back is followed" rd --creds=ann:secret blob "$H/redirect-back/x" "$LAYER" "$LAYERSIZE" blob
not_ok "no credentials ever went to the other origin" grep -qE "^$P2 (GET|HEAD) /plain-blob [^-]" "$HOSTILE_LOG"
not_ok "nor along any redirect" grep -qE "/plain-blob (Basic|Bearer)" "$HOSTILE_LOG"

ok "a token is fetched and used" rd manifest "$H/bearer/x:v1"
ok "... its scope was asked for" grep -q "token/ok?service=s&scope=repository%3Abearer%2Fx%3Apull" "$HOSTILE_LOG"
ok "access_token is as good" rd manifest "$H/bearer-access/x:v1"
ok "tokens that expire are renewed" rd --creds=ann:secret image "$H/bearer-expires/x:v1" --platform=linux/amd64
must_fail "a token with line ends is refused" --stderr 'error 74 .*no token' rd manifest "$H/bearer-crlf/x:v1"
not_ok "... nothing was injected" grep -qi 'x-injected' "$HOSTILE_LOG"
must_fail "an endless token answer is refused" --stderr 'error 27 ' rd manifest "$H/bearer-endless/x:v1"
must_fail "a broken token answer is refused" --stderr 'error 74 ' rd manifest "$H/bearer-garbage/x:v1"
must_fail "a refused login is told" --stderr 'error 13 .*bad password' rd --creds=ann:wrong manifest "$H/bearer-denied/x:v1"
must_fail "a token server may not send us to another" --stderr 'error 1 ' rd --creds=ann:secret manifest "$H/bearer-elsewhere/x:v1"
must_fail "a token server without https elsewhere is refused" --stderr 'error 1 .*does not use https' rd --creds=ann:secret manifest "$H/bearer-http/x:v1"
must_fail "a token server at the metadata address is refused" --stderr 'error 1 .*internal address' rd --creds=ann:secret manifest "$H/bearer-metadata/x:v1"
must_fail "a registry that rejects every token is given up" --stderr 'error 13 ' rd manifest "$H/bearer-never/x:v1"
is "... after two" "$(grep -c 'bearer-never/x/manifests' "$HOSTILE_LOG")" 3
must_fail "a challenge that is garbage is refused" --stderr 'error 13 ' rd manifest "$H/challenge-garbage/x:v1"
must_fail "no challenge at all is refused" --stderr 'error 13 ' rd manifest "$H/challenge-none/x:v1"
must_fail "a password is asked for where there is none" --stderr 'hint rl login' rd manifest "$H/basic/x:v1"
ok "a registry that hides what is private is asked with the credentials there are" \
	rd --creds=ann:secret manifest "127.0.0.1:$P2/hides/x:v1"
must_fail "and hides it from others" --stderr 'error 2 ' rd manifest "127.0.0.1:$P2/hides/x:v1"
ok "and used where there is one" rd --creds=ann:secret manifest "$H/basic/x:v1"
# {"auths":{"H":{"auth":"","identitytoken":"idtok"}}}
printf '{"auths":{"%s":{"auth":"YW5uOg==","identitytoken":"idtok"}}}' "$H" >id.json
ok "an identity token is exchanged" rd --authfile=id.json manifest "$H/bearer/x:v1"
ok "... by POST" grep -q '^[0-9]* BODY grant_type=refresh_token&client_id=rl&refresh_token=idtok&service=s' "$HOSTILE_LOG"

# --- documents ---
ok "an index inside an index is followed" rd --platform=linux/amd64 image "$H/two-indexes/x:v1"
ok "429 once, with Retry-After, is waited for" rd manifest "$H/rate-limited-once/x:v1"
ok "503 twice is waited for" rd manifest "$H/unavailable-twice/x:v1"
must_fail "forty indexes inside each other are refused" --stderr 'error 74 .*indexes inside each other' rd --platform=linux/amd64 image "$H/deep-index/x:v1"
must_fail "indexes in a circle are refused" --stderr 'error 74 .*has digest' rd --platform=linux/amd64 image "$H/cyclic-index/x:v1"
must_fail "a document that is manifest and index is refused" --stderr 'error 74 .*ambiguous' rd image "$H/ambiguous/x:v1"
must_fail "a manifest announced as an index is refused" --stderr 'error 74 ' rd image "$H/type-lie/x:v1"
must_fail "a login page is no manifest" --stderr 'error 74 ' rd image "$H/html/x:v1"
must_fail "a manifest with another digest than announced is refused" --stderr 'error 74 .*announces' rd manifest "$H/wrong-digest/x:v1"
must_fail "or than asked for" --stderr 'error 74 .*has digest' rd manifest "$H/wrong-digest/x@$MANIFEST"
must_fail "an endless manifest is refused" --stderr 'error 27 ' rd manifest "$H/huge-manifest/x:v1"
must_fail "a manifest byte by byte is given up" --stderr 'error 110 ' rd --retries=-1 manifest "$H/dribbles/x:v1"

output_is "tags come page by page" "tag a
tag b
tag c" rd tags "$H/tags-pages/x"
must_fail "pages without end are refused" --stderr 'error 27 ' rd tags "$H/tags-endless/x"
output_is "a page that leads to itself ends" "" rd tags "$H/tags-same/x"
must_fail "pages do not go on elsewhere" --stderr 'error 1 ' rd tags "$H/tags-elsewhere/x"
must_fail "what is no tag is refused" --stderr 'error 74 ' rd tags "$H/tags-evil/x"

# --- uploads: the blob must be larger than one chunk ---
make_image up 20000000
for mode in "" --stream; do
	n=${mode:+ produced on the way}
	start_hostile # counts start anew
	H=127.0.0.1:$P1
	push() { rd --parallel=1 --creds=ann:secret $mode push up "$H/$1/x:v1"; }
	ok "an upload$n" push upload
	ok "an upload$n with a relative Location" push upload-relative
	ok "an upload$n that goes to another origin" push upload-other
	not_ok "... which gets no credentials" grep -qE "^$P2 .*(Basic|Bearer)" "$HOSTILE_LOG"
	ok "a broken upload$n is continued inside the chunk" push upload-breaks
	ok "an upload$n the registry lost is begun again" push upload-lost
	must_fail "a blob$n stored under another digest is noticed" --stderr 'error 74 ' push upload-wrong
	must_fail "an upload$n without Location is refused" --stderr 'error 71 ' push upload-nowhere
	must_fail "an upload$n sent to the metadata service is refused" --stderr 'error 1 ' push upload-metadata
done
mkdir -p late/etc && head -c 20000000 /dev/urandom >late/etc/random && tar -cf late.tar -C late etc
rl import late.tar late:1 >/dev/null
ok "a layer that is compressed on its way is compressed again when the registry loses the upload" \
	rl push -q --tls-verify=false late:1 "$H/upload-lost-late/x:v1"
ok "... after two chunks of it" grep -q 'PATCH /v2/upload-lost-late/' "$HOSTILE_LOG"
must_fail "a blob of another size after a lost answer is refused" --stderr 'error 74 .*instead of' \
	rd --parallel=1 push up "$H/upload-answer-lost/x:v1"

# --- interruption ---
mkfifo stop
rd --cancel-fd=9 blob "$H/stalls/x" "$LAYER" "$LAYERSIZE" part 9<>stop >cancel.out 2>cancel.err &
pid=$!
wait_for "the first bytes" 10 test -s part
echo >stop
wait "$pid"
is "an interrupt ends a transfer" "$?" 1
like "and says so" "$(cat cancel.err)" 'error 125 '
ok "what came is kept" test "$(stat -c %s part)" -ge 100
ok "and continued later" rd blob "$H/good/x" "$LAYER" "$LAYERSIZE" part
is "to the right blob" "$(sha256sum part | cut -d' ' -f1)" "${LAYER#sha256:}"

leftovers_ok=1
for f in "$T"/*.err; do tap_has_report "$f" && leftovers_ok=0; done
is "no crash was reported" $leftovers_ok 1
done_testing
