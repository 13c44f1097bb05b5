#!/bin/bash
# Networks and published ports with the programs people run on them: Debian's nginx, redis, iperf3, dig, curl, netcat, as an
# ordinary user. Nothing here talks to the outside.
# deadline: 400
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
TAP_TIMEOUT=200

image=${RL_TEST_DEBIAN_NETWORK:-$("$HELPERS/debian-image" network 2>"$T/why")} ||
	skip_all "no Debian root file system: $(tail -n 1 "$T/why")"
on_finish eval 'rl rm -fa >/dev/null 2>&1'
in_client() { timeout -k 5 60 rl exec client "$@" 2>&1; }
# fetch ADDRESS PATH: from this machine
fetch() { timeout 30 python3 -c 'import sys, urllib.request
sys.stdout.write(urllib.request.urlopen("http://" + sys.argv[1] + sys.argv[2], timeout=20).read().decode())' "$@"; }
ready() { wait_for "$1" 60 rl exec client "${@:2}"; }

ok "a Debian root file system with servers is imported" rl import "$image" debian
ok "a network" rl network create --ipv6 app
ok "a client on it" rl run -q -d --name client --network app debian sleep 1000

# --- nginx
ok "nginx" rl run -q -d --name web --network app --network-alias www -p 127.0.0.1::80 -p '[::1]::80' debian \
	sh -c 'echo "hello from nginx" >/var/www/html/index.html; exec nginx -g "daemon off;"'
ok "serves" ready nginx curl -sf http://web/ -o /dev/null
is "by name" "$(in_client curl -s http://web/)" "hello from nginx"
is "by alias" "$(in_client curl -s http://www/)" "hello from nginx"
is "over IPv4" "$(in_client curl -4s http://web/)" "hello from nginx"
is "over IPv6, which Debian's nginx listens on too" "$(in_client curl -6s http://web/)" "hello from nginx"
port=$(rl port web 80 | sed -n 's/^127.0.0.1:\([0-9]*\)$/\1/p')
port6=$(rl port web 80 | sed -n 's/^\[::1\]:\([0-9]*\)$/\1/p')
is "this machine reaches it on its loopback" "$(fetch "127.0.0.1:$port" /)" "hello from nginx"
is "and on that of IPv6" "$(fetch "[::1]:$port6" /)" "hello from nginx"
like "a file it does not have is its own 404" "$(in_client curl -s -o /dev/null -w '%{http_code}' http://web/none)" 404
is "two hundred requests, twenty at a time, are all answered" \
	"$(seq 200 | xargs -P 20 -I{} timeout 60 python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$port/', timeout=50).status)" | sort | uniq -c | xargs)" "200 200"
log=$(rl exec web cat /var/log/nginx/access.log)
like "its log has the client's address" "$log" "$(rl inspect client --format '{{.NetworkSettings.IPAddress}}') "
unlike "and never loopback's" "$log" '(^|[[:space:]])(127\.0\.0\.1|::1) '
ok "one more port while it runs" sh -c "rl port add web 127.0.0.1::80 && rl port rm web 80"
is "all are withdrawn" "$(rl port web)" ""
ok "a container with the same network" rl run --rm -q --network container:web debian curl -sf http://localhost/ -o /dev/null

# --- redis
ok "redis" rl run -q -d --name cache --network app debian redis-server --bind '0.0.0.0 ::' --protected-mode no
ok "answers" ready redis redis-cli -h cache ping
is "what is set" "$(in_client redis-cli -h cache set key value)" OK
is "is there" "$(in_client redis-cli -h cache get key)" value
like "ten thousand requests of fifty clients" "$(in_client redis-benchmark -h cache -n 10000 -c 50 -t get -q)" 'requests per second'
ok "it starts again" rl restart -t 5 cache
ok "and is found again" ready redis redis-cli -h cache ping

# --- dig
A=$(rl inspect web --format '{{.NetworkSettings.IPAddress}}') A6=$(rl inspect web --format '{{.NetworkSettings.GlobalIPv6Address}}')
is "dig finds the address" "$(in_client dig +short web A)" "$A"
is "of IPv6 too" "$(in_client dig +short web AAAA)" "$A6"
is "over TCP" "$(in_client dig +tcp +short web A)" "$A"
is "with a small EDNS buffer" "$(in_client dig +bufsize=512 +short www A)" "$A"
is "the name of an address" "$(in_client dig +short -x "$A")" "web."
is "of an IPv6 address" "$(in_client dig +short -x "$A6")" "web."
like "nslookup does" "$(in_client nslookup web)" "Address: $A"
like "a name that nobody has is refused, not given" "$(in_client dig nobody A)" 'status: REFUSED'
like "getent, which is the library's way, finds all" "$(in_client getent ahosts web)" "$A6"

# --- iperf3, netcat, ping
ok "iperf3" rl run -q -d --name perf --network app debian iperf3 -s
ok "serves" ready iperf3 iperf3 -c perf -n 1K
for way in "" -R -u "-4" "-6 -R"; do
	like "iperf3 $way passes" "$(in_client iperf3 -c perf -t 1 $way)" 'receiver'
done
ok "netcat listens" rl run -q -d --name nc --network app debian sh -c 'while :; do echo over tcp | nc -N -l -p 1234; done'
ok "and is heard" wait_for netcat 60 sh -c "rl exec client nc -w 5 nc 1234 </dev/null | grep -qx 'over tcp'"
ok "with datagrams" rl run -q -d --name ncu --network app debian sh -c 'nc -u -l -p 1235 >/got'
ok "too" wait_for "the datagram" 60 sh -c "echo over udp | rl exec -i client nc -4 -u -w 1 ncu 1235; rl exec ncu grep -qx 'over udp' /got"
ok "ping by name" in_client ping -4 -c 1 -W 5 web
ok "in IPv6" in_client ping -6 -c 1 -W 5 web

# --- the default network
ok "nginx on the default network" rl run -q -d --name alone -p 127.0.0.1::80 debian \
	sh -c 'head -c 3000000 /dev/zero >/var/www/html/big; exec nginx -g "daemon off;"'
port=$(rl port alone 80 | sed -n 's/^127.0.0.1:\([0-9]*\)$/\1/p')
ok "serves" wait_for nginx 60 fetch "127.0.0.1:$port" /big
is "a whole file" "$(fetch "127.0.0.1:$port" /big | wc -c)" 3000000
rl rm -fa >/dev/null 2>&1
ok "the holder goes with the last container" wait_for "the holder" 30 sh -c "! ls $RL_ROOT/networks/*.sock"
leftovers "nothing runs or is mounted afterwards"
done_testing
