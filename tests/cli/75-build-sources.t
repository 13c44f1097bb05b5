#!/bin/bash
# Where the files of a build come from: addresses and repositories on loopback servers, archives, ignore files, and what
# COPY and ADD make of them.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"

build() { rl build --network none --pull=never -q "$@"; }
text() { local t=$1; shift; printf "$t" >"$T/text.dockerfile"; build -f "$T/text.dockerfile" "$@"; }
run() { rl run --rm --network none "$@"; }
mkdir empty

# --- a web server on loopback
mkdir -p www/dir && echo "fetched" >www/file.txt && tar -C www -czf www/a.tar.gz file.txt &&
	printf 'FROM busybox\nCOPY file.txt /f\n' >www/Dockerfile && tar -C www -cf www/context.tar Dockerfile file.txt && echo cut >www/cut
PORT=$(free_port)
cat >server.py <<'END'
import http.server, os, sys
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a):
        with open("../access.log", "a") as f: f.write(self.path + "\n")
    def do_GET(self):
        if self.path == "/short":
            self.send_response(200); self.send_header("Content-Length", "1000"); self.end_headers(); self.wfile.write(b"x"); return
        if self.path == "/moved":
            self.send_response(302); self.send_header("Location", "/file.txt"); self.end_headers(); return
        if self.path == "/away":
            self.send_response(302); self.send_header("Location", "file:///etc/passwd"); self.end_headers(); return
        super().do_GET()
os.chdir("www")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
END
python3 server.py "$PORT" >server.log 2>&1 &
on_finish "kill $! 2>/dev/null; wait $! 2>/dev/null"
wait_for "the server" 20 registry_answers "$PORT"
U=http://127.0.0.1:$PORT
sum=$(sha256sum <www/file.txt | cut -d' ' -f1)
ok "ADD of an address" text "FROM busybox\nADD $U/file.txt /dir/\nADD --chmod=640 --chown=3:4 $U/file.txt /other\n" -t url empty
output_is "is a file of its name, for root only" "fetched 600 0:0" run url sh -c 'echo $(cat /dir/file.txt; stat -c "%a %u:%g" /dir/file.txt)'
output_is "or with the owner and mode it is given" "640 3:4" run url stat -c '%a %u:%g' /other
ok "ADD --checksum takes what has it" text "FROM busybox\nADD --checksum=sha256:$sum $U/file.txt /f\n" empty
must_fail "and nothing else" --stderr "checksum is sha256:$sum" text "FROM busybox\nADD --checksum=sha256:${sum//[0-9]/a} $U/file.txt /f\n" empty
must_fail "a checksum that is none is refused" --stderr 'sha256' text "FROM busybox\nADD --checksum=md5:12 $U/file.txt /f\n" empty
must_fail "a checksum of something else than an address is refused" --stderr 'checksum' text 'FROM busybox\nADD --checksum=sha256:'"$sum"' file.txt /f\n' www
ok "an archive that is fetched stays one" text "FROM busybox\nADD $U/a.tar.gz /\nRUN test -f /a.tar.gz && test ! -e /file.txt\n" empty
ok "unless --unpack says otherwise" text "FROM busybox\nADD --unpack $U/a.tar.gz /\nRUN test -f /file.txt\n" empty
must_fail "a file that is not there fails" --stderr '404' text "FROM busybox\nADD $U/nosuch /f\n" empty
must_fail "one that ends too early, too" text "FROM busybox\nADD $U/short /f\n" empty
ok "a redirection is followed" text "FROM busybox\nADD $U/moved /f\nRUN grep -q fetched /f\n" empty
must_fail "but not to files of this machine" text "FROM busybox\nADD $U/away /f\n" empty
must_fail "an address without a file name needs a destination with one" --stderr 'name' text "FROM busybox\nADD $U/ /d/\n" empty
one=$(text "FROM busybox\nADD $U/file.txt /f\n" empty)
is "the same bytes are the same step" "$(text "FROM busybox\nADD $U/file.txt /f\n" empty)" "$one"
echo changed >www/file.txt
isnt "other bytes are another" "$(text "FROM busybox\nADD $U/file.txt /f\n" empty)" "$one"
ok "an archive behind an address is a context" build -t webctx "$U/context.tar"
output_is "with its files" fetched run webctx cat /f

