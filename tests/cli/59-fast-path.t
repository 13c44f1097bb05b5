#!/bin/bash
# deadline: 300
# --network slirp,fast as an ordinary user: what programs see of it, what stays closed, races. "The host" is a network
# namespace of the test's own; the world outside are addresses on its loopback device.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urnm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/fast-path.sh"
FAST=(--network slirp,fast)
outbound() {
	shift
	timeout -k 5 60 rl run --rm -q --network slirp:fast,outbound_addr=10.9.9.7 "${PYTHON[@]}" busybox "$@" 2>&1
}
# group: the checks of fastlab.py, one property each
group() {
	local line='' last=''
	while IFS= read -r line; do
		last=$line
		case $line in
		"ok "*) pass "${line#ok }" ;;
		done) ;;
		*) fail "$line" ;;
		esac
	done
	[ "$last" = done ] || fail "the checks came to their end"
}
server accept "$T/log" 0.0.0.0 80 81
server accept "$T/log" 2001:db8::1 80
server accept "$T/loop.log" 127.0.0.1 90
server accept "$T/loop.log" ::1 90
server full 10.9.9.1 83
server names "$T/names.log" 127.0.0.53 good.example=10.9.9.11 other.example=10.9.9.16

group < <(fast -- python3 /lab/fastlab.py $WORLD basic shared signals)

group < <(fast -- python3 /lab/fastlab.py $WORLD closed)
group < <(fast --cap-add NET_ADMIN -- python3 /lab/fastlab.py $WORLD routes)
group < <(fast -- python3 /lab/fastlab.py $WORLD race)
# As a user who owns nothing of the host's network.
output_is "a user without rights over the host's network has it" "ok a blocking connect is on a socket of the host" sh -c \
	"unshare -Ur rl run --rm -q --network slirp,fast ${PYTHON[*]} busybox python3 /lab/fastlab.py $WORLD basic 2>&1 | sed -n 1p"
not_ok "the host's loopback never saw a connection" test -s "$T/loop.log"

# --- with the rest
rl run -q -d --name web --network slirp,fast -p 10.9.9.1:8085:80 "${PYTHON[@]}" busybox \
	python3 /lab/portlab.py serve 80 >/dev/null
wait_for "the server" 30 sh -c "rl logs web 2>&1 | grep -q ready"
like "a published port leads to a server of such a container" "$(python3 "$HELPERS/portlab.py" ask 10.9.9.1 8085)" "^tcp 10.9.9.1"
like "a command that joins has the fast path" "$(rl exec web python3 /lab/fastlab.py $WORLD basic | sed -n 1p)" "^ok a blocking"
rl network create near >/dev/null
rl network connect near web
rl run -q -d --name neighbour --network near "${PYTHON[@]}" busybox python3 /lab/portlab.py serve 80 >/dev/null
wait_for "the neighbour" 30 sh -c "rl logs neighbour 2>&1 | grep -q ready"
address=$(rl exec neighbour busybox ip -4 address show dev eth0 | sed -n 's|.*inet \([0-9.]*\)/.*|\1|p')
like "a neighbour on a network that was connected later is reached there" \
	"$(rl exec web python3 /lab/portlab.py ask "$address" 80)" "^tcp ${address%.*}"
rl rm -f -t 0 web neighbour >/dev/null
where='import socket, sys
for name in sys.argv[1:]:
    host, port = name.split(",")
    try:
        s = socket.create_connection((host, int(port)), 20)
        print("slow" if s.getsockname()[0].startswith("10.0.2.") else "fast")
    except OSError as e:
        print(e.strerror or e)'
