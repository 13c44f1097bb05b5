"""The measurements of bench.sh, which prepares the ground and calls this.

Every comparison is interleaved: in each round each program runs a few times, so that what else the machine does hits
all alike. What is printed is the median and the range from the first to the ninth decile. A ratio is computed per round
and its median taken, because a slow minute slows both.
"""
import functools
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

STAGE = os.environ["STAGE"]
USER = os.environ["STAGE_USER"]
HOME = os.environ["STAGE_HOME"]
TOP = os.environ["BENCH_TOP"]
BUILD = os.environ["BENCH_BUILD"]
OUT = os.environ["BENCH_OUT"]
QUICK = os.environ.get("BENCH_QUICK") == "1"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3" if QUICK else "15"))
IS_ROOT = os.geteuid() == 0
RESULT = f"{OUT}/{time.strftime('%Y%m%d-%H%M%S')}.json"

rows = []
notes = []
current = []  # names of sections, the last is being measured


def note(text):
    notes.append(text)
    print(f"# {text}", file=sys.stderr)


def as_user(argv, env=None):
    """The command line that runs argv as the bench's user with a login's clean environment."""
    pairs = {"HOME": HOME, "USER": USER or os.environ.get("USER", "user"), "LANG": "C.UTF-8", "TMPDIR": f"{HOME}/tmp",
             "PATH": f"{STAGE}/prefix/bin:/usr/bin:/bin:/usr/sbin:/sbin", "RL_ROOT": f"{HOME}/rl", **(env or {})}
    switch = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if USER else []
    return switch + ["env", "-i", *(f"{k}={v}" for k, v in pairs.items()), *argv]


def run(argv, env=None, **kw):
    kw.setdefault("capture_output", True)
    return subprocess.run(as_user(argv, env), text=True, cwd=HOME, stdin=subprocess.DEVNULL, **kw)


def works(name, argv, env=None):
    r = run(argv, env)
    if r.returncode:
        why = (r.stderr.strip().splitlines() or ["no message"])[-1]
        note(f"{name} does not work here and is not measured: {why[:160]}")
    return r.returncode == 0


def spread(values):
    s = sorted(values)
    return s[int(len(s) * 0.1)], s[min(len(s) - 1, int(len(s) * 0.9))]


def timed(commands, rounds=ROUNDS, runs=5, warmup=1):
    """commands: {name: (argv, env)} or (argv, env, argv to run before each time).

    Returns {name: [median of each round, in ms]} and {name: [all samples]}.
    """
    per_round = {n: [] for n in commands}
    samples = {n: [] for n in commands}
    with tempfile.TemporaryDirectory(dir=STAGE) as d:
        os.chmod(d, 0o777)
        for i in range(rounds):
            order = list(commands.items())
            for name, (argv, env, *before) in order if i % 2 == 0 else reversed(order):
                out = f"{d}/{i}.json"
                quoted = " ".join(map(quote, argv))
                prepare = [w for b in before for w in ("--prepare", " ".join(map(quote, b)))]
                r = run(["hyperfine", "-N", "-w", str(warmup), "-r", str(runs), "--export-json", out, *prepare, quoted],
                        env)
                if r.returncode:
                    sys.exit(f"bench: {name}: {r.stderr.strip()[-400:]}")
                with open(out) as f:
                    times = [t * 1000 for t in json.load(f)["results"][0]["times"]]
                os.unlink(out)
                per_round[name].append(statistics.median(times))
                samples[name] += times
    return per_round, samples


def quote(word):
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word + "'"


def row(name, ours, peer, value, bar, met, unit="ms", info=False):
    rows.append({"name": name, "ours": ours, "peer": peer, "value": value, "bar": bar,
                 "met": None if info else bool(met), "unit": unit})
    if __name__ == "__main__":  # else it is said by who reads them
        say(rows[-1])


def say(r):
    met = {True: "met", False: "MISSED", None: "information"}[r["met"]]
    print(f"# {r['name']}: {r['ours']}, {r['peer']}: {r['value']} (bar {r['bar']}, {met})", file=sys.stderr, flush=True)


def describe(samples, unit="ms"):
    low, high = spread(samples)
    return f"{statistics.median(samples):.1f} {unit} ({low:.1f} to {high:.1f})"


def ratios(a, b):
    return statistics.median(x / y for x, y in zip(a, b))


# --- preparing --------------------------------------------------------------------------------------------------------

