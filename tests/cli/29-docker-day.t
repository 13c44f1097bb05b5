#!/bin/bash
# deadline: 240
# A docker user's usual day, typed as always, with `alias docker=rl`; nothing here is in rl's own spelling.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
. "$HELPERS/registry.sh"
have python3 || skip_all "python3 is not installed"
export HOME=$T/home
mkdir -p "$HOME"
: >none.conf
export CONTAINERS_REGISTRIES_CONF=$T/none.conf
shopt -s expand_aliases
alias docker=rl
# Where an alias does not reach (commands handed to functions), the program under that name.
mkdir bin && ln -s "$(command -v rl)" bin/docker && PATH=$T/bin:$PATH
eventually() {
	local i
	for ((i = 0; i < 600; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}
gone() { [ -z "$(docker ps -aq --filter name="$1")" ]; }
logs_have() { docker logs "$1" 2>&1 | grep -q "$2"; }

# --- morning: what is here
like "docker version" "$(docker version --format '{{.Client.Version}} {{.Server.Version}}')" '^[0-9.]+ [0-9.]+$'
like "docker info" "$(docker info)" 'Driver'
is "docker ps, with nothing" "$(docker ps | tr -s ' ')" "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES"
like "docker images" "$(docker images | head -1)" '^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE'

# --- an image goes to the team's registry and comes back
if have docker-registry; then
	start_registry team || exit 1
	app=127.0.0.1:$PORT/team/app
	ok "docker tag" docker tag busybox "$app:1"
	ok "docker push" docker push --tls-verify=false "$app:1"
	ok "docker rmi" docker rmi "$app:1"
	ok "docker pull" docker pull --tls-verify=false "$app:1"
	is "it is listed" "$(docker images --format '{{.Repository}}:{{.Tag}}' "$app")" "$app:1"
else
	app=busybox skip "push and pull" "docker-registry is not installed"
fi

# --- run, look, exec, logs
is "docker run --rm" "$(docker run --rm "$app:1" echo hello 2>/dev/null || docker run --rm busybox echo hello)" hello
is "docker run -i" "$(echo in | docker run --rm -i busybox cat)" in
is "-e, -w, -u, --entrypoint, --hostname" "$(docker run --rm -e A=1 -w /tmp -u nobody --hostname box --entrypoint sh busybox -c 'echo $A $PWD $(id -un) $(hostname)')" "1 /tmp nobody box"
mkdir src && echo 'int main;' >src/a.c
is "-v of the working directory" "$(docker run --rm -v "$PWD/src":/src -w /src busybox ls)" a.c
is "--mount" "$(docker run --rm --mount type=bind,source="$PWD/src",target=/src,readonly busybox cat /src/a.c)" 'int main;'
is "--tmpfs and --read-only" "$(docker run --rm --read-only --tmpfs /tmp busybox sh -c 'touch /tmp/x && touch /x 2>/dev/null || echo frozen')" frozen
is "the exit status" "$(docker run --rm busybox sh -c 'exit 42'; echo $?)" 42
is "a command that is missing" "$(docker run --rm busybox nope 2>/dev/null; echo $?)" 127
web=$(docker run -d --name web --restart unless-stopped -l tier=front -v site:/www -e PORT=80 busybox sh -c 'echo started; trap "exit 0" TERM; while :; do sleep 0.1; done')
like "docker run -d prints the id" "$web" '^[0-9a-f]{64}$'
like "docker ps" "$(docker ps --format 'table {{.ID}}\t{{.Names}}\t{{.Status}}' | tail -1)" "^${web:0:12} +web +Up"
is "docker ps -q --filter" "$(docker ps -q --filter label=tier=front --no-trunc)" "$web"
is "docker ps --format json" "$(docker ps --format '{{json .}}' | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["Names"], d["Image"])')" "web busybox"
ok "docker logs" eventually logs_have web started
is "docker logs --tail -t" "$(docker logs --tail 1 -t web | grep -cE '^[0-9]{4}-[0-9-]+T[0-9:.]+Z? started')" 1
is "docker exec" "$(docker exec web sh -c 'echo $PORT')" 80
is "docker exec -e -w -u" "$(docker exec -e X=y -w /etc -u 0 web sh -c 'echo $X $PWD')" "y /etc"
is "docker exec -i" "$(echo piped | docker exec -i web cat)" piped
is "its exit status" "$(docker exec web sh -c 'exit 7'; echo $?)" 7
like "docker top" "$(docker top web)" 'sh -c'
is "docker inspect -f" "$(docker inspect -f '{{.State.Running}} {{.Config.Labels.tier}} {{.HostConfig.RestartPolicy.Name}}' web)" "true front unless-stopped"
is "docker inspect of an image" "$(docker image inspect busybox --format '{{.Os}}' 2>/dev/null || docker inspect --type image -f '{{.Os}}' busybox)" linux

# --- files in and out, what changed, a new image of it
echo page >index.html
ok "docker cp in" docker cp index.html web:/www/
is "docker cp out" "$(docker cp web:/www/index.html back.html >/dev/null 2>&1; cat back.html)" page
is "docker cp - is a tar stream" "$(docker cp web:/www/index.html - | tar -tf -)" index.html
docker exec web sh -c 'echo new >/new; rm /etc/group 2>/dev/null; true'
like "docker diff" "$(docker diff web)" $'A /new'
ok "docker commit" docker commit -c 'CMD ["cat", "/new"]' -m "a note" web app:dev
is "the commit runs" "$(docker run --rm app:dev)" new
like "docker history" "$(docker history app:dev)" 'a note|CREATED BY'
ok "docker save" docker save -o app.tar app:dev
ok "docker rmi" docker rmi app:dev
like "docker load" "$(docker load -i app.tar)" 'Loaded image.*app:dev'
ok "docker export" sh -c 'docker export web | tar -tf - | grep -qx new'

# --- volumes
is "docker volume ls" "$(docker volume ls -q)" site
is "docker volume inspect" "$(docker volume inspect -f '{{.Name}} {{.Driver}}' site)" "site local"
ok "docker volume create" docker volume create --label keep=yes data
is "a volume is shared" "$(docker run --rm -v data:/d busybox sh -c 'echo 1 >/d/x'; docker run --rm -v data:/d:ro busybox cat /d/x)" 1
must_fail "docker volume rm of one in use" --status 125 --stderr 'web' docker volume rm site
is "docker run --volumes-from" "$(docker run --rm --volumes-from web busybox cat /www/index.html)" page

# --- build
cat >Dockerfile <<'END'
FROM busybox
ARG WHO=world
ENV GREETING=hello
WORKDIR /app
COPY src/a.c .
RUN echo "$GREETING $WHO" >greeting && ls >>greeting
CMD ["cat", "/app/greeting"]
END
if docker build --help >/dev/null 2>&1; then
	ok "docker build -t" docker build -q -t greet --build-arg WHO=day .
	is "what was built runs" "$(docker run --rm greet)" "hello day
a.c
greeting"
else
	skip "docker build" "there is no build yet"
fi

# --- templates and filters that scripts are full of
f() { docker inspect -f "$1" "${2:-web}"; }
is "ids, states and names" "$(f '{{.Name}} {{.State.Status}} {{.State.Running}} {{.State.Paused}} {{.State.Restarting}} {{.State.OOMKilled}} {{.State.Dead}} {{.State.ExitCode}} {{.RestartCount}}')" "/web running true false false false false 0 0"
is "configuration" "$(f '{{.Config.Image}} {{index .Config.Labels "tier"}} {{.Config.Tty}} {{.Config.OpenStdin}} {{.Config.WorkingDir}} {{.HostConfig.NetworkMode}} {{.HostConfig.AutoRemove}} {{.HostConfig.LogConfig.Type}}')" "busybox front false false / slirp false json-file"
is "the environment, a line each" "$(f '{{range .Config.Env}}{{println .}}{{end}}' | grep -c '^PORT=80$')" 1
is "mounts" "$(f '{{range .Mounts}}{{.Type}}:{{.Name}}:{{.Destination}}:{{.RW}}{{end}}')" "volume:site:/www:true"
is "json of a part" "$(f '{{json .State}}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["Status"])')" running
is "where the layers are" "$(f '{{.GraphDriver.Name}}') $(test -d "$(f '{{.GraphDriver.Data.UpperDir}}')" && echo there)" "overlay there"
like "an address" "$(f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')" '^10[.]'
like "sizes, also without -s" "$(docker ps --format '{{.Names}} {{.Size}}' -f name=web)" '^web [0-9.]+k?B'
is "a label of the list" "$(docker ps --format '{{.Label "tier"}}' -f name=web)" front
must_fail "a filter by a container that is not there" --status 125 --stderr 'no container' docker ps --filter since=nosuch
is "by network, and by a port nobody publishes" "$(docker ps -q -f network=bridge -f name=web | wc -l) $(docker ps -q -f publish=81 | wc -l)" "1 0"
is "by image, state and several labels" "$(docker ps -aq -f ancestor=busybox -f status=running -f label=tier=front -f label=tier | wc -l)" 1
is "stats once, as a template" "$(docker stats --no-stream --format '{{.Name}} {{.PIDs}}' web | cut -d' ' -f1)" web
is "events so far" "$(docker events --since 1h --until 0s --filter container=web --filter event=start --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}')" "container start web"

# --- ports, networks, two containers that know each other
docker run -d --name srv -p 127.0.0.1::8080 --expose 9090 busybox sh -c 'mkdir /w; echo served >/w/index.html; exec httpd -f -p 8080 -h /w' >/dev/null
port=$(docker port srv 8080/tcp | cut -d: -f2)
like "docker port" "$port" '^[0-9]+$'
is "the same by inspect" "$(f '{{(index (index .NetworkSettings.Ports "8080/tcp") 0).HostPort}}' srv)" "$port"
page_is_served() { [ "$(python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=5).read().decode().strip())' "$port" 2>/dev/null)" = served ]; }
ok "the port leads in" eventually page_is_served
is "expose= finds both, publish= by the host's port" "$(docker ps -q -f expose=8080 | wc -l) $(docker ps -q -f expose=9090 | wc -l) $(docker ps -q -f publish=9090 | wc -l)" "1 1 0"
docker rm -f srv >/dev/null
ok "docker network create" docker network create --label team=a backend
docker run -d --name db --network backend --network-alias database busybox sh -c 'mkdir /w; echo rows >/w/index.html; exec httpd -f -p 5432 -h /w' >/dev/null
ask() { docker run --rm --network backend busybox sh -c 'printf "GET / HTTP/1.0\r\n\r\n" | nc -w 5 "$0" 5432' "$1" | grep -qx rows; }
ok "a container finds another by its name" eventually ask db
ok "and by its alias" ask database
is "docker network inspect knows who is there" "$(docker network inspect -f '{{range .Containers}}{{.Name}} {{end}}' backend)" "db "
must_fail "a network in use is not removed" --status 125 --stderr 'wanted by container' docker network rm backend
docker run -d --name sick --health-cmd 'test -e /ok' --health-interval 100ms --health-retries 2 busybox sleep 1000 >/dev/null
health_is() { [ "$(f '{{.State.Health.Status}}' sick)" = "$1" ]; }
ok "a health check that fails" eventually health_is unhealthy
docker exec sick touch /ok
ok "and one that succeeds" eventually health_is healthy
like "docker ps shows it" "$(docker ps -f name=sick --format '{{.Status}}')" 'healthy'
docker rm -f sick db >/dev/null

# --- at a terminal
cat >type.py <<'P'
import os, pty, re, select, struct, sys, fcntl, termios, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen = b''
def expect(text):
    global seen
    end = time.time() + 60
    while not re.search(text.encode(), seen):
        if time.time() > end: print('MISSING', text, seen); sys.exit(1)
        if select.select([fd], [], [], 0.1)[0]:
            try: seen += os.read(fd, 65536)
            except OSError: break
def send(text): os.write(fd, text.encode())
def size(rows, columns): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
exec(sys.argv[1])
try:
    while True:
        d = os.read(fd, 65536)
        if not d: break
        seen += d
except OSError: pass
print(seen.decode(errors='replace').replace('\r', ''), 'STATUS', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
P
typed() { timeout 120 python3 type.py "$@" 2>&1; }
like "docker run --rm -it, a command, exit" "$(typed 'send("echo $((6*7))\nexit 3\n")' docker run --rm -it busybox)" '42.*STATUS 3'
like "Ctrl-C interrupts what runs, not the shell" "$(typed 'send("sleep 1000\n"); expect("sleep 1000"); time.sleep(0.5); send("\x03"); send("echo on-$((1+1))\n"); expect("on-2"); send("exit 0\n")' docker run --rm -it busybox)" 'on-2.*STATUS 0'
like "Ctrl-Z stops a job of the shell" "$(typed 'send("sleep 1000\n"); expect("sleep 1000"); time.sleep(0.5); send("\x1a"); expect("Stopped"); send("kill -9 %1; echo go$((0))ne\n"); expect("go0ne"); send("exit 0\nexit 0\n")' docker run --rm -it busybox)" 'Stopped.*STATUS (0|1)'
like "Ctrl-D ends it" "$(typed 'expect("#"); send("\x04")' docker run --rm -it busybox)" 'STATUS 0'
like "its size follows" "$(typed 'size(33, 99); expect("#"); size(44, 111); send("sleep 0.3; stty size; exit\n"); expect("44 111")' docker run --rm -it busybox)" '44 111'
like "docker exec -it" "$(typed 'send("tty; exit 5\n")' docker exec -it web sh)" '/dev/pts/.*STATUS 5'
like "docker run -it, left by ctrl-p ctrl-q" "$(typed 'expect("#"); send("\x10\x11")' docker run -it --name shell busybox)" 'STATUS 0'
like "docker attach comes back" "$(typed 'send("\necho here\nexit 4\n"); expect("here")' docker attach shell)" 'here.*STATUS 4'
like "docker start -ai runs it again" "$(typed 'send("echo twice; exit 6\n")' docker start -ai shell)" 'twice.*STATUS 6'
docker rm shell >/dev/null
docker run -d --name ticks busybox sh -c 'i=0; while :; do echo tick-$i; i=$((i+1)); sleep 0.1; done' >/dev/null
like "docker logs -f until Ctrl-C" "$(typed 'expect("tick-5"); send("\x03")' docker logs -f ticks)" 'tick-5'
docker rm -f ticks >/dev/null

# --- pause, update, rename, restart, stop, clean up
ok "docker pause and unpause" sh -c 'docker pause web && docker unpause web'
ok "docker update --restart" docker update --restart no web
ok "docker rename" docker rename web www
is "docker restart" "$(docker restart -t 5 www)" www
is "docker stop" "$(docker stop -t 5 www)" www
is "docker wait" "$(docker wait www)" 0
is "docker start" "$(docker start www)" www
is "docker kill" "$(docker kill www)" www
is "docker create, start -a" "$(docker create --name once busybox echo once >/dev/null; docker start -a once)" once
is "docker rm" "$(docker rm www once | tr '\n' ' ')" "www once "
like "docker system df" "$(docker system df)" '^TYPE +TOTAL'
docker run --name left busybox true
like "docker container prune -f" "$(docker container prune -f)" '[0-9a-f]{12}'
ok "it is gone" gone left
is "docker volume prune takes the nameless ones only" "$(docker volume prune -f >/dev/null; docker volume ls -q | tr '\n' ' ')" "data site "
like "docker system prune -f takes the network along" "$(docker system prune -f)" 'Deleted Networks:.*backend.*Total reclaimed space'
is "docker rm of everything" "$(docker create busybox true >/dev/null; docker create busybox true >/dev/null; docker rm $(docker ps -aq) | wc -l) $(docker ps -aq | wc -l)" "2 0"

# --- the long spellings
for words in "container ls" "container ps" "network ls" "network create n1" "network inspect n1" "network rm n1" "volume create vol1" "volume inspect vol1" "volume rm vol1" "image tag busybox mine:1" "image rm mine:1" "container create --name cc busybox true" "container start cc" "container wait cc" "container rename cc dd" "container rm dd" "network prune -f" "volume prune -f" "system prune -f" "container list" "image ls" "image list" "volume ls" "volume list" "system info" "system df" "container logs --help" "container exec --help" "container inspect --help" \
	"container cp --help" "container stats --help" "image history busybox" "image inspect busybox" "image prune -f" "container prune -f" "container top --help" "container export --help" "system events --help"; do
	verb=${words#container } verb=${verb#system }
	case $words in
	*--help) rl --list-verbs | grep -qxF -e "${verb% --help}" -e "${words% --help}" ||
		{ skip "docker $words" "there is no such verb yet"; continue; } ;;
	esac
	# shellcheck disable=SC2086
	ok "docker $words" docker $words
done
must_fail "what there is not is said by name" --status 125 --stderr "swarm" docker swarm init
done_testing
