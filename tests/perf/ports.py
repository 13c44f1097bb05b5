"""ports.py [SECTION...] - published ports and networks with a name, beside pasta and the kernel's own veth pair.

Called by ports.sh, with the stage of bench.sh. Sections: port bridge start idle (default: all), as an ordinary user.
Interleaved rounds; medians and the range. pasta is passt's, with the ports it is asked for and everything else as it
comes; where it does not run its own message is said, and the row stands beside the host's loopback as information.

One line of JSON per figure on standard output, as soon as it is measured; what is going on on standard error.
"""
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import bench
from bench import HOME, QUICK, STAGE, TOP, as_user, note, run, timed, works

RUNS = 1 if QUICK else 5
SECONDS = 1 if QUICK else 2
LEND = ["-v", "/usr:/usr:ro", "-v", "/lib:/lib:ro", "-v", "/lib64:/lib64:ro", "-v", f"{HOME}/ports:/lab:ro"]
MIB = 1024  # kB
PATIENCE = 30

HTTP = """import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 8000))
s.listen(1024)
while True:
    c, _ = s.accept()
    c.recv(4096)
    c.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello")
    c.close()
"""
GET = """import socket, sys, time
start = time.monotonic()
for _ in range(1000):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    got = b""
    while data := s.recv(4096):
        got += data
    assert got.endswith(b"hello")
    s.close()
print(time.monotonic() - start)
"""
# Both ends keep what they have until the other goes.
HOLD = """import resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
s = socket.socket()
s.bind(("", 80))
s.listen(4096)
kept = []
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.send(b"x")
    kept.append(c)
"""
IDLE = """import resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept, lost = [], ""
for _ in range(int(sys.argv[2])):
    s = socket.socket()
    s.settimeout(30)
    try:
        s.connect(("127.0.0.1", int(sys.argv[1])))
        if s.recv(1) != b"x":
            raise OSError("it was closed")
    except OSError as e:
        lost = str(e)
        break
    kept.append(s)
print(len(kept), lost, flush=True)
sys.stdin.readline()
"""


def row(name, ours, peer, value, bar, met, unit="", info=False):
    bench.row(name, ours, peer, value, bar, met, unit=unit, info=info)
    print(json.dumps(bench.rows.pop()), flush=True)


def must(argv):
    r = run(argv)
    if r.returncode:
        sys.exit(f"ports: {' '.join(argv[:6])}: {r.stderr.strip()[-400:]}")
    return r.stdout


def start(argv, **kw):
    return subprocess.Popen(as_user(argv), cwd=HOME, stdin=kw.pop("stdin", subprocess.DEVNULL), text=True, **kw)


def stop(p):
    p.kill()
    p.wait()


def answers(port):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if run(["timeout", "3", "iperf3", "-c", "127.0.0.1", "-p", str(port), "-n", "1K"]).returncode == 0:
            return True
    return False


def range_of(values, unit):
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


