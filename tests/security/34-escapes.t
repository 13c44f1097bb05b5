#!/bin/bash
# Ways out that people teach, tried from inside with real programs: as root of a default container, and with what
# `--cap-add SYS_ADMIN` and no filter add to that.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
have python3 || skip_all "python3 is not installed"
[ -x /usr/bin/python3 ] || skip_all "no python3 in /usr/bin"
echo host-secret >secret && chmod 600 secret
lend=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$T/escape.py:/escape.py:ro")
cat >escape.py <<'P'
import ctypes, errno, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
secret = sys.argv[2] if len(sys.argv) > 2 else ""
def call(r):
    return "ok" if r >= 0 else errno.errorcode[ctypes.get_errno()]
def found():
    """Is a file of the host in sight, by any number of steps up or by its own name?"""
    for base in ("", *("../" * n for n in range(1, 30))):
        for name in (secret, base + secret.lstrip("/")):
            try:
                if "host-secret" in open(name).read():
                    return True
            except OSError:
                pass
    return False
def chroot_escape():
    """A root below the working directory leaves the process outside of its own root: up until nothing changes."""
    os.makedirs("/tmp/jail", exist_ok=True)
    fd = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/jail")
    os.fchdir(fd)
    for _ in range(1000):
        os.chdir("..")
    os.chroot(".")
    print("host" if found() else "inside")
def mount(src, dst, kind, flags=0, data=None):
    enc = lambda s: s.encode() if s else None
    return call(libc.mount(enc(src), dst.encode(), enc(kind), flags, enc(data)))
def writable(top):
    for d, dirs, files in os.walk(top):
        for name in files:
            try:
                os.close(os.open(os.path.join(d, name), os.O_WRONLY))
                return True
            except OSError:
                pass
    return False
def mounts():
    os.makedirs("/tmp/m", exist_ok=True)
    said = {}
    for kind in ("cgroup", "ext4", "debugfs", "tracefs", "securityfs", "bpf", "configfs", "pstore", "efivarfs"):
        said[kind] = mount(kind, "/tmp/m", kind, 0, "memory" if kind == "cgroup" else None)
        # A cgroup hierarchy may be looked at from a cgroup namespace; what counts is that nothing in it can be written.
        if kind == "cgroup" and said[kind] == "ok" and not writable("/tmp/m"):
            said[kind] = "read-only"
    for dev in ("8:0", "254:0", "1:1", "10:200"):
        major, minor = map(int, dev.split(":"))
        try:
            os.mknod("/tmp/dev" + dev, 0o60600 if major != 10 else 0o20600, os.makedev(major, minor))
            os.close(os.open("/tmp/dev" + dev, os.O_RDWR))
            said["device " + dev] = "ok"
        except OSError as e:
            said["device " + dev] = errno.errorcode[e.errno]
    print(" ".join(k for k, v in said.items() if v == "ok"))
def writes():
    """Files of the kernel that are everybody's."""
    libc.mount(None, b"/proc/sys", None, 32 | 4096, None)  # MS_REMOUNT | MS_BIND: read-write
    libc.mount(None, b"/sys", None, 32 | 4096, None)
    os.makedirs("/tmp/p", exist_ok=True)
    libc.mount(b"proc", b"/tmp/p", b"proc", 0, None)
    opened = []
    for top in ("/proc", "/tmp/p"):
        for name in ("sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/kernel/sysrq", "sysrq-trigger", "sys/vm/drop_caches",
                     "sys/kernel/hotplug", "sys/fs/binfmt_misc/register", "kcore", "kmsg", "sys/kernel/panic"):
            try:
                os.close(os.open(os.path.join(top, name), os.O_WRONLY))
                opened.append(name)
            except OSError:
                pass
    for name in ("/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/ksm/run"):
        try:
            os.close(os.open(name, os.O_WRONLY))
            opened.append(name)
        except OSError:
            pass
    print(" ".join(opened))
def processes():
    """Those of outside: seen, traced, signalled, read."""
    own = os.readlink("/proc/self/ns/pid")
    foreign = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink("/proc/%s/ns/pid" % pid) != own:
                foreign.append(pid)
        except OSError:
            foreign.append(pid)
    print(" ".join(foreign))
def namespaces():
    """setns to what is not ours: there is no descriptor of it, so only what /proc shows."""
    reached = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for kind in ("mnt", "net", "pid", "user", "uts", "ipc", "cgroup"):
            path = "/proc/%s/ns/%s" % (pid, kind)
            try:
                if os.readlink(path) == os.readlink("/proc/self/ns/" + kind):
                    continue
                if libc.setns(os.open(path, os.O_RDONLY), 0) == 0:
                    reached.append(path)
            except OSError:
                pass
    print(" ".join(reached))
def handles():
    """open_by_handle_at with a guessed inode: shocker."""
    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 8)]
    fd = os.open("/", os.O_RDONLY)
    said = set()
    for inode in (2, 1, 128):
        h = Handle(8, 1, (ctypes.c_ubyte * 8)(*inode.to_bytes(4, "little"), 0, 0, 0, 0))
        said.add(call(libc.open_by_handle_at(fd, ctypes.byref(h), os.O_RDONLY)))
    print("ok" if "ok" in said else "refused")
def modules():
    said = [call(libc.syscall(n, *a)) for n, a in ((175, (0, 0, b"")), (313, (0, b"", 0)), (176, (b"loop", 0)), (246, (0, 0, 0, 0)),
                                                   (320, (0, 0, 0, b"", 0)), (169, (0xfee1dead, 672274793, 0, 0)), (167, (b"/x", 0)), (163, (0,)))]
    print("ok" if "ok" in said else "refused")
globals()[sys.argv[1]]()
P
inside() { # OPTIONS -- WHAT [ARGUMENT]
	local options=()
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	rl run --rm --network none "${options[@]}" "${lend[@]}" busybox /usr/bin/python3 /escape.py "$@" 2>&1
}
strong=(--cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH --cap-add SYS_MODULE --security-opt seccomp=unconfined)

is "a second chroot and a thousand steps up end in the container's own root" "$(inside -- chroot_escape "$T/secret")" inside
is "with SYS_ADMIN and no filter too" "$(inside "${strong[@]}" -- chroot_escape "$T/secret")" inside
is "no file system with the machine's own state can be mounted and written, no device be opened" "$(inside -- mounts)" ""
is "CVE-2022-0492: with SYS_ADMIN and no filter neither, cgroup v1 among them" "$(inside "${strong[@]}" -- mounts)" ""
is "no file that steers the kernel can be opened for writing" "$(inside -- writes)" ""
is "nor with SYS_ADMIN and no filter, after remounts and on a procfs of its own" "$(inside "${strong[@]}" -- writes)" ""
is "no process of outside is in sight" "$(inside "${strong[@]}" -- processes)" ""
is "no namespace of outside can be entered" "$(inside "${strong[@]}" -- namespaces)" ""
is "a guessed file handle opens nothing of the disk" "$(inside "${strong[@]}" -- handles)" refused
is "modules, kexec, reboot, swap and accounting are refused" "$(inside "${strong[@]}" -- modules)" refused
is "--privileged gives all of this to the user's namespace only" \
	"$(inside --privileged -- chroot_escape "$T/secret") $(inside --privileged -- modules) $(inside --privileged -- namespaces)" "inside refused "
leftovers "nothing is left running or mounted"
done_testing