# --- git
if have git; then
	export GIT_CONFIG_GLOBAL=$T/gitconfig GIT_CONFIG_SYSTEM=/dev/null
	git config --global user.name t && git config --global user.email t@t && git config --global init.defaultBranch main
	mkdir repo && (cd repo && git init -q && mkdir sub && echo v1 >file && echo s >sub/file &&
		printf 'FROM busybox\nCOPY file /f\n' | tee Dockerfile >sub/Dockerfile && git add . && git commit -qm 1 && git tag v1 &&
		echo v2 >file && git commit -qam 2 && git checkout -qb side && echo side >file && git commit -qam 3 && git checkout -q main)
	git clone -q --bare repo www/repo.git && git -C www/repo.git update-server-info
	first=$(git -C repo rev-parse v1)
	# The dumb protocol knows no shallow fetch: what is refused is fetched whole.
	for ref in "" "#main" "#v1" "#side" "#$first"; do
		case $ref in "" | "#main") want=v2 ;; "#side") want=side ;; *) want=v1 ;; esac
		ok "a repository is a context: repo.git${ref:0:9}" build -t gitctx "$U/repo.git$ref"
		output_is "with the files of that commit" "$want" run gitctx cat /f
	done
	ok "a directory of it too" build -t gitctx "$U/repo.git#main:sub"
	output_is "with the files there" s run gitctx cat /f
	must_fail "a commit that is not there fails" build "$U/repo.git#nosuch"
	must_fail "a directory that is not there, too" build "$U/repo.git#main:nosuch"
	must_fail "what looks like an option is not given to git" --stderr "'-'" build "$U/repo.git#--upload-pack=touch,$T/owned"
	not_ok "and not done" test -e "$T/owned"
	ln -s / repo/out && git -C repo add out && git -C repo commit -qm 4 && git -C repo push -q --force "$T/www/repo.git" main && git -C www/repo.git update-server-info
	must_fail "a symlink of a repository does not lead out of it" build "$U/repo.git#main:out/etc"
	ok "ADD of a repository" text "FROM busybox\nADD $U/repo.git#v1 /src/\nRUN test \"\$(cat /src/file)\" = v1 && test ! -e /src/.git\n" empty
	ok "with --keep-git-dir its history as well" text "FROM busybox\nADD --keep-git-dir=true $U/repo.git#v1 /src/\nRUN test -e /src/.git/HEAD\n" empty
	ok "a named context may be a repository" text 'FROM busybox\nCOPY --from=src file /f\n' --build-context "src=$U/repo.git#v1" empty
	is "nothing that was fetched stays" "$(ls "$RL_ROOT/tmp")" ""
else
	skip "repositories are contexts" "git is not installed"
fi