def own_rootfs():
    d = f"{HOME}/rootfs"
    if not os.path.isdir(d):
        run(["sh", "-c", f"mkdir -p {d}/bin {d}/proc {d}/sys {d}/dev {d}/tmp {d}/etc && cp /bin/busybox {d}/bin/ && "
             f"for a in sh true sleep echo; do ln -s busybox {d}/bin/$a; done"], check=True)
    return d


def bundle(ranged=True):
    """A bundle as `crun spec --rootless` makes it, where root is the user; ranged: with the mapping rl uses, the rest of
    the ids is the subordinate range."""
    d = f"{HOME}/bundle{'' if ranged else '-single'}"
    if os.path.isdir(d):
        return d
    rootfs = own_rootfs()
    run(["sh", "-c", f"mkdir {d} && cd {d} && crun spec --rootless"], check=True)
    with open(f"{d}/config.json") as f:
        c = json.load(f)
    user = USER or run(["id", "-un"]).stdout.strip()
    maps = {}
    for kind, path, option in (("uid", "/etc/subuid", "-u"), ("gid", "/etc/subgid", "-g")):
        own = int(run(["id", option]).stdout)
        maps[kind] = [{"containerID": 0, "hostID": own, "size": 1}]
        for line in open(path):
            name, first, count = line.strip().split(":")
            if name == user:
                maps[kind].append({"containerID": 1, "hostID": int(first), "size": int(count)})
                break
    c["process"].update(terminal=False, args=["/bin/true"])
    c["root"]["path"] = rootfs
    if ranged:
        c["linux"].update(uidMappings=maps["uid"], gidMappings=maps["gid"])
    text = json.dumps(c)
    run(["sh", "-c", f"cat > {d}/config.json <<'END'\n{text}\nEND\n"], check=True)
    return d


BWRAP = ["bwrap", "--unshare-all", "--uid", "0", "--gid", "0", "--hostname", "bench", "--ro-bind", "@ROOTFS@", "/",
         "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--mqueue", "/dev/mqueue", "/bin/true"]
RL_NONE = ["rl", "run", "--rm", "--network", "none", "busybox", "true"]
RL_NET = ["rl", "run", "--rm", "busybox", "true"]


# --- sections ---------------------------------------------------------------------------------------------------------

def section_start():
    bwrap = [own_rootfs() if w == "@ROOTFS@" else w for w in BWRAP]
    single = {"RL_IDMAP": "single", "RL_ROOT": f"{HOME}/rl-single"}
    commands = {"rl": (RL_NONE, single), "bwrap": (bwrap, None)}
    if works("bwrap", bwrap) and works("rl run (single uid)", RL_NONE, single):
        per, all_ = timed(commands)
        ratio = ratios(per["rl"], per["bwrap"])
        row("run, no network, single uid / bwrap", describe(all_["rl"]), describe(all_["bwrap"]), f"{ratio:.2f}", "<= 1.4",
            ratio <= 1.4)

    crun = ["crun", "--root", f"{HOME}/crun", "--cgroup-manager=disabled", "run", "--bundle", bundle(), "bench"]
    if works("rl run", RL_NONE) and works("crun", crun):
        per, all_ = timed({"rl": (RL_NONE, None), "crun": (crun, None)})
        ratio = ratios(per["rl"], per["crun"])
        row("run, no network, subordinate ids / crun", describe(all_["rl"]), describe(all_["crun"]), f"{ratio:.2f}",
            "< 1.0", ratio < 1)


def oci_pss(runtime):
    """kB of a created container's first process, as the kernel shares it out."""
    pid = f"{HOME}/oci.pid"
    run(runtime + ["create", "--bundle", bundle(ranged=False), "--pid-file", pid, "pss"], check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, capture_output=False)
    number = run(["cat", pid]).stdout.strip()
    with open(f"/proc/{number}/smaps_rollup") as f:
        pss = next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    run(runtime + ["delete", "--force", "pss"])
    return pss