def rate(argv):
    """iperf3's server serves one at a time, and may still be busy with the end of the one before."""
    for _ in range(3):
        r = run(["timeout", "60", *argv, "-J", "-t", str(SECONDS)])
        try:
            return json.loads(r.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9
        except (ValueError, KeyError):
            continue
    sys.exit(f"ports: {' '.join(argv[:8])}: {r.stdout[-300:]}{r.stderr[-300:]}")


def prepare():
    os.makedirs(f"{HOME}/ports", exist_ok=True)
    for name, text in (("http.py", HTTP), ("get.py", GET), ("hold.py", HOLD), ("idle.py", IDLE)):
        with open(f"{HOME}/ports/{name}", "w") as f:
            f.write(text)
    subprocess.run(["chmod", "-R", "a+rX", f"{HOME}/ports"], check=True)


# --- published ports beside pasta -------------------------------------------------------------------------------------

SERVE = "iperf3 -s >/dev/null 2>&1 & exec python3 {}/http.py"


def peers():
    """{name: (port of iperf3, of the web server)}, and what has to be ended."""
    found, ends = {}, []
    must(["rl", "run", "-d", "--name", "bench-port", "-p", "127.0.0.1:15201:5201", "-p", "127.0.0.1:18000:8000", *LEND,
          "busybox", "sh", "-c", SERVE.format("/lab")])
    if not answers(15201):
        sys.exit("ports: the published port does not answer")
    found["rl"] = (15201, 18000)
    err = tempfile.TemporaryFile("w+", dir=STAGE)
    pasta = start(["pasta", "-f", "--config-net", "-t", "127.0.0.1/15202:5201", "-t",
                   "127.0.0.1/18001:8000", "--", "sh", "-c",
                   SERVE.format(f"{HOME}/ports")], stdout=err, stderr=err)
    ends.append(pasta)
    if answers(15202):
        found["pasta"] = (15202, 18001)
    else:
        err.seek(0)
        said = [line for line in err.read().splitlines() if line.strip()]
        note(f"pasta does not run here: {(said or ['it says nothing'])[-1][:160]}")
        stop(pasta)
        ends.append(start(["sh", "-c", "iperf3 -s -B 127.0.0.1 -p 15203 >/dev/null"]))
        if answers(15203):
            found["loopback"] = (15203, None)
    return found, ends


def section_port():
    found, ends = peers()
    ours, other = list(found)[:2]
    took = {}
    for i in range(RUNS):
        for name in (ours, other) if i % 2 == 0 else (other, ours):
            for way, more in (("in", []), ("out", ["-R"])):
                took.setdefault((name, way), []).append(
                    rate(["iperf3", "-c", "127.0.0.1", "-p", str(found[name][0]), *more]))
    for way in ("in", "out"):
        value = statistics.median(took[ours, way]) / statistics.median(took[other, way])
        row(f"throughput of a published port, {way} / {other}", range_of(took[ours, way], "Gbit/s"),
            range_of(took[other, way], "Gbit/s"), f"{value:.2f}", ">= 0.8" if other == "pasta" else "information",
            value >= 0.8, unit="Gbit/s", info=other != "pasta")
    http = {name: [] for name, ports in found.items() if ports[1]}
    for i in range(RUNS):
        for name in http if i % 2 == 0 else reversed(http):
            http[name].append(float(must(["timeout", "60", "python3", f"{HOME}/ports/get.py", str(found[name][1])])))
    if "pasta" in http:
        value = statistics.median(http["pasta"]) / statistics.median(http["rl"])
        row("1,000 HTTP requests through a published port: pasta / rl", range_of(http["rl"], "s"),
            range_of(http["pasta"], "s"), f"{value:.2f}", ">= 1.0", value >= 1, unit="s")
    else:
        row("1,000 HTTP requests through a published port", range_of(http["rl"], "s"), "-", "-", "information", None, info=True)
    for p in ends:
        stop(p)
    run(["rl", "rm", "-f", "-t", "0", "bench-port"])


# --- networks with a name ---------------------------------------------------------------------------------------------

def address(container, device="eth0"):
    return next(line.split()[3].split("/")[0] for line in
                must(["rl", "exec", container, "busybox", "ip", "-o", "-4", "address", "show", "dev", device]).splitlines())


def pair(mtu):
    """Two plain network namespaces with a veth pair between them: the processes that keep them, and how to get into one."""
    outer = start(["unshare", "-Urn", "sh", "-c", "echo $$; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    one = outer.stdout.readline().strip()
    inside = ["nsenter", "--preserve-credentials", "-U", "-n", "-t", one]
    inner = start([*inside, "unshare", "-n", "sh", "-c", "echo $$; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    two = inner.stdout.readline().strip()
    other = ["nsenter", "--preserve-credentials", "-U", "-n", "-t", two]
    must([*inside, "sh", "-ec", f"ip link add here type veth peer name there netns {two}; ip address add 10.77.0.1/24 dev here; "
          f"ip link set here mtu {mtu} up"])
    must([*other, "sh", "-ec", f"ip address add 10.77.0.2/24 dev there; ip link set there mtu {mtu} up"])
    server = start([*other, "iperf3", "-s"], stdout=subprocess.DEVNULL)
    return inside, [server, inner, outer]


def section_bridge():
    must(["rl", "network", "create", "bench-net"])
    for name, command in (("bench-one", ["iperf3", "-s"]), ("bench-two", ["sleep", "1000"])):
        must(["rl", "run", "-d", "--name", name, "--network", "bench-net", *LEND, "busybox", *command])
    mtu = must(["rl", "exec", "bench-one", "cat", "/sys/class/net/eth0/mtu"]).strip()
    inside, ends = pair(mtu)
    commands = {"rl": ["rl", "exec", "bench-two", "iperf3", "-c", address("bench-one")],
                "veth": [*inside, "iperf3", "-c", "10.77.0.2"]}
    for argv in commands.values():
        end = time.monotonic() + PATIENCE
        while run([*argv, "-n", "1K"]).returncode and time.monotonic() < end:
            pass
    took = {n: [] for n in commands}
    for i in range(RUNS):
        for name in commands if i % 2 == 0 else reversed(commands):
            took[name].append(rate(commands[name]))
    for p in ends:
        stop(p)
    run(["rl", "rm", "-f", "-t", "0", "bench-one", "bench-two"])
    value = statistics.median(took["rl"]) / statistics.median(took["veth"])
    row(f"container to container / veth pair, MTU {mtu}", range_of(took["rl"], "Gbit/s"), range_of(took["veth"], "Gbit/s"),
        f"{value:.2f}", ">= 0.9", value >= 0.9, unit="Gbit/s")
    run(["rl", "network", "rm", "bench-net"])


def section_start():
    must(["rl", "network", "create", "bench-up"])
    must(["rl", "run", "-d", "--name", "bench-up", "--network", "bench-up", "busybox", "sleep", "1000"])
    named = ["rl", "run", "--rm", "--network", "bench-up", "busybox", "true"]
    if works("rl run --network NAME", named):
        per, all_ = timed({"none": (bench.RL_NONE, None), "named": (named, None)})
        more = statistics.median(b - a for a, b in zip(per["none"], per["named"]))
        row("run on a network with a name that is up - no network", bench.describe(all_["named"]),
            bench.describe(all_["none"]), f"{more:.2f} ms", "<= 6 ms", more <= 6, unit="ms")
    run(["rl", "rm", "-f", "-t", "0", "bench-up"])
    run(["rl", "network", "rm", "bench-up"])


# --- idle connections -------------------------------------------------------------------------------------------------

def forwarder(container):
    """rl-portd of this container: among those of the user, the one in its network namespace."""
    pid = must(["rl", "inspect", "--format", "{{.State.Pid}}", container]).strip()
    want = os.readlink(f"/proc/{pid}/ns/net")
    for d in os.listdir("/proc"):
        try:
            if d.isdigit() and open(f"/proc/{d}/comm").read() == "rl-portd\n" and os.readlink(f"/proc/{d}/ns/net") == want:
                return d
        except OSError:
            continue
    return None


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def section_idle():
    """10,000, or as many as the limit of descriptors lets one process forward: it holds two for each."""
    if not bench.IS_ROOT:
        note("idle connections: the memory of rl-portd, which hides from its user, is read as root")
        return
    # What rl-portd keeps back (src/portd/share.c): for control messages, for its pipes, and the port's own socket.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = (limit - 64 - 2 * 256 - 1) // 2
    want = min(200 if QUICK else 10000, most)
    must(["rl", "run", "-d", "--name", "bench-idle", "-p", "127.0.0.1:18080:80", *LEND, "busybox", "python3", "/lab/hold.py"])
    end = time.monotonic() + PATIENCE
    while "ready" not in run(["rl", "logs", "bench-idle"]).stdout and time.monotonic() < end:
        time.sleep(0.05)
    empty = pss(forwarder("bench-idle"))
    client = start(["python3", f"{HOME}/ports/idle.py", "18080", str(want)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    count, _, lost = client.stdout.readline().strip().partition(" ")
    kB = pss(forwarder("bench-idle"))
    if lost:
        note(f"idle connections: number {int(count) + 1} failed: {lost}")
    if want < 10000 and not QUICK:
        note(f"idle connections: this machine lets a process have {limit} descriptors, so that rl-portd forwards "
             f"{most} connections at most")
    whole = empty + (kB - empty) * 10000 / max(int(count), 1)
    row("PSS of rl-portd with 10,000 idle connections", f"{kB} kB with {count}", f"{empty} kB with none",
        f"{whole / MIB:.1f} MiB", "< 16 MiB", not lost and whole < 16 * MIB, unit="kB")
    stop(client)
    run(["rl", "rm", "-f", "-t", "0", "bench-idle"])


SECTIONS = {"port": section_port, "bridge": section_bridge, "start": section_start, "idle": section_idle}


def main():
    prepare()
    for name in sys.argv[1:] or list(SECTIONS):
        print(f"# ports: {name}", file=sys.stderr, flush=True)
        SECTIONS[name]()
    for text in bench.notes:
        print(json.dumps({"note": text}))


main()
