"""images.py [SECTION...] - registries and archives: rl beside podman and tar, in the same minutes.

Called by images.sh, with the stage of bench.sh. Sections: pull layers push save memory list (default: all). Stores and
images lie on a tmpfs; the registry is Debian's docker-registry on loopback. What the images hold is files of this
machine's /usr, because what compresses like programs and texts has to be programs and texts. Runs are interleaved,
every store is empty at the beginning of a run, and the ratio is the median of the ratios of the pairs.

A comparison ends after BENCH_IMAGE_ROUNDS rounds (5), or after three of them once BENCH_IMAGE_SECONDS (30) have gone
by: a slow machine gives fewer rounds, not none. How many there were is in the row when they were fewer.

One line of JSON per figure on standard output, as soon as it is known; what is going on on standard error.
"""
import hashlib
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import time

STAGE = os.environ["STAGE"]
USER = os.environ.get("STAGE_USER", "")
HOME = os.environ["STAGE_HOME"]
QUICK = os.environ.get("BENCH_QUICK") == "1"
ROUNDS = int(os.environ.get("BENCH_IMAGE_ROUNDS", "1" if QUICK else "5"))
ROUNDS_LEAST = min(3, ROUNDS)
PATIENCE = float(os.environ.get("BENCH_IMAGE_SECONDS", "30"))
SCALE = 10 if QUICK else 1
BASE = f"/dev/shm/{os.path.basename(STAGE)}.images"
PODMAN = ["podman", "--root", f"{BASE}/podman", "--runroot", f"{BASE}/podman-run", "--storage-driver", "overlay"]
RL = ["rl", "--root", f"{BASE}/rl"]
MIB = 1 << 20
REGISTRIES = []
PEAKS = {}


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def row(name, ours, peer, ratio, bar, met):
    print(json.dumps({"name": name, "ours": ours, "peer": peer, "value": ratio, "bar": bar, "met": met, "unit": "s"}),
          flush=True)


