"""What `make soak` counts before and after many runs; tests/soak/run prepares the ground and calls this.

A leak shows as growth with the number of runs. So everything is counted twice: after a warm-up that fills caches which
are meant to stay (kept directories, the layers of the image), and at the end. What is counted belongs to the whole
machine where the kernel keeps no account per user (open files, namespaces, slab memory); the bounds allow for what
other programs do in that time, and are far below one leaked object a run.

Time is counted twice, so that what other programs do to the machine meanwhile does not count: what the processor did for
a run, and how long it took by the clock against another program that makes the same namespaces, run every few runs.
"""
import os
import resource
import statistics
import subprocess
import sys
import threading
import time

STAGE, USER, HOME = os.environ["STAGE"], os.environ["STAGE_USER"], os.environ["STAGE_HOME"]
RUNS = int(os.environ.get("SOAK_RUNS", "10000"))
TOGETHER = int(os.environ.get("SOAK_TOGETHER", "2000"))
WARM_UP = 200
AT_ONCE = 8
SLOWER_MAX = 1.10  # the last runs against the first
REFERENCE_EVERY = 2
KEPT_KB_PER_RUN = 0.5  # kernel memory that may seem lost, and store growth: 5 MB in 10,000 runs

passed = failed = 0


def check(good, sentence, figures):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok' if good else 'not ok'} - {sentence} ({figures})", flush=True)


def command(argv):
    pairs = {"HOME": HOME, "USER": USER or os.environ.get("USER", "user"), "LANG": "C.UTF-8", "TMPDIR": f"{HOME}/tmp",
             "PATH": f"{STAGE}/prefix/bin:/usr/bin:/bin", "RL_ROOT": f"{HOME}/rl"}
    switch = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if USER else []
    return switch + ["env", "-i", *(f"{k}={v}" for k, v in pairs.items()), *argv]


def user_ids():
    """The account's uid and its subordinate range."""
    uid = int(subprocess.run(["id", "-u", *([USER] if USER else [])], capture_output=True, text=True).stdout)
    spans = [(uid, uid)]
    for line in open("/etc/subuid"):
        name, first, count = line.strip().split(":")
        if name == (USER or os.environ.get("USER")):
            spans.append((int(first), int(first) + int(count) - 1))
    return spans


SPANS = user_ids()


def processes():
    """Of the account; where that is not ours alone, those of rl."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/status") as f:
                status = dict(line.split(":", 1) for line in f if ":" in line)
        except OSError:
            continue
        uid = int(status["Uid"].split()[0])
        if any(a <= uid <= b for a, b in SPANS) and (USER or status["Name"].strip().startswith("rl")):
            found.append(f"{pid} {status['Name'].strip()}")
    return found


def meminfo(*names):
    with open("/proc/meminfo") as f:
        values = {line.split(":")[0]: int(line.split()[1]) for line in f}
    return sum(values[n] for n in names)


def tree(path):
    """Entries and kilobytes below a directory."""
    entries = kb = 0
    for d, ds, fs in os.walk(path):
        for name in ds + fs:
            try:
                kb += os.lstat(os.path.join(d, name)).st_blocks // 2
                entries += 1
            except FileNotFoundError:
                pass
    return entries, kb


def settle():
    """Namespaces, slab and sockets of the last runs are freed by the kernel's own threads; wait until nothing moves."""
    last, same, end = None, 0, time.monotonic() + 30
    while same < 4 and time.monotonic() < end:
        now = (open("/proc/sys/fs/file-nr").read().split()[0], namespaces())
        same = same + 1 if now == last else 0
        last = now
        time.sleep(0.5)  # what is awaited has no event


def namespaces():
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for name in os.listdir(f"/proc/{pid}/ns"):
                found.add(os.readlink(f"/proc/{pid}/ns/{name}"))
        except OSError:
            pass
    return len(found)


def directories(path):
    return sum(len(d) for _, d, _ in os.walk(path))


def state():
    settle()
    entries, kb = tree(f"{HOME}/rl")
    return {
        "processes": processes(),
        "mounts": len(open("/proc/self/mountinfo").readlines()),
        "open files of the machine": int(open("/proc/sys/fs/file-nr").read().split()[0]),
        "namespaces": namespaces(),
        "network devices": sorted(os.listdir("/sys/class/net")),
        "cgroups": directories("/sys/fs/cgroup"),
        "kernel memory": meminfo("SUnreclaim", "KernelStack", "PageTables"),
        "entries in the store": entries,
        "kilobytes of the store": kb,
        "entries in TMPDIR": tree(f"{HOME}/tmp")[0],
        "entries of rl in /run and /tmp": len([n for d in ("/run", "/tmp", f"/run/user/{SPANS[0][0]}") if os.path.isdir(d)
                                              for n in os.listdir(d) if n.startswith("rl")]),
    }