output_is "an address on the allow list is fast, others are refused" "fast
Connection refused
Connection refused" fast --allow-net 10.9.9.1:80 -- python3 -c "$where" 10.9.9.1,80 10.9.9.1,81 10.9.9.2,80
output_is "a name on it is reached" "slow" fast --allow-net good.example -- python3 -c "$where" good.example,80
output_is "what the deny list leaves is fast" "fast
Connection refused" fast --deny-net 10.9.9.2 -- python3 -c "$where" 10.9.9.1,80 10.9.9.2,80
output_is "where connections leave from is said as ever" "10.9.9.7" outbound -- python3 -c "
import socket; print(socket.create_connection(('10.9.9.1', 80)).getsockname()[0])"

# --- programs
head -c 5000000 /dev/urandom >"$T/served"
python3 -m http.server 88 --bind 10.9.9.1 --directory "$T" >/dev/null 2>&1 &
PIDS+=($!)
wait_for "the web server" 20 curl -s -o /dev/null http://10.9.9.1:88/served
is "curl: five megabytes come whole" "$(fast -- curl -sS -m 30 http://10.9.9.1:88/served | sha256sum)" "$(sha256sum <"$T/served")"
js='const s = require("net").connect(80, "10.9.9.1", () => console.log(s.localAddress.startsWith("10.0.2.") ? "slow" : "fast"));
s.on("data", d => console.log(String(d).trim())); s.on("end", () => process.exit(0)); s.on("error", e => console.log(e.code))'
program() {
	if command -v "$1" >/dev/null; then
		output_is "$2" "fast
from 10.9.9.1" fast -v "$T:/src:ro" -- "${@:3}"
	else
		skip "$1 is not installed" "$2"
	fi
}
program node "node (libuv)" node -e "$js"
cat >"$T/Fast.java" <<'JAVA'
import java.io.*; import java.net.*; import java.nio.*; import java.nio.channels.*;
class Fast {
	static String where(SocketAddress a) { return ((InetSocketAddress) a).getAddress().getHostAddress().startsWith("10.0.2.") ? "slow" : "fast"; }
	public static void main(String[] args) throws Exception {
		try (Socket s = new Socket("10.9.9.1", 80)) {
			System.out.println(where(s.getLocalSocketAddress()));
		}
		SocketChannel c = SocketChannel.open();
		c.configureBlocking(false);
		Selector selector = Selector.open();
		c.register(selector, SelectionKey.OP_CONNECT);
		c.connect(new InetSocketAddress("10.9.9.1", 80));
		ByteBuffer buffer = ByteBuffer.allocate(100);
		while (buffer.position() == 0 || buffer.get(buffer.position() - 1) != 10) {
			selector.select(20000);
			if (c.isConnectionPending() && c.finishConnect()) c.keyFor(selector).interestOps(SelectionKey.OP_READ);
			else if (c.read(buffer) < 0) break;
			selector.selectedKeys().clear();
		}
		System.out.print(new String(buffer.array(), 0, buffer.position()));
		System.exit(0);
	}
}
JAVA
if command -v javac >/dev/null; then
	javac -J-XX:TieredStopAtLevel=1 -d "$T/classes" "$T/Fast.java" 2>"$T/java.err" || diag "$(cat "$T/java.err")"
	for d in /etc/java-*; do PYTHON+=(-v "$d:$d:ro"); done
fi
program javac "Java: a socket, and a channel registered with a selector before it connects" \
	java -XX:TieredStopAtLevel=1 -cp /src/classes Fast
if command -v go >/dev/null; then
	cat >"$T/fast.go" <<'GO'
package main

import ("bufio"; "fmt"; "net"; "strings")

func main() {
	c, err := net.Dial("tcp4", "10.9.9.1:80")
	if err != nil { fmt.Println(err); return }
	if strings.HasPrefix(c.LocalAddr().String(), "10.0.2.") { fmt.Println("slow") } else { fmt.Println("fast") }
	line, _ := bufio.NewReader(c).ReadString('\n')
	fmt.Print(line)
}
GO
	GOCACHE=$T/go-cache GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o "$T/fast-go" "$T/fast.go" 2>"$T/go.err" || diag "$(cat "$T/go.err")"
fi
program go "Go" /src/fast-go
done_testing