def section_oci():
    rl = ["rl-oci", "--root", f"{HOME}/rl-oci"]
    crun = ["crun", "--root", f"{HOME}/crun", "--cgroup-manager=disabled"]
    if not works("rl-oci", rl + ["run", "--bundle", bundle(ranged=False), "bench"]) or \
            not works("crun", crun + ["run", "--bundle", bundle(ranged=False), "bench"]):
        return
    life = "{0} create --bundle " + bundle(ranged=False) + " l </dev/null && {0} start l && {0} delete --force l"
    for title, commands in (
            ("rl-oci run / crun run", {"rl": (rl + ["run", "--bundle", bundle(ranged=False), "bench"], None),
                                       "crun": (crun + ["run", "--bundle", bundle(ranged=False), "bench"], None)}),
            ("rl-oci create, start, delete / crun", {"rl": (["sh", "-c", life.format(" ".join(rl))], None),
                                                     "crun": (["sh", "-c", life.format(" ".join(crun))], None)})):
        per, all_ = timed(commands)
        ratio = ratios(per["rl"], per["crun"])
        row(title, describe(all_["rl"]), describe(all_["crun"]), f"{ratio:.2f}", "<= 0.8", ratio <= 0.8)
    per, all_ = timed({"rl": (rl + ["run", "--bundle", bundle(), "bench"], None),
                       "crun": (crun + ["run", "--bundle", bundle(), "bench"], None)})
    ratio = ratios(per["rl"], per["crun"])
    row("rl-oci run, subordinate ids / crun run", describe(all_["rl"]), describe(all_["crun"]), f"{ratio:.2f}",
        "information", True, info=True)
    ours, peer = oci_pss(rl), oci_pss(crun)
    row("created container, PSS / crun", f"{ours} kB", f"{peer} kB", f"{ours / peer:.2f}", "< 1.0", ours < peer, unit="kB")


def section_network():
    if not works("rl run", RL_NET):
        return
    per, all_ = timed({"none": (RL_NONE, None), "default": (RL_NET, None)})
    more = statistics.median(b - a for a, b in zip(per["none"], per["default"]))
    row("default network - no network", describe(all_["default"]), describe(all_["none"]), f"{more:.2f} ms", "<= 2.5 ms",
        more <= 2.5)


# With a long TMPDIR podman 4.3 waits 20 s for an exit file that it looks for elsewhere; without the line about overlay it
# copies the image for each container. Both would be unfair.
PODMAN_ENV = {"TMPDIR": "/tmp"}


def podman_image():
    """podman gets the same busybox, as image "bench"."""
    r = run(["sh", "-c", "mkdir -p ~/.config/containers && printf '[storage]\\ndriver = \"overlay\"\\nrunroot = \"%s\"\\n"
             "graphroot = \"%s\"\\n' /tmp/podman-run-$(id -u)/containers ~/.local/share/containers/storage "
             f">~/.config/containers/storage.conf && tar -C {own_rootfs()} -c . | podman import - bench"], PODMAN_ENV)
    if r.returncode:
        note(f"podman does not work here: {r.stderr.strip().splitlines()[-1:]}")
    return r.returncode == 0


