# resolver-tests.sh - rl-netd's name server. Sourced after network-tests.sh.
want="id-ok rcode=0 tc=0 answers=1 192.0.2.80"

query() { inside "${OPTIONS[@]}" -- python3 "$LAB" query 10.0.2.3 "$@"; }
OPTIONS=()

test_resolver() {
	server dns "$T/dns.log" 127.0.0.53 ok
	output_is "names are asked of the host's own resolver on loopback" "$want" query example.org
	output_is "over TCP too" "$want" query example.org tcp
	output_is "with EDNS too" "$want" query example.org edns
	is "each kind reached the server" "$(cut -d' ' -f1 "$T/dns.log" | sort | uniq -c | xargs)" "1 tcp 2 udp"
	output_is "two hundred queries in a row get answers" 200 \
		inside -- bash -c 'for ((i = 0; i < 200; i++)); do echo $i; done | xargs -P 8 -I% python3 "$LAB" query 10.0.2.3 n%.example.org | grep -c "rcode=0 tc=0 answers=1"'
	output_is "what is not a query is not passed on" "timed out" \
		inside -- python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.connect(("10.0.2.3", 53))
for junk in (b"", b"x", b"\0" * 12, b"\0\0\x80" + b"\0" * 20, b"\0" * 5000, b"\0\0\1\0\0\1" + b"\0" * 6 + b"\xff" * 20): s.send(junk)
try: print(s.recv(100))
except OSError as e: print(e)'
	output_is "nor over TCP: the connection is closed" closed \
		inside -- python3 -c 'import socket
s = socket.create_connection(("10.0.2.3", 53)); s.settimeout(5); s.sendall(b"\0\x0cGET / HTTP/1")
print("closed" if not s.recv(100) else "answered")'
	is "and the server saw none of it" "$(grep -vc example.org "$T/dns.log")" 0
	output_is "a hundred idle TCP connections leave room for a query" "$want" \
		inside -- python3 -c 'import socket, subprocess, os
kept = [socket.create_connection(("10.0.2.3", 53)) for _ in range(100)]
print(subprocess.check_output(["python3", os.environ["LAB"], "query", "10.0.2.3", "example.org"]).decode().strip())'
	output_is "an owner that is stopped does not stop the resolver" "$want" \
		inside -- sh -c 'kill -STOP $PPID; python3 "$LAB" query 10.0.2.3 example.org; kill -CONT $PPID'
	stop_server
	like "a server that is gone is a failure at once, not a timeout" "$(query example.org)" "rcode=2"
	like "over TCP too" "$(query example.org tcp)" "rcode=2"
	server dns "$T/dns.log" 127.0.0.53 forge
	output_is "answers with a wrong id or name are not believed" "$want" query example.org
	stop_server
	server dns "$T/dns.log" 127.0.0.53 truncate
	like "a truncated answer says so" "$(query example.org)" "tc=1"
	output_is "and TCP has the whole" "$want" query example.org tcp
	stop_server
	server dns "$T/dns.log" 127.0.0.53 big
	like "a large answer comes whole" "$(query example.org edns)" "tc=0 answers=15"
	OPTIONS=(--opts mtu=1500)
	like "one that does not fit into the MTU is truncated" "$(query example.org edns)" "tc=1 answers=0"
	like "and TCP has it" "$(query example.org tcp)" "tc=0 answers=15"
	OPTIONS=()
	stop_server
}

test_resolver_failover() {
	printf 'nameserver 10.9.9.61\nnameserver 10.9.9.62\nnameserver 10.9.9.63\n' >"$T/resolv.conf"
	server dns "$T/dead.log" 10.9.9.61 silent
	server dns "$T/fail.log" 10.9.9.62 servfail
	server dns "$T/good.log" 10.9.9.63 ok
	output_is "a silent server and a failing one are passed over" "$want" query example.org
	output_is "over TCP a server that closes is too" "$want" query example.org tcp
	output_is "--dns names the servers to use" "$want" inside --dns 10.9.9.63 -- python3 "$LAB" query 10.0.2.3 given.example
	ok "and only those" grep -q given.example "$T/good.log"
	not_ok "the host's are not asked" grep -q given.example "$T/dead.log"
}

# resolv.conf as it changes under a running container: rewritten, renamed over, a symlink turned, its directory replaced.
test_resolver_follows() {
	server dns "$T/a.log" 10.9.9.71 ok
	server dns "$T/b.log" 10.9.9.72 ok
	mkdir -p "$T/run/a" "$T/run/b" "$T/etc"
	echo "nameserver 10.9.9.71" >"$T/run/a/resolv.conf"
	echo "nameserver 10.9.9.72" >"$T/run/b/resolv.conf"
	cat >"$T/follow.sh" <<-'SH'
		# ask NAME LOG: the query must come to that server; the change may take a moment to get there
		ask() {
			local i
			for ((i = 0; i < 200; i++)); do
				python3 "$LAB" query 10.0.2.3 "$1$i.example" >/dev/null
				grep -q "$1$i.example" "$2" && { echo "$1 yes"; return; }
			done
			echo "$1 no"
		}
		cd "$1"
		ask start a.log
		echo "nameserver 10.9.9.72" >etc/resolv.conf
		ask rewritten b.log
		echo "nameserver 10.9.9.71" >etc/new; mv etc/new etc/resolv.conf
		ask renamed a.log
		ln -sf ../run/b/resolv.conf etc/resolv.conf
		ask symlink b.log
		echo "nameserver 10.9.9.71" >run/b/resolv.conf
		ask behind-symlink a.log
		mv run/b run/c; mkdir run/b; echo "nameserver 10.9.9.72" >run/b/resolv.conf
		ask directory-replaced b.log
		ln -s a run/link; ln -sf ../run/link/resolv.conf etc/resolv.conf
		ask two-symlinks a.log
		ln -sfn b run/link
		ask inner-symlink b.log
		rm -r run/b; mkdir -p run/b; echo "nameserver 10.9.9.71" >run/b/resolv.conf
		ask removed-and-made-again a.log
	SH
	echo "nameserver 10.9.9.71" >"$T/etc/resolv.conf"
	timeout -k 5 100 netrun "${RUNG[@]}" --resolv "$T/etc/resolv.conf" bash "$T/follow.sh" "$T" >"$T/followed" 2>&1
	local name
	for name in start rewritten renamed symlink behind-symlink directory-replaced two-symlinks inner-symlink removed-and-made-again; do
		ok "the host's resolver is followed: $name" grep -q "^$name yes" "$T/followed"
	done
}