# --- ignore files
mkdir -p ig/dir/keep ig/node_modules/x && touch ig/a.log ig/b.txt ig/dir/c.log ig/dir/keep/d.log ig/node_modules/x/y ig/.env ig/'[x]' ig/x
all() { printf 'FROM scratch\nCOPY . /\n' >"$T/all"; rm -rf "$T/got"; rl build -q -f "${DF:-$T/all}" -o "$T/got" "$@" ig >/dev/null && (cd "$T/got" && find . -type f | sort | tr '\n' ' '); }
ignore() { printf "$1" >"ig/${2:-.dockerignore}"; }
ignore '*.log\n'
unlike "a pattern is for the top only" "$(all)" '\./a.log'
like "and not for what is below" "$(all)" 'dir/c.log'
ignore '**/*.log\n!dir/keep\nnode_modules\n'
is "** is for everywhere, ! takes back what is below a directory" "$(all | tr ' ' '\n' | grep -c 'log\|node')" 1
ignore '*\n!dir\n!b.txt\ndir/c.log\n'
is "the last pattern decides" "$(all)" './b.txt ./dir/keep/d.log '
ignore '# comment\n\n  b.txt  \n/dir/../x\n./.env\n\\[x\\]\n'
is "comments, blanks, slashes, dots and escapes" "$(all)" "./.dockerignore ./a.log ./dir/c.log ./dir/keep/d.log ./node_modules/x/y "
ignore 'a.log\n' .containerignore
like ".containerignore goes before .dockerignore" "$(all)" 'b.txt'
cp "$T/all" "$T/named"
printf 'b.txt\n' >"$T/named.dockerignore"
like "one of the Dockerfile's name goes before both" "$(DF=$T/named all)" 'a.log'
unlike "and counts" "$(DF=$T/named all)" 'b.txt'
printf 'x\n' >"$T/named.containerignore"
like "NAME.containerignore goes before NAME.dockerignore" "$(DF=$T/named all)" 'b.txt'
printf 'dir\n' >other
like "--ignorefile goes before all" "$(DF=$T/named all --ignorefile other)" './x '
unlike "and counts" "$(DF=$T/named all --ignorefile other)" 'dir/'
must_fail "a pattern that is none names its line" --stderr ':2' sh -c "printf 'a\n[\n' >$T/bad; rl build -q -f $T/all --ignorefile $T/bad -o $T/got2 ig"
rm ig/.dockerignore ig/.containerignore

# --- COPY
mkdir -p cp/a/b/c cp/d && echo 1 >cp/a/b/c/f.go && echo 2 >cp/d/g.txt && echo 3 >cp/x.go && echo 4 >cp/a/y.go && chmod 750 cp/a && ln -s x.go cp/link && mkfifo cp/pipe
files() { rm -rf out; text "$@" -o out cp >/dev/null && (cd out && find . -type f -o -type l | sort | tr '\n' ' '); }
is "--parents keeps the whole path" "$(files 'FROM scratch\nCOPY --parents a/b/c/f.go d /p/\n')" "./p/a/b/c/f.go ./p/d/g.txt "
is "or what follows the point" "$(files 'FROM scratch\nCOPY --parents a/./b/c/f.go /p/\n')" "./p/b/c/f.go "
is "** is any number of directories" "$(files 'FROM scratch\nCOPY --parents **/*.go /p/\n')" "./p/a/b/c/f.go ./p/a/y.go ./p/x.go "
is "also at the end" "$(files 'FROM scratch\nCOPY --parents a/** /p/\n')" "./p/a/b/c/f.go ./p/a/y.go "
is "--exclude may be given several times" "$(files 'FROM scratch\nCOPY --exclude=**/*.go --exclude=d --exclude=pipe . /p/\n')" "./p/link "
ok "--chmod with letters" text 'FROM busybox\nCOPY --chmod=u=rwX,go=rX a /p/\nRUN test "$(stat -c %%a%%a /p/b /p/y.go | tr "\\n" " ")" = "755755 644644 "\n' cp
must_fail "--chmod that is no mode is refused" --stderr 'no mode' text 'FROM busybox\nCOPY --chmod=rwx a /p/\n' cp
ok "--chown by name, group of the user" text 'FROM busybox\nRUN echo "web:x:33:34::/:/bin/sh" >> /etc/passwd\nCOPY --chown=web d /p/\nRUN test "$(stat -c %%u:%%g /p/g.txt)" = 33:34\n' cp
must_fail "a name that is not there is refused" --stderr 'nosuch' text 'FROM busybox\nCOPY --chown=nosuch d /p/\n' cp
ok "--link stands on nothing" text 'FROM busybox\nCOPY --link d /etc/l/\nRUN cat /etc/l/g.txt /etc/passwd > /dev/null\n' -t linked cp
is "so its layer is known whatever is below" "$(printf 'FROM busybox\nRUN echo other > /o\nCOPY --link d /etc/l/\n' >t2; rl build --network none --explain -f t2 cp | grep -c 'cached.*COPY')" 1
for flag in --mode=1 --from --chmod= --link=maybe --parents=x --exclude=; do
	must_fail "COPY $flag is refused" text "FROM busybox\nCOPY $flag a /p/\n" cp
