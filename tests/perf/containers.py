"""containers.py [SECTION...] - containers in daily use: rl beside podman, in the same minutes.

Called by containers.sh, with the stage of bench.sh. Sections: exec ps detached idle many commit (default: all). Both
programs keep their stores in the home of the bench's user, on the same file system; podman's containers are made with
--cgroups=disabled, because an ordinary user has no cgroup of its own everywhere. What podman does not do here is said
and not measured.

One line of JSON per figure on standard output; what is going on on standard error.
"""
import json
import os
import pwd
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import bench
from bench import HOME, IS_ROOT, PODMAN_ENV, QUICK, ROUNDS, STAGE, USER, describe, note, ratios, row, run, timed, works

SLEEP = ["sleep", "1000"]
MIB = 1 << 20
UID = pwd.getpwnam(USER).pw_uid if USER else os.getuid()
PODMAN_RUN = ["podman", "run", "-d", "--cgroups=disabled"]
PODMAN_ROUNDS = max(2, ROUNDS // 3)
RL_RM = ["rl", "rm", "-f", "bench"]
PODMAN_RM = ["podman", "rm", "-f", "-t", "0", "bench"]


def must(argv, env=None):
    r = run(argv, env)
    if r.returncode:
        sys.exit(f"containers: {' '.join(argv[:6])}: {r.stderr.strip()[-400:]}")
    return r.stdout


def remove_all():
    run(["rl", "rm", "-fa"])
    if podman_works():
        run(["podman", "rm", "-fa", "-t", "0"], PODMAN_ENV)


podman_state = []


def podman_works():
    if not podman_state:
        podman_state.append(bench.podman_image() and works("podman run -d", [
            *PODMAN_RUN, "--network", "none", "--rm", "bench", "true"], PODMAN_ENV))
    return podman_state[0]


def processes():
    """{pid: argv} of the living processes of the bench's user. In a container the user is root, so its are here too."""
    found = {}
    for d in os.listdir("/proc"):
        try:
            if not d.isdigit() or os.stat(f"/proc/{d}").st_uid != UID and not is_ours(d):
                continue
            with open(f"/proc/{d}/cmdline") as f:
                argv = f.read().split("\0")[:-1]
        except OSError:
            continue
        if argv:
            found[int(d)] = argv
    return found


def is_ours(pid):
    """A process that may not be dumped belongs to root in /proc; its status tells the truth."""
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("Uid:"):
                return int(line.split()[1]) == UID
    return False


# --- sections ---------------------------------------------------------------------------------------------------------

def section_exec():
    must(["rl", "run", "-d", "--name", "bench", "busybox", *SLEEP])
    commands = {"rl": (["rl", "exec", "bench", "true"], None)}
    if podman_works():
        must([*PODMAN_RUN, "--name", "bench", "bench", *SLEEP], PODMAN_ENV)
        commands["podman"] = (["podman", "exec", "bench", "true"], PODMAN_ENV)
    per, all_ = timed(commands, rounds=PODMAN_ROUNDS, runs=3)
    compared("podman exec NAME true / rl exec", per, all_, 30)


def compared(title, per, all_, bar):
    if "podman" in per:
        value = ratios(per["podman"], per["rl"])
        row(title, describe(all_["rl"]), describe(all_["podman"]), f"{value:.1f}", f">= {bar}", value >= bar)
    else:
        row(title, describe(all_["rl"]), "-", "-", f">= {bar}", False, info=True)


def section_ps():
    """500 containers that never ran, in a store of their own; podman's 20 are its only ones."""
    env = {"RL_ROOT": f"{HOME}/rl-ps"}
    must(["sh", "-ec", "i=0; while [ $i -lt 500 ]; do rl create --name c$i busybox true; i=$((i+1)); done"], env)
    commands = {"rl": (["rl", "ps", "-a"], env)}
    if len(must(["rl", "ps", "-aq"], env).split()) != 500:
        sys.exit("containers: there are not 500 containers to list")
    if podman_works():
        for i in range(20):
            must(["podman", "create", "--cgroups=disabled", "--name", f"c{i}", "bench", "true"], PODMAN_ENV)
        commands["podman"] = (["podman", "ps", "-a"], PODMAN_ENV)
    per, all_ = timed(commands, runs=3)
    compared("podman ps -a, 20 containers / rl ps -a, 500", per, all_, 3)
    value = statistics.median(all_["rl"])
    row("ps -a, 500 containers", describe(all_["rl"]), "-", f"{value:.1f} ms", "< 15 ms", value < 15)
    run(["rl", "rm", "-fa"], env)


def section_detached():
    for title, ours, theirs in (("default network", [], ["--network", "slirp4netns"]),
                                ("no network", ["--network", "none"], ["--network", "none"])):
        remove_all()
        start = {"rl": ["rl", "run", "-d", "--name", "bench", *ours, "busybox", *SLEEP]}
        rm = {"rl": RL_RM}
        env = {"rl": None, "podman": PODMAN_ENV}
        if podman_works():
            start["podman"] = [*PODMAN_RUN, "--name", "bench", *theirs, "bench", *SLEEP]
            rm["podman"] = PODMAN_RM
        for name in start:
            must(start[name], env[name])
        per, all_ = timed({n: (start[n], env[n], rm[n]) for n in start}, rounds=PODMAN_ROUNDS, runs=3)
        compared(f"podman run -d / rl run -d, {title}", per, all_, 20)
        remove_all()
        per, all_ = timed({n: (rm[n], env[n], start[n]) for n in start}, rounds=PODMAN_ROUNDS, runs=3)
        value = statistics.median(all_["rl"])
        row(f"rm -f of a running container, {title}", describe(all_["rl"]),
            describe(all_["podman"]) if "podman" in all_ else "-", f"{value:.1f} ms", "< 30 ms", value < 30)


def serve(listener):
    data = bytes(MIB)
    while True:
        try:
            c, _ = listener.accept()
        except OSError:
            return
        with c:
            c.sendall(data)


def own_address():
    """An address of this machine that is not loopback: nothing sent to it leaves the machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = s.getsockname()[0]
        return None if address.startswith("127.") else address


def memory(pid):
    sizes = {"dirty": 0, "pss": 0}
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            key, value = line.split()[:2]
            if key in ("Private_Dirty:", "Swap:"):
                sizes["dirty"] += int(value)
            if key == "Pss:":
                sizes["pss"] = int(value)
    return sizes


def idle(command, env, count, address, port, wanted):
    """kB per container of private dirty memory and PSS of all processes that stay beside the payload, and their names."""
    before = processes()
    fetch = f"nc {address} {port} </dev/null | wc -c; exec sleep 1000"
    names = [f"idle{i}" for i in range(count)]
    for name in names:
        must([*command, "--name", name, *wanted, "sh", "-c", fetch], env)
    for name in names:
        deadline = time.monotonic() + 60
        while str(MIB) not in (got := must([command[0], "logs", name], env)):
            if time.monotonic() > deadline:
                note(f"idle: {command[0]}: a container did not get its megabyte: {got.strip()!r}")
                return None
            time.sleep(0.02)
    time.sleep(1)  # what is measured is the idle state
    total, kinds = {"dirty": 0, "pss": 0}, {}
    for pid, argv in processes().items():
        kind = os.path.basename(argv[0].split(":")[0])
        if pid in before or argv == SLEEP or command[0] == "podman" and kind not in ("conmon", "slirp4netns"):
            continue
        sizes = memory(pid)
        for key in total:
            total[key] += sizes[key]
        kinds.setdefault(kind, []).append(sizes["dirty"])
    parts = ", ".join(f"{len(v) / count:g} {k} {statistics.mean(v):.0f} kB" for k, v in sorted(kinds.items()))
    note(f"idle: {command[0]}: private dirty of each: {parts}")
    return {k: v / count for k, v in total.items()}


def section_idle():
    address = own_address()
    if not address or not IS_ROOT:
        note("idle: not measured without an address that is not loopback and the right to read others' memory")
        return
    with socket.create_server((address, 0), backlog=64) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        port, count = listener.getsockname()[1], 20
        ours = idle(["rl", "run", "-d"], None, count, address, port, ["busybox"])
        run(["rl", "rm", "-fa"])
        theirs = None
        if podman_works():
            theirs = idle([*PODMAN_RUN, "--network", "slirp4netns"], PODMAN_ENV, count, address, port, ["bench"])
    if not ours:
        return
    row("idle detached container, private dirty memory", f"{ours['dirty']:.0f} kB",
        f"{theirs['dirty']:.0f} kB" if theirs else "-", f"{ours['dirty'] / 1024:.2f} MiB", "< 0.7 MiB",
        ours["dirty"] < 0.7 * 1024, unit="kB")
    if theirs:
        value = ours["pss"] / theirs["pss"]
        row("idle detached container, PSS / conmon + slirp4netns", f"{ours['pss']:.0f} kB", f"{theirs['pss']:.0f} kB",
            f"{value:.2f}", "<= 0.8", value <= 0.8, unit="kB")


def traces():
    """What a container may leave: processes, mounts, files of the store, temporary files."""
    with open("/proc/self/mountinfo") as f:
        found = {line.split()[4] for line in f if f"{HOME}/" in line}
    found |= {f"process {pid} {' '.join(argv)[:60]}" for pid, argv in processes().items()}
    for top in (f"{HOME}/rl", f"{HOME}/tmp"):
        for d, dirs, files in os.walk(top):
            found |= {os.path.join(d, n) for n in dirs + files}
    return found | {f"/tmp/{n}" for n in os.listdir("/tmp") if os.lstat(f"/tmp/{n}").st_uid == UID}


def section_many():
    remove_all()
    must(["rl", "run", "-d", "busybox", *SLEEP])
    must(["rl", "rm", "-fa"])
    before = traces()
    two = sorted(os.sched_getaffinity(0))[:2]
    took, gone, left = [], [], set()
    for _ in range(1 if QUICK else 3):
        start = time.monotonic()
        must(["taskset", "-c", ",".join(map(str, two)), "sh", "-ec", "i=0; while [ $i -lt 200 ]; do "
              f"rl run -d busybox {' '.join(SLEEP)} & i=$((i+1)); done; wait"])
        took.append(time.monotonic() - start)
        n = len(must(["rl", "ps", "-q"]).split())
        if n != 200:
            note(f"many: only {n} of 200 containers run")
            took[-1] = float("inf")
        start = time.monotonic()
        must(["rl", "rm", "-fa"])
        gone.append(time.monotonic() - start)
        left |= set(must(["rl", "ps", "-aq"]).split()) | traces() - before
    for what in sorted(left)[:8]:
        note(f"many: left behind: {what}")
    value = statistics.median(took)
    row("200 detached containers at once on 2 cores", describe(took, "s"), "-", f"{value:.2f} s", "< 10 s", value < 10,
        unit="s")
    row("rm -fa of these 200: what is left", describe(gone, "s"), "-", str(len(left)), "0", not left, unit="things")


def changed_files(count, size):
    """An image with this many files of this many bytes, cut from programs and texts, which compress as such do."""
    top = f"{STAGE}/commit"
    os.makedirs(f"{top}/root")
    pieces = open_pieces(size)
    for i in range(count):
        d = f"{top}/root/d{i // 100}"
        if i % 100 == 0:
            os.mkdir(d)
        with open(f"{d}/f{i}", "wb") as f:
            f.write(next(pieces))
    archive = f"{top}/image.tar"
    subprocess.run(["tar", "-C", bench.own_rootfs(), "-cf", archive, "."], check=True)
    subprocess.run(["tar", "-C", top, "--transform=s,^root,./data,", "--owner=0", "--group=0", "-rf", archive, "root"],
                   check=True)
    os.chmod(archive, 0o644)
    subprocess.run(["rm", "-rf", f"{top}/root"], check=True)
    return archive


def open_pieces(size):
    while True:
        for top, dirs, names in os.walk("/usr"):
            dirs.sort()
            for name in sorted(names):
                path = os.path.join(top, name)
                if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > 4 * MIB:
                    continue
                with open(path, "rb") as f:
                    while len(piece := f.read(size)) == size:
                        yield piece


# Each file is read and written anew, as an upgrade of packages does.
CHANGE_ALL = "for d in /data/*; do for f in $d/*; do cat $f >/tmp/f && echo changed >>/tmp/f && cat /tmp/f >$f; done; done"


def commit_on(base, archive, rounds):
    """Seconds of each commit, by program, with the stores of both below `base`."""
    top = tempfile.mkdtemp(prefix="bench.", dir=base)
    if USER:
        shutil.chown(top, USER, USER)
    command = {"rl": ["rl", "--root", f"{top}/rl"],
               "podman": ["podman", "--root", f"{top}/podman", "--runroot", f"{top}/run"]}
    env = {"rl": None, "podman": PODMAN_ENV}
    took = {name: [] for name in command}
    try:
        for name, more in (("rl", []), ("podman", ["--cgroups=disabled"])):
            must([*command[name], "import", archive, "bench-changed"], env[name])
            must([*command[name], "run", "--name", "changed", "--network", "none", *more, "bench-changed", "sh", "-ec",
                  CHANGE_ALL], env[name])
        for i in range(rounds):
            for name in took if i % 2 == 0 else reversed(took):
                os.sync()
                start = time.monotonic()
                must([*command[name], "commit", "-q", "changed", "bench-commit"], env[name])
                took[name].append(time.monotonic() - start)
                must([*command[name], "rmi", "bench-commit"], env[name])
    finally:
        run(["rl", "--root", f"{top}/rl", "system", "reset", "--force"])
        run(["podman", "unshare", "rm", "-rf", f"{top}/podman", f"{top}/run"], PODMAN_ENV)
        shutil.rmtree(top, ignore_errors=True)
    return took


def section_commit():
    if not podman_works():
        note("commit: nothing to compare with")
        return
    count = 12000
    archive = changed_files(count, 100_000_000 // count)
    for base, place, rounds in (("/dev/shm", "", 2 if QUICK else 7), (HOME, ", on disk, for information", 1 if QUICK else 3)):
        took = commit_on(base, archive, rounds)
        value = ratios(took["podman"], took["rl"])
        row(f"commit of 100 MB in 12,000 changed files{place}: podman / rl", describe(took["rl"], "s"),
            describe(took["podman"], "s"), f"{value:.2f}", "-" if place else ">= 3", value >= 3, unit="s",
            info=bool(place))
    run(["rm", "-rf", f"{STAGE}/commit"])


SECTIONS = {"exec": section_exec, "ps": section_ps, "detached": section_detached, "idle": section_idle,
            "many": section_many, "commit": section_commit}


def main():
    for name in sys.argv[1:] or list(SECTIONS):
        print(f"# containers: {name}", file=sys.stderr, flush=True)
        remove_all()
        SECTIONS[name]()
        for r in bench.rows:
            print(json.dumps(r), flush=True)
        bench.rows.clear()
    remove_all()
    for text in bench.notes:
        print(json.dumps({"note": text}))


main()
