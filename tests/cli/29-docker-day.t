#!/bin/bash
# A docker user's usual day, typed as always, with `alias docker=rl`; nothing here is in rl's own spelling.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
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
like "docker system prune -f" "$(docker system prune -f)" 'Total reclaimed space'

# --- the long spellings
for words in "container ls" "container ps" "container list" "image ls" "image list" "volume ls" "volume list" "system info" "system df" "container logs --help" "container exec --help" "container inspect --help" \
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