done
must_fail "several sources need a directory" --stderr 'needs a directory' text 'FROM busybox\nCOPY a d /p\n' cp
must_fail "a pattern that matches nothing is refused" --stderr 'no such file' text 'FROM busybox\nCOPY *.nosuch /p/\n' cp
must_fail "a destination below a file is refused" --stderr 'not a directory' text 'FROM busybox\nCOPY d /bin/busybox/x/\n' cp
must_fail "a directory in the place of a file is not removed" --stderr 'directory' text 'FROM busybox\nRUN mkdir -p /p/x.go/y\nCOPY x.go /p/\nCOPY x.go /p/x.go/y/../../x.go\nCOPY --parents x.go /p/\n' cp
ok "ONBUILD COPY --from a stage that nothing else uses" text 'FROM busybox AS src\nRUN echo s > /s\nFROM scratch\nONBUILD COPY --from=src /s /s2\n' -t trig cp
rm -rf out
text 'FROM busybox AS src\nRUN echo s > /s\nFROM trig\nENV A=b\n' -o out cp >/dev/null
is "has that stage done" "$(cat out/s2)" s
is "so has a variable that names one" "$(files 'FROM busybox AS src\nRUN echo s > /s\nFROM scratch\nARG X=src\nCOPY --from=$X /s /s2\n')" "./s2 "

# --- archives as ADD finds them
mkdir ar && tar -C cp --exclude=pipe -cf ar/plain.tar . && gzip -k <ar/plain.tar >ar/a.tgz && xz -k <ar/plain.tar >ar/a.tar.xz && bzip2 <ar/plain.tar >ar/a.tar.bz2 && zstd -q <ar/plain.tar >ar/a.tar.zst
echo text | gzip >ar/notes.gz
for a in plain.tar a.tgz a.tar.xz a.tar.bz2 a.tar.zst; do
	ok "ADD unpacks $a" text "FROM busybox\nADD $a /u/\nRUN test -f /u/a/b/c/f.go && test -L /u/link\n" ar
done
ok "a compressed file that is no archive is a file" text 'FROM busybox\nADD notes.gz /u/\nRUN test -f /u/notes.gz\n' ar
ok "--unpack=false leaves an archive alone" text 'FROM busybox\nADD --unpack=false a.tgz /u/\nRUN test -f /u/a.tgz\n' ar
head -c 3000 ar/a.tar.xz >ar/cut.tar.xz && head -c 100 ar/a.tgz >ar/cut.tar.gz
must_fail "half an archive is refused" text 'FROM busybox\nADD cut.tar.gz /u/\n' ar
python3 - <<'END'
import io, tarfile
with tarfile.open("ar/evil.tar", "w") as t:
    def add(name, **kw):
        i = tarfile.TarInfo(name)
        for k, v in kw.items(): setattr(i, k, v)
        t.addfile(i, io.BytesIO(b"x" * i.size) if i.size else None)
    add("up", type=tarfile.SYMTYPE, linkname="../../../../../../../../tmp")
    add("up/rl-escaped", size=1)
    add("../dots", size=1)
    add("/abs", size=1)
    add("hard", type=tarfile.LNKTYPE, linkname="/etc/passwd")
END
text 'FROM busybox\nADD evil.tar /u/\n' ar >/dev/null 2>&1
not_ok "an archive that leads out of the directory writes nothing there" test -e /tmp/rl-escaped -o -e "$T/dots" -o -e "$RL_ROOT/dots" -o -e /abs
ok "a tar with a Dockerfile is standard input's context" sh -c "tar -C www -cf - Dockerfile file.txt | rl build -q --network none -"
ok "or a Dockerfile alone" sh -c "printf 'FROM busybox\nRUN true\n' | rl build -q --network none -"
must_fail "which has no files" --stderr 'no context' sh -c "printf 'FROM busybox\nCOPY a /\n' | rl build -q --network none -"
ok "the Dockerfile through standard input, the files from a directory" sh -c "printf 'FROM busybox\nCOPY x.go /\n' | rl build -q --network none -f - cp"
is "nothing is left in tmp/" "$(ls "$RL_ROOT/tmp")" ""
done_testing
