#!/bin/bash
# The nginx exercise: ops-nginx is made from a base, website-nginx from ops-nginx, and the two share layers. Three times:
# by hand with commit, step by step as an introduction to containers does it; by two Dockerfiles; by a script of commands.
# nginx itself is a stand-in that serves with busybox: what is tested is the images.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

build() { rl build --network none --pull=never -q "$@"; }
layers() { rl inspect --type image --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "$1" | grep .; }
# The second image's lowest layers are the first one's: how many it adds, or "no".
adds() {
	local n
	n=$(layers "$1" | wc -l)
	[ "$(layers "$2" | head -n "$n")" = "$(layers "$1")" ] && echo $(($(layers "$2" | wc -l) - n)) || echo no
}
serves() { # IMAGE TEXT
	local got
	rl run -d --name serve --network none "$1" >/dev/null || return 1
	wait_for "the server of $1" 20 rl exec serve wget -q -O /dev/null http://127.0.0.1:8080/ >/dev/null
	got=$(rl exec serve wget -q -O - http://127.0.0.1:8080/)
	rl rm -f serve >/dev/null
	[ "$got" = "$2" ] || { echo "got: $got"; return 1; }
}

mkdir -p ops site/conf.d
cat >ops/nginx <<'END'
#!/bin/sh
# patched by ops
test "$1" = -v && { echo "nginx version: nginx/1.0 (ops)"; exit; }
root=$(sed -n 's/^ *root *\(.*\);/\1/p' /etc/nginx/conf.d/*.conf | head -1)
exec httpd -f -p 8080 -h "${root:-/srv/default}"
END
echo 'root /srv/website;' >site/conf.d/website.conf && echo 'log_format ops;' >site/conf.d/log.conf && echo 'the website' >site/index.html

# --- by hand: run, change, commit
ok "step 1: nginx is installed in a container of the base" sh -c 'rl create --name step1 --network none busybox sh >/dev/null &&
	rl cp ops/nginx step1:/bin/nginx && rl commit -m "patched nginx" step1 hand/nginx >/dev/null && rl rm step1'
ok "the users of ops come on top" rl run --name step2 --network none hand/nginx sh -c 'echo "ops:x:1000:1000::/home/ops:/bin/sh" >> /etc/passwd && mkdir -p /etc/nginx/conf.d /etc/sudoers.d /srv/default && echo "ops ALL=(ALL) ALL" > /etc/sudoers.d/ops && echo default > /srv/default/index.html && chmod 755 /bin/nginx'
ok "and that is ops-nginx" rl commit -m "ops nginx image" -c 'CMD ["nginx"]' -c 'EXPOSE 8080' step2 hand/ops-nginx
ok "step 2: the website's files come on top of ops-nginx" sh -c 'rl create --name step3 --network none hand/ops-nginx sh >/dev/null &&
	rl cp site/conf.d/. step3:/etc/nginx/conf.d && rl cp site/index.html step3:/index.html && rl commit step3 hand/conf >/dev/null'
ok "with what is done to them" rl run --name step4 --network none hand/conf sh -c 'mkdir -p /srv/website && mv /index.html /srv/website/'
ok "and that is website-nginx" rl commit -m "website nginx image" -c 'CMD ["nginx"]' step4 hand/website-nginx
is "ops-nginx has two layers more than the base" "$(adds busybox hand/ops-nginx)" 2
is "website-nginx has two more than ops-nginx, and shares all of its" "$(adds hand/ops-nginx hand/website-nginx)" 2
ok "ops-nginx serves its own page" serves hand/ops-nginx default
ok "website-nginx serves the website" serves hand/website-nginx 'the website'
like "the history tells both parts" "$(rl history --no-trunc hand/website-nginx)" 'website nginx image.*ops nginx image.*patched nginx'
like "the tree of layers shows one on the other" "$(rl image tree hand/website-nginx)" 'hand/ops-nginx.*hand/website-nginx'
rl rm -af >/dev/null

# --- by Dockerfiles
cat >ops/Dockerfile <<'END'
FROM busybox
COPY --chmod=755 nginx /bin/nginx
RUN echo "ops:x:1000:1000::/home/ops:/bin/sh" >> /etc/passwd && mkdir -p /etc/nginx/conf.d /etc/sudoers.d /srv/default && echo "ops ALL=(ALL) ALL" > /etc/sudoers.d/ops && echo default > /srv/default/index.html
EXPOSE 8080
CMD ["nginx"]
END
cat >site/Dockerfile <<'END'
FROM ops-nginx
COPY conf.d /etc/nginx/conf.d/
COPY index.html /srv/website/
END
ok "ops-nginx is built" build -t ops-nginx ops
ok "website-nginx is built on it" build -t website-nginx site
ok "and another server, too" build -t other-nginx - <<'END'
FROM ops-nginx
RUN mkdir -p /srv/other && echo other > /srv/other/index.html && echo 'root /srv/other;' > /etc/nginx/conf.d/other.conf
END
is "website-nginx shares all layers of ops-nginx" "$(adds ops-nginx website-nginx)" 2
is "so does the other one" "$(adds ops-nginx other-nginx)" 1
ok "the website is served" serves website-nginx 'the website'
ok "the other one is, too" serves other-nginx other
ok "nginx of both is the same" test "$(rl run --rm --network none website-nginx nginx -v)" = "nginx version: nginx/1.0 (ops)"
before=$(rl images -q website-nginx)
echo 'the new website' >site/index.html
build -t website-nginx site >/dev/null
isnt "a change of the website is another image" "$(rl images -q website-nginx)" "$before"
is "which still shares ops-nginx" "$(adds ops-nginx website-nginx)" 2
sed -i 's/nginx\/1.0/nginx\/1.1/' ops/nginx
build -t ops-nginx ops >/dev/null && build -t website-nginx site >/dev/null
is "a new ops-nginx gets under the website by building it again" "$(rl run --rm --network none website-nginx nginx -v)" "nginx version: nginx/1.1 (ops)"
is "and is shared again" "$(adds ops-nginx website-nginx)" 2

# --- shared on the disk and on the way
rl save --format oci-dir -o both.oci ops-nginx website-nginx 2>/dev/null
is "saved together, what they share is there once" "$(for b in both.oci/blobs/sha256/*; do tar tf "$b" 2>/dev/null | grep -c 'sudoers.d/ops'; done | grep -c 1)" 1
is "and is loaded once" "$(RL_ROOT=$T/other rl load -i both.oci >/dev/null 2>&1; find "$T"/other/layers -name ops -path '*sudoers.d*' | wc -l)" 1
remove_tree "$T/other"
ok "ops-nginx cannot be taken away from under it" sh -c 'rl rmi ops-nginx >/dev/null; rl run --rm --network none website-nginx nginx -v | grep -q 1.1'

# --- by a script of commands
c=$(rl from busybox)
rl copy --chmod 755 "$c" ops/nginx /bin/nginx && rl run --network none "$c" sh -c 'mkdir -p /etc/nginx/conf.d /srv/default && echo default > /srv/default/index.html' && rl config --port 8080 --cmd nginx "$c"
ok "a script makes ops-nginx" rl commit --rm "$c" script/ops-nginx
w=$(rl from script/ops-nginx)
rl copy "$w" site/conf.d /etc/nginx/conf.d/ && rl copy "$w" site/index.html /srv/website/
ok "and website-nginx" rl commit --rm "$w" script/website-nginx
is "which shares its layers" "$(adds script/ops-nginx script/website-nginx)" 1
ok "and serves" serves script/website-nginx 'the new website'
leftovers "nothing is left"
done_testing