def as_user(argv, switch=True):
    pairs = {"HOME": HOME, "USER": USER or os.environ.get("USER", "user"), "LANG": "C.UTF-8", "TMPDIR": f"{BASE}/tmp",
             "PATH": f"{STAGE}/prefix/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    drop = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if USER and switch else []
    return drop + ["env", "-i", *(f"{k}={v}" for k, v in pairs.items()), *argv]


def run(argv, check=True):
    r = subprocess.run(as_user(argv), cwd=HOME, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if check and r.returncode:
        sys.exit(f"images: {' '.join(argv[:6])}: {r.stderr.strip()[-400:]}")
    return r


def wipe(path):
    """Files of subordinate ids included."""
    if os.path.exists(path):
        run(["unshare", "--map-root-user", "--map-auto", "rm", "-rf", path])


def seconds(argv):
    start = time.monotonic()
    run(argv)
    return time.monotonic() - start


def text(samples):
    s = sorted(samples)
    fewer = f", {len(s)} rounds" if len(s) < ROUNDS else ""
    return f"{statistics.median(s):.2f} s ({s[0]:.2f} to {s[-1]:.2f}{fewer})"


def ratio(over, under):
    return statistics.median(a / b for a, b in zip(over, under))


def interleaved(commands, before):
    """commands: {name: argv or function}. before(name) makes the ground empty. {name: [seconds]}"""
    times = {n: [] for n in commands}
    end = time.monotonic() + PATIENCE
    for i in range(ROUNDS):
        if i >= ROUNDS_LEAST and time.monotonic() > end:
            break
        order = list(commands)
        for name in order if i % 2 == 0 else reversed(order):
            before(name)
            what = commands[name]
            times[name].append(what() if callable(what) else seconds(what))
    return times


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(c) for c in f.read().split()]
    except OSError:
        return []


def pss_of(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    except OSError:
        return 0


def note_peak(verb, argv):
    """The largest sum of the memory of a program and its children (PSS, in KiB), looked at every 2 ms."""
    p = subprocess.Popen(as_user(argv), cwd=HOME, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
    peak = 0
    while p.poll() is None:
        total, todo = 0, [p.pid]
        while todo:
            pid = todo.pop()
            total += pss_of(pid)
            todo += children_of(pid)
        peak = max(peak, total)
        time.sleep(0.002)
    if p.returncode:
        sys.exit(f"images: {' '.join(argv[:6])}: {p.stderr.read().strip()[-400:]}")
    say(f"memory of {verb}: {peak / 1024:.1f} MiB")
    PEAKS[verb] = peak


# --- images -----------------------------------------------------------------------------------------------------------

def files_of_usr(sizes):
    """Lists of files of /usr that together have these sizes."""
    lists, left, i = [[] for _ in sizes], list(sizes), 0
    for top, dirs, names in os.walk("/usr"):
        dirs.sort()
        for name in sorted(names):
            path = os.path.join(top, name)
            if os.path.islink(path) or not os.path.isfile(path) or not os.access(path, os.R_OK):
                continue
            size = os.path.getsize(path)
            if size > 4 * MIB:
                continue
            lists[i].append(path)
            left[i] -= size
            if left[i] <= 0:
                i += 1
                if i == len(sizes):
                    return lists
    sys.exit("images: /usr is too small for these images")


def digest_file(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(MIB):
            h.update(chunk)
    return h.hexdigest()


def make_tars(name, sizes):
    made = []
    for n, files in enumerate(files_of_usr([s // SCALE for s in sizes])):
        path = f"{BASE}/{name}.{n}.tar"
        with open(f"{path}.list", "wb") as f:
            f.write(b"\0".join(p.encode() for p in files))
        # With their directories: a tar that leaves them out is read twice.
        subprocess.run(["tar", "-C", "/", "--null", "--no-recursion", "--owner=0", "--group=0", "--mode=a+r", "-P",
                        "--transform=s,^/,,S", "-cf", path, "-T", "-"], check=True,
                       input=b"\0".join(p.encode() for p in with_directories(files)))
        made.append(path)
    return made


def with_directories(files):
    seen, out = set(), []
    for f in files:
        parts = f.split("/")[1:-1]
        for i in range(len(parts)):
            d = "/" + "/".join(parts[:i + 1])
            if d not in seen and not os.path.islink(d):
                seen.add(d)
                out.append(d)
        out.append(f)
    return out


def make_image(name, tars):
    """An image in skopeo's dir: form, layers compressed with gzip at its default level."""
    d = f"{BASE}/{name}.dir"
    os.mkdir(d)

    def put(data):
        h = hashlib.sha256(data).hexdigest()
        with open(f"{d}/{h}", "wb") as f:
            f.write(data)
        return f"sha256:{h}", len(data)
    running = [subprocess.Popen(["sh", "-c", f"gzip -n <{t} >{d}/layer{i}"]) for i, t in enumerate(tars)]
    diffs = ["sha256:" + digest_file(t) for t in tars]
    layers = []
    for i, p in enumerate(running):
        p.wait()
        h = digest_file(f"{d}/layer{i}")
        os.rename(f"{d}/layer{i}", f"{d}/{h}")
        layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{h}",
                       "size": os.path.getsize(f"{d}/{h}")})
    config, size = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
                                   "rootfs": {"type": "layers", "diff_ids": diffs}}).encode())
    with open(f"{d}/manifest.json", "w") as f:
        json.dump({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                   "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": size},
                   "layers": layers}, f)
    with open(f"{d}/version", "w") as f:
        f.write("Directory Transport Version: 1.1\n")
    # Root's podman leaves /run/containers closed to others, in which skopeo looks for credentials.
    run(["env", f"XDG_RUNTIME_DIR={d}", "skopeo", "copy", "-q", "--dest-tls-verify=false", f"dir:{d}",
         f"docker://{REGISTRY}/bench/{name}:1"])
    shutil.rmtree(d)
    return sum(layer["size"] for layer in layers)


def stop_registry():
    REGISTRIES.pop().kill()


def fresh_registry(_):
    """Nothing in it, and nobody remembers what was: podman keeps a list of blobs it has seen where."""
    global REGISTRY
    p = REGISTRIES[-1]
    stop_registry()
    p.wait()
    wipe(f"{BASE}/registry")
    wipe(f"{HOME}/.local/share/containers/cache")
    start_registry()


def start_registry():
    global REGISTRY
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    REGISTRY = f"127.0.0.1:{port}"
    with open(f"{BASE}/registry.yml", "w") as f:
        f.write(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                f"storage: {{filesystem: {{rootdirectory: {BASE}/registry}}, delete: {{enabled: true}}}}\n"
                f"http: {{addr: \"{REGISTRY}\"}}\n")
    p = subprocess.Popen(as_user(["docker-registry", "serve", f"{BASE}/registry.yml"]), cwd=HOME,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            REGISTRIES.append(p)
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("images: docker-registry does not start")


def empty_stores(_):
    for d in ("rl", "podman", "podman-run", "tar", "large"):
        wipe(f"{BASE}/{d}")


# --- sections ---------------------------------------------------------------------------------------------------------

def pull(name, title, tars, bar, tar_bar):
    packed = make_image(name, tars)
    source = f"{REGISTRY}/bench/{name}:1"

    def untar():
        run(["mkdir", f"{BASE}/tar"])
        return seconds(["sh", "-ec", f"for t in {' '.join(tars)}; do tar -C {BASE}/tar -xf $t; done"])
    commands = {"rl": [*RL, "pull", "-q", "--tls-verify=false", source],
                "podman": [*PODMAN, "pull", "-q", "--tls-verify=false", source]}
    if tar_bar:
        commands["tar"] = untar
    t = interleaved(commands, empty_stores)
    value = ratio(t["podman"], t["rl"])
    row(f"pull of {title} ({packed // 1000000} MB gzip): podman / rl", text(t["rl"]), text(t["podman"]), f"{value:.2f}",
        f">= {bar}", value >= bar)
    if tar_bar:
        value = ratio(t["rl"], t["tar"])
        row(f"the same: rl / tar -x of the inflated layers", text(t["rl"]), text(t["tar"]), f"{value:.2f}",
            f"<= {tar_bar}", value <= tar_bar)
    empty_stores("")
    note_peak(f"pull of {title}", commands["rl"])


def section_pull():
    pull("two", "450 MB in two layers", make_tars("two", [300 * MIB, 150 * MIB]), 3.5, 1.25)


def section_layers():
    pull("ten", "ten layers of 50 MB", make_tars("ten", [50 * MIB] * 10), 4.0, None)


def large_layer():
    """One layer of 500 MB that is not compressed, in both stores, and a container of it. Made once."""
    if os.path.exists(f"{BASE}/large"):
        return
    empty_stores("")
    tar = make_tars("large", [500 * MIB])[0]
    note_peak("import", [*RL, "import", tar, "bench-large"])
    run([*PODMAN, "import", "-q", tar, "bench-large"])
    os.unlink(tar)
    run([*RL, "create", "--network=none", "--name", "large", "bench-large", "true"])
    run([*PODMAN, "create", "--network=none", "--name", "large", "bench-large", "true"])
    os.mkdir(f"{BASE}/large")


def section_push():
    large_layer()
    for form in ("gzip", "zstd"):
        def ours():
            return [*RL, "push", "-q", "--tls-verify=false", "--compression-format", form, "bench-large",
                    f"{REGISTRY}/bench/push:1"]
        t = interleaved(
            {"rl": lambda: seconds(ours()),
             "podman": lambda: seconds([*PODMAN, "push", "-q", "--tls-verify=false", "--format=oci",
                                        "--compression-format", form, "bench-large",
                                        f"docker://{REGISTRY}/bench/push:1"])},
            fresh_registry)
        value = ratio(t["podman"], t["rl"])
        row(f"push of a 500 MB layer, {form}: podman / rl", text(t["rl"]), text(t["podman"]), f"{value:.2f}", ">= 3",
            value >= 3)
        fresh_registry("")
        note_peak(f"push, {form}", ours())


def section_save():
    large_layer()
    out = f"{BASE}/saved"
    for title, ours, theirs in (
            ("save of a 500 MB layer, docker-archive", ["save", "--format", "docker-archive", "-o", out, "bench-large"],
             ["save", "-q", "--format", "docker-archive", "-o", out, "bench-large"]),
            ("save of a 500 MB layer, oci-archive", ["save", "--format", "oci-archive", "-o", out, "bench-large"],
             ["save", "-q", "--uncompressed", "--format", "oci-archive", "-o", out, "bench-large"]),
            ("export of a container of 500 MB", ["export", "-o", out, "large"], ["export", "-o", out, "large"])):
        sizes = {}

        def timed(name, argv):
            took = seconds(argv)
            sizes[name] = os.path.getsize(out) // 1000000
            return took
        t = interleaved({"rl": lambda: timed("rl", [*RL, *ours]), "podman": lambda: timed("podman", [*PODMAN, *theirs])},
                        lambda _: wipe(out))
        value = ratio(t["podman"], t["rl"])
        row(f"{title} ({sizes['rl']} and {sizes['podman']} MB): podman / rl", text(t["rl"]), text(t["podman"]),
            f"{value:.2f}", ">= 3", value >= 3)
        wipe(out)
        note_peak(title, [*RL, *ours])
        if ours[0] == "save":
            note_peak(f"load of {ours[2]}", ["rl", "--root", f"{BASE}/loaded", "load", "-i", out])
            wipe(f"{BASE}/loaded")
        wipe(out)


def section_memory():
    """Of the verbs measured before."""
    if not PEAKS:
        section_save()
    verb = max(PEAKS, key=PEAKS.get)
    peak = PEAKS[verb] / 1024
    row(f"memory of all processes of an image verb, the largest of {len(PEAKS)} ({verb})", f"{peak:.1f} MiB", "-",
        f"{peak:.1f} MiB", "< 96 MiB", peak < 96)


def many_images(path, count):
    """A docker-archive of that many images on one layer."""
    def add(tar, name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        add(tar, "n", b"x\n")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    listed = []
    with tarfile.open(path, "w") as tar:
        add(tar, f"{digest}.tar", layer.getvalue())
        for n in range(count):
            config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh", str(n)]},
                                 "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}).encode()
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            add(tar, name, config)
            listed.append({"Config": name, "RepoTags": [f"list/image{n}:v{n}"], "Layers": [f"{digest}.tar"]})
        add(tar, "manifest.json", json.dumps(listed).encode())


def section_list():
    count = 500 // SCALE
    archive = f"{BASE}/many.archive"
    many_images(archive, count)
    empty_stores("")
    run([*RL, "load", "-q", "-i", archive])
    os.unlink(archive)
    listed = len(run([*RL, "images", "-q"]).stdout.split())
    if listed < count:
        sys.exit(f"images: {listed} images where {count} were loaded")
    took = [seconds([*RL, "images"]) * 1000 for _ in range(30)]
    bare = statistics.median(seconds(["true"]) * 1000 for _ in range(30))
    value = statistics.median(took) - bare
    row(f"images, {count} of them, beyond the start of a program", f"{value:.1f} ms", f"{bare:.1f} ms", f"{value:.1f} ms",
        "< 15 ms", value < 15)


SECTIONS = {"pull": section_pull, "layers": section_layers, "push": section_push, "save": section_save,
            "memory": section_memory, "list": section_list}


def main():
    os.mkdir(BASE)
    os.mkdir(f"{BASE}/tmp")
    if USER:
        for d in (BASE, f"{BASE}/tmp"):
            shutil.chown(d, USER, USER)
    start_registry()
    try:
        for name in sys.argv[1:] or list(SECTIONS):
            began = time.monotonic()
            SECTIONS[name]()
            say(f"{name} took {time.monotonic() - began:.0f} s")
            for f in os.listdir(BASE):
                if ".tar" in f:
                    os.unlink(f"{BASE}/{f}")
    finally:
        p = REGISTRIES[-1]
        stop_registry()
        p.wait()
        empty_stores("")
        shutil.rmtree(BASE, ignore_errors=True)


if __name__ == "__main__":
    main()