def section_podman():
    if not podman_image():
        return
    for title, ours, network, bar in (("podman, no network / rl", RL_NONE, "none", 25),
                                      ("podman, slirp4netns / rl, default network", RL_NET, "slirp4netns", 18)):
        podman = ["podman", "run", "--rm", "--cgroups=disabled", "--network", network, "bench", "true"]
        if not works("podman", podman, PODMAN_ENV):
            continue
        per, all_ = timed({"rl": (ours, None), "podman": (podman, PODMAN_ENV)}, rounds=max(3, ROUNDS // 2), runs=3)
        ratio = ratios(per["podman"], per["rl"])
        row(title, describe(all_["rl"]), describe(all_["podman"]), f"{ratio:.1f}", f">= {bar}", ratio >= bar)


def children_of(pid):
    kids = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                with open(f"/proc/{d}/stat") as f:
                    ppid = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            kids.setdefault(ppid, []).append(int(d))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += kids.get(p, [])
    return found


def private_dirty(pid):
    total = 0
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith(("Private_Dirty:", "Swap:")):
                total += int(line.split()[1])
    return total


def section_memory():
    ready = "echo ready; exec sleep 1000"
    argv = as_user(["rl", "run", "--rm", "busybox", "sh", "-c", ready])
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=HOME)
    try:
        if p.stdout.readline() != "ready\n":
            note("memory: the container did not start")
            return
        time.sleep(0.5)  # the helper processes settle: what is measured is the idle state
        sizes = {}
        for pid in children_of(p.pid):
            with open(f"/proc/{pid}/cmdline") as f:
                args = f.read().split("\0")
            if args[0] in ("", "sleep"):
                continue  # about to be reaped; the payload
            try:
                sizes[f"{os.path.basename(args[0])} {pid}"] = private_dirty(pid)
            except OSError as e:
                note(f"memory of {args[0]} cannot be read ({e.strerror}); run the bench as root")
                return
        total = sum(sizes.values())
        parts = ", ".join(f"{n.split()[0]} {k} kB" for n, k in sizes.items())
        row("private dirty memory of a running rl run", f"{total} kB", parts, f"{total / 1024:.2f} MiB", "< 1 MiB",
            total < 1024, unit="kB")
    finally:
        p.terminate()
        p.wait()


def import_on(base, archive, rounds, title, bar):
    d = tempfile.mkdtemp(prefix="bench.", dir=base)
    if USER:
        shutil.chown(d, USER, USER)
    ours, theirs, rss = [], [], []
    try:
        for i in range(rounds):
            for which in ("rl", "tar") if i % 2 == 0 else ("tar", "rl"):
                start = time.monotonic()
                if which == "rl":
                    before = time.monotonic()
                    p = subprocess.Popen(as_user(["rl", "import", archive, "bench"], {"RL_ROOT": f"{d}/rl"}), cwd=HOME,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                    err = p.stderr.read()
                    _, status, usage = os.wait4(p.pid, 0)
                    if status:
                        note(f"import failed: {err.decode(errors='replace').strip()[-200:]}")
                        return
                    ours.append(time.monotonic() - before)
                    rss.append(usage.ru_maxrss)
                    run(["rl", "rmi", "bench"], {"RL_ROOT": f"{d}/rl"})
                    run(["unshare", "--map-root-user", "--map-auto", "rm", "-rf", f"{d}/rl"])
                else:
                    run(["mkdir", "-p", f"{d}/tar"])
                    start = time.monotonic()
                    r = run(["sh", "-c", f"gzip -dc {archive} | tar -x -C {d}/tar --exclude=./dev/*"])
                    theirs.append(time.monotonic() - start)
                    if r.returncode:
                        note(f"tar failed: {r.stderr.strip()[-200:]}")
                        return
                    run(["sh", "-c", f"chmod -R u+rwX {d}/tar; rm -rf {d}/tar"])
    finally:
        shutil.rmtree(d, ignore_errors=True)
    ratio = ratios(theirs, ours)
    size = os.path.getsize(archive) >> 20
    row(f"{title} ({size} MB gzip): gzip -dc | tar -x / rl import", describe(ours, "s"), describe(theirs, "s"),
        f"{ratio:.2f}", f">= {bar}" if bar else "-", bar and ratio >= bar, unit="s", info=not bar)
    if bar:
        peak = max(rss)
        row("largest process of the import", f"{peak >> 10} MiB", "-", f"{peak / 1024:.1f} MiB", "< 64 MiB", peak < 65536,
            unit="kB")


def section_import():
    env = dict(os.environ)
    r = subprocess.run([f"{TOP}/tests/helpers/debian-image", "large"], capture_output=True, text=True, env=env)
    if r.returncode:
        note(f"no Debian image: {r.stderr.strip().splitlines()[-1:]}")
        return
    archive = r.stdout.strip()
    import_on("/dev/shm", archive, 2 if QUICK else 7, "import on tmpfs", 2.0)
    import_on(HOME, archive, 1 if QUICK else 3, "import on disk, for information", None)


def section_throughput():
    if not IS_ROOT:
        note("throughput: net.sh makes network namespaces and needs root")
        return
    speeds = {}
    p = subprocess.Popen([f"{TOP}/tests/perf/net.sh", BUILD, "1" if QUICK else "7", "1" if QUICK else "2"],
                         stdout=subprocess.PIPE, text=True)
    for line in p.stdout:
        print(f"# {line}", end="", file=sys.stderr, flush=True)
        throughput_row(line, speeds)
    if p.wait():
        note(f"net.sh failed with status {p.returncode}")


def throughput_row(line, speeds):
    """What net.sh says, as rows."""
    figure = r"([\d.]+) (?:Gbit/s )?\s*\(([^)]*)\)"
    if m := re.match(rf"fast path\s+(up|down)\s+{figure}\s+host {figure}\s+ratio ([\d.]+)", line):
        row(f"fast path, throughput {m[1]} / the host's own", f"{m[2]} Gbit/s ({m[3]})", f"{m[4]} Gbit/s ({m[5]})", m[6],
            ">= 0.9", float(m[6]) >= 0.9, unit="Gbit/s")
    elif m := re.match(rf"fast path\s+connect {figure} us, host {figure} us: ([\d.-]+) us more", line):
        row("fast path, a connect more than the host's", f"{m[1]} us ({m[2]})", f"{m[3]} us ({m[4]})", f"{m[5]} us",
            "<= 60 us", float(m[5]) <= 60, unit="us")
    elif m := re.match(rf"(\S+)\s+(up|down)\s+{figure}\s+([\d.]+) CPU", line):
        speeds[m[1], m[2]] = f"{m[3]} Gbit/s ({m[4]})", f"{m[5]} s/GB"
    elif m := re.match(r"ratio (\w+)\s+tap/slirp4netns ([\d.]+).*packet/tap ([\d.]+).*cpu tap/slirp4netns ([\d.]+)", line):
        way = m[1]
        tap, packet, cpu = map(float, m.groups()[1:])
        (ours, our_cpu), (peer, peer_cpu) = speeds["tap", way], speeds["slirp4netns", way]
        row(f"throughput {way} / slirp4netns", ours, peer, f"{tap:.2f}", ">= 1.0", tap >= 1.0, unit="Gbit/s")
        row(f"throughput {way}, packet socket / TAP", speeds["packet", way][0], ours, f"{packet:.2f}", ">= 0.85",
            packet >= 0.85, unit="Gbit/s")
        row(f"processor time per gigabyte {way} / slirp4netns", our_cpu, peer_cpu, f"{cpu:.2f}", "<= 1.0", cpu <= 1.0,
            unit="s/GB")


def from_script(name):
    """Rows, and notes, from a script that writes one line of JSON for each. It says its notes aloud itself. What it said
    before it failed, or before this program was ended, is kept."""
    p = subprocess.Popen([f"{TOP}/tests/perf/{name}", BUILD], stdout=subprocess.PIPE, text=True)
    for line in p.stdout:
        said = json.loads(line)
        if "note" in said:
            notes.append(said["note"])
        else:
            rows.append(said)
            say(said)
        save()
    if p.wait():
        note(f"{name} failed with status {p.returncode}")


def section_ports():
    from_script("ports.sh")


def section_containers():
    from_script("containers.sh")


def section_images():
    from_script("images.sh")


# A new ext4 with a journal in a file, mounted for one command in a namespace of its own.
WITH_JOURNAL = """mkdir "$0.d" && truncate -s 16G "$0" && mkfs.ext4 -q -F "$0" && mount -o loop "$0" "$0.d" && chmod 1777 "$0.d" &&
BUILD_SH_DIR="$0.d" "$@"; status=$?; umount "$0.d"; rmdir "$0.d"; rm -f "$0"; exit "$status" """


def has_journal():
    """Whether what the stage is on is anything but an ext4 without a journal."""
    found = subprocess.run(["findmnt", "-no", "FSTYPE,SOURCE", "-T", STAGE], capture_output=True, text=True).stdout.split()
    if len(found) != 2 or found[0] != "ext4":
        return True
    device = os.path.basename(os.path.realpath(found[1]))
    # One directory for each journal, called by the device and, of a journal within it, its inode.
    journals = os.listdir("/proc/fs/jbd2") if os.path.isdir("/proc/fs/jbd2") else []
    return any(j == device or j.startswith(device + "-") for j in journals)


def section_build():
    """build.sh runs as a user of its own, from the installed tree. Where the disk has no journal, the row of many files,
    which measures there what was deleted before it (build.sh), gets one that has."""
    if IS_ROOT and not has_journal():
        status = run_build(["unshare", "--mount", "bash", "-c", WITH_JOURNAL, f"{STAGE}/journal.ext4"], "small")
        if status == 0:
            note("build, COPY of 10,000 small files: on an ext4 with a journal, in a file; this machine's disk has none, and "
                 "there either program takes up to 15 s, for minutes after many files were deleted")
        run_build([], "others")
    else:
        run_build([], "")


def run_build(how, only):
    """Rows of build.sh, called by `how`; returns its status."""
    env = {**os.environ, **({"BUILD_SH_ONLY": only} if only else {})}
    r = subprocess.run([*how, f"{TOP}/tests/perf/build.sh", f"{STAGE}/prefix", "1" if QUICK else "3"],
                       stdout=subprocess.PIPE, text=True, env=env)
    for line in r.stdout.splitlines():
        if m := re.match(r"(.+?)\s+rl\s+([\d.]+) ms\s+buildah\s+([\d.]+) ms\s+ratio\s+([\d.]+)\s+\(bar ([\d.]+)\)", line):
            row(f"build, {m[1]}: buildah / rl", f"{m[2]} ms", f"{m[3]} ms", m[4], f">= {m[5]}", float(m[4]) >= float(m[5]))
        elif m := re.match(r"(.+): ([\d.]+)( MiB)? \(bar ([\d.]+)\)", line):
            row(f"build, {m[1]}", "-", "-", f"{m[2]}{m[3] or ''}", f"<= {m[4]}", float(m[2]) <= float(m[4]))
    if r.returncode:
        note(f"build.sh failed with status {r.returncode}")
    return r.returncode


EMULATE_BUILD = """FROM bench-large
COPY sources.tar /src/
RUN cd /src && tar xf sources.tar && cp -a tree copy && { chown -R www-data:www-data copy 2>/dev/null || :; } && find copy -type f | wc -l
RUN cd /src && mkdir -p pkg/DEBIAN pkg/usr/share/bench && cp -a tree/data pkg/usr/share/bench && \\
    printf 'Package: bench\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: x\\n' >pkg/DEBIAN/control && \\
    printf '#!/bin/sh\\nuseradd --system bench 2>/dev/null\\nchown -R www-data /usr/share/bench 2>/dev/null\\n:\\n' >pkg/DEBIAN/postinst && chmod 755 pkg/DEBIAN/postinst && \\
    dpkg-deb -Znone -b pkg bench.deb && dpkg -i bench.deb && rm -rf pkg
RUN cd /src/tree/c && for f in *.c; do gcc -O1 -c $f || exit 1; done && ar rc libx.a *.o && \\
    install -d /usr/local/share/x && cp -a ../data/. /usr/local/share/x && rm -rf /src/copy && tar cf /src/out.tar /usr/local
"""


def section_emulate():
    """One user id: the same build with calls on owners answered and without, where every chown to somebody else is tried
    and fails; and the calls that are not."""
    archive = subprocess.run([f"{TOP}/tests/helpers/debian-image", "large"], stdout=subprocess.PIPE, text=True).stdout.strip()
    if not archive:
        return note("no Debian image with a compiler: emulation is not measured")
    base = tempfile.mkdtemp(dir=f"{HOME}/tmp")
    context = f"{base}/context"
    for d in ("c", *(f"data/{n}" for n in range(20))):
        os.makedirs(f"{context}/tree/{d}")
    for n in range(100):
        with open(f"{context}/tree/c/f{n}.c", "w") as f:
            f.write("#include <stdio.h>\n#include <stdlib.h>\n" +
                    "".join(f"int f{n}_{k}(int a) {{ return printf(\"%d\", a + {k}); }}\n" for k in range(30)))
        for k in range(40):
            with open(f"{context}/tree/data/{n % 20}/{n}-{k}", "w") as f:
                f.write("x" * 2000)
    subprocess.run(["tar", "cf", "sources.tar", "tree"], cwd=context, check=True)
    shutil.rmtree(f"{context}/tree")
    with open(f"{context}/Dockerfile", "w") as f:
        f.write(EMULATE_BUILD)
    subprocess.run(["chmod", "-R", "a+rwX", base], check=True)
    env = {"RL_IDMAP": "single", "RL_ROOT": f"{base}/store"}
    if not works("import of the image for the emulated build", ["rl", "import", archive, "bench-large"], env):
        return
    def compare(title, argv, bar, bar_text):
        per_round, samples = timed({m: ([*argv(m)], env) for m in ("off", "full")}, 3 if QUICK else 7, 1)
        value = ratios(per_round["full"], per_round["off"])
        row(title, describe(samples["full"]), describe(samples["off"]), f"{value:.2f}", bar_text, value <= bar)

    old = tuple(int(n) for n in platform.release().split(".")[:2]) < (6, 6)
    compare("file-heavy build, owners emulated / not",
            lambda m: ["rl", "build", "-q", "--no-cache", "--network=none", f"--emulate={m}", context],
            2.5 if old else 1.5, "<= 1.5 (2.5 before Linux 6.6)")
    compare("300,000 calls that are not emulated, with / without",
            lambda m: ["rl", "run", "--rm", "--network=none", f"--emulate={m}", "bench-large", "perl", "-e",
                       "for (1..300000) { getppid }"], 1.1, "<= 1.1")
    run(["rl", "system", "reset", "--force"], env)
    shutil.rmtree(base, ignore_errors=True)


def section_restricted():
    """What a user without privileges meets first: the doctor, and this machine as an image."""
    env = {}
    if not works("rl doctor", ["rl", "doctor"], env) or not works("rl run host", ["rl", "run", "--rm", "host", "true"], env):
        return
    _, samples = timed({"doctor": (["rl", "doctor"], env)}, 3 if QUICK else 7, 3)
    row("rl doctor", describe(samples["doctor"]), "-", f"{statistics.median(samples['doctor']):.0f} ms", "< 1000 ms",
        statistics.median(samples["doctor"]) < 1000)
    per_round, samples = timed({"host": (["rl", "run", "--rm", "host", "true"], env),
                                "busybox": (["rl", "run", "--rm", "busybox", "true"], env)})
    value = ratios(per_round["host"], per_round["busybox"])
    row("rl run host true / rl run busybox true", describe(samples["host"]), describe(samples["busybox"]), f"{value:.2f}",
        "<= 2.0", value <= 2.0)


# In the table's order.
SECTIONS = {"start": section_start, "oci": section_oci, "network": section_network, "podman": section_podman,
            "memory": section_memory,
            "import": section_import, "throughput": section_throughput, "ports": section_ports,
            "containers": section_containers, "images": section_images, "build": section_build,
            "restricted": section_restricted, "emulate": section_emulate}
# The order they run in. ext4 without a journal remembers deleted inodes for five minutes, and every file made meanwhile
# costs more (build.sh): the many short runs come before the builds, what makes few files between them.
ORDER = ["start", "oci", "network", "podman", "memory", "throughput", "ports", "build"]


def table():
    widths = [max([len(str(r[k])) for r in rows] + [len(h)]) for k, h in
              (("name", "what"), ("ours", "rl"), ("peer", "peer"), ("value", "ratio"), ("bar", "bar"))]
    def line(*cells):
        print("  ".join(str(c).ljust(w) for c, w in zip(cells, widths + [3])).rstrip())
    line("what", "rl", "peer", "ratio", "bar", "met")
    for r in rows:
        line(r["name"], r["ours"], r["peer"], r["value"], r["bar"], {True: "yes", False: "NO", None: "-"}[r["met"]])


def cpu_model():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


@functools.cache
def versions():
    found = {}
    for name, argv in (("bwrap", ["bwrap", "--version"]), ("crun", ["crun", "--version"]),
                       ("podman", ["podman", "--version"]), ("slirp4netns", ["slirp4netns", "--version"])):
        try:
            found[name] = subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()[0]
        except (OSError, IndexError):
            found[name] = "not installed"
    return found


def machine():
    return {"kernel": platform.release(), "cpu": cpu_model(), "cpus": os.cpu_count(), "load": os.getloadavg(),
            "rounds": ROUNDS, "versions": versions(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def save():
    """All rows so far, after each section: a run that is ended leaves what it has measured."""
    order = list(SECTIONS)
    rows.sort(key=lambda r: order.index(r.setdefault("section", current[-1])))
    with open(f"{RESULT}.new", "w") as f:
        json.dump({"machine": machine(), "rows": rows, "notes": notes}, f, indent=1)
    os.rename(f"{RESULT}.new", RESULT)


def main():
    names = sys.argv[1:] or list(SECTIONS)
    for name in sorted(names, key=lambda n: ORDER.index(n) if n in ORDER else len(ORDER)):
        print(f"# {name}", file=sys.stderr)
        current.append(name)
        SECTIONS[name]()
        save()
    head = machine()
    load = head["load"]
    print(f"\nLinux {head['kernel']}, {head['cpus']} cpus, load {load[0]:.1f}; median (first to ninth decile), "
          f"{ROUNDS} interleaved rounds\n")
    table()
    print(f"\n{RESULT}")
    if names == list(SECTIONS) and not QUICK:
        subprocess.run([sys.executable, f"{TOP}/tests/perf/page.py", RESULT, TOP], check=True)


if __name__ == "__main__":
    main()