def one_run(argv):
    start = time.monotonic()
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, cwd=HOME)
    return time.monotonic() - start, r.returncode, r.stdout, r.stderr


def processor_time():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compare(before, after, runs):
    check(not after["processes"], f"after {runs} runs no process is left", ", ".join(after["processes"][:5]) or "none")
    for name in ("mounts", "network devices", "entries in TMPDIR", "entries of rl in /run and /tmp"):
        check(after[name] == before[name], f"{name} are as before", f"{before[name]} then {after[name]}")
    for name in ("cgroups", "namespaces"):
        check(after[name] <= before[name], f"no {name} are left", f"{before[name]} then {after[name]}")
    slack = max(64, runs // 50)
    name = "open files of the machine"
    check(after[name] - before[name] <= slack, "open files did not grow with the runs", f"{before[name]} then {after[name]}")
    name = "entries in the store"
    check(after[name] <= before[name] + 4, "files of the store did not grow with the runs", f"{before[name]} then {after[name]}")
    for name in ("kilobytes of the store", "kernel memory"):
        grown = after[name] - before[name]
        check(grown <= max(2048, KEPT_KB_PER_RUN * runs), f"{name} did not grow with the runs", f"{grown:+d} kB")


def report_failures(bad, runs, argv):
    check(not bad, f"every one of {runs} runs exits 0 with its output", f"{len(bad)} failed")
    for status, out, err in bad[:3]:
        print(f"# {' '.join(argv[-5:])}: status {status}, {out!r}, {err[-300:]!r}")


ARGV = command(["rl", "run", "--rm", "busybox", "echo", "here"])
REFERENCE = command(["unshare", "-Urmpnuif", "--mount-proc", "true"])


def compare_times(walls, works, references):
    """The first tenth and the last: of each the quickest quarter's bound, since the others waited for the processor."""
    def ends(values):
        tenth = max(2, len(values) // 10)
        return statistics.quantiles(values[:tenth], n=4)[0], statistics.quantiles(values[-tenth:], n=4)[0]

    first, last = ends(works)
    check(last <= first * SLOWER_MAX, "the last tenth takes the processor at most 10 % longer than the first",
          f"{first * 1000:.2f} ms then {last * 1000:.2f} ms")
    (first, last), (other_first, other_last) = ends(walls), ends(references)
    check(last / other_last <= first / other_first * SLOWER_MAX,
          "by the clock it is at most 10 % slower, against what is run beside it",
          f"{first * 1000:.2f} ms then {last * 1000:.2f} ms; {other_first * 1000:.2f} ms then {other_last * 1000:.2f} ms")


def section_row():
    for _ in range(min(WARM_UP, RUNS)):
        one_run(ARGV)
    before, walls, works, references, bad = state(), [], [], [], []
    for i in range(RUNS):
        start = processor_time()
        t, status, out, err = one_run(ARGV)
        works.append(processor_time() - start)
        walls.append(t)
        if status or out != b"here\n":
            bad.append((status, out, err))
        if i % REFERENCE_EVERY == 0:
            t, status, _, err = one_run(REFERENCE)
            references.append(t)
            if status:
                sys.exit(f"the reference fails: {err!r}")
    report_failures(bad, RUNS, ARGV)
    compare(before, state(), RUNS)
    compare_times(walls, works, references)


def section_together():
    for _ in range(20):
        one_run(ARGV)
    before, bad, left, lock = state(), [], [TOGETHER], threading.Lock()

    def worker():
        while True:
            with lock:
                if not left[0]:
                    return
                left[0] -= 1
            _, status, out, err = one_run(ARGV)
            if status or out != b"here\n":
                with lock:
                    bad.append((status, out, err))

    threads = [threading.Thread(target=worker) for _ in range(AT_ONCE)]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - start
    print(f"# {TOGETHER} runs, {AT_ONCE} at once, in {took:.1f} s: {took * 1000 / TOGETHER:.2f} ms a run")
    report_failures(bad, TOGETHER, ARGV)
    compare(before, state(), TOGETHER)


SECTIONS = {"row": section_row, "together": section_together}


def main():
    for name in sys.argv[1:] or SECTIONS:
        print(f"# {name}", flush=True)
        SECTIONS[name]()
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
