#!/usr/bin/python3
"""Assemble the built-in image: an OCI layout with one image, busybox, made from a static busybox binary.

Usage: builtin_image.py BUSYBOX OUTDIR

The result depends on the bytes, the applet list and the time stamp of the binary only (SOURCE_DATE_EPOCH replaces the
last), so that two builds from one package are equal. OUTDIR is replaced as a whole.
"""
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time

NAME = "docker.io/library/busybox:latest"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "ppc64le": "ppc64le",
                 "s390x": "s390x", "riscv64": "riscv64"}
DIRECTORIES = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "mnt": 0o755, "opt": 0o755, "proc": 0o555,
               "root": 0o700, "run": 0o755, "sbin": 0o755, "srv": 0o755, "sys": 0o555, "tmp": 0o1777, "usr": 0o755,
               "usr/bin": 0o755, "usr/sbin": 0o755, "var": 0o755, "var/log": 0o755, "var/tmp": 0o1777}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
                  "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                  "bin:x:2:2:bin:/bin:/bin/false\n"
                  "www-data:x:33:33:www-data:/var/www:/bin/false\n"
                  "nobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\nwheel:x:10:\n"
                 "www-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n",
    "etc/shells": "/bin/sh\n/bin/ash\n",
    "etc/hostname": "",
    "etc/hosts": "",
    "etc/resolv.conf": "",
}


def applets(binary):
    """Paths of the symlinks, from the binary itself."""
    listed = subprocess.run([binary, "--list-full"], check=True, capture_output=True, text=True).stdout.split()
    paths = set()
    for path in listed:
        if path.split("/")[0] in ("bin", "sbin", "usr") and os.path.basename(path) != "busybox":
            paths.add(path)
    if "bin/sh" not in paths:
        sys.exit(f"{binary} has no shell in it")
    return sorted(paths)


def layer(binary, mtime):
    """The tar: parents before children, everything owned by root, one time stamp."""
    links = applets(binary)
    directories = dict(DIRECTORIES)
    for path in links:
        parent = os.path.dirname(path)
        while parent:
            directories.setdefault(parent, 0o755)
            parent = os.path.dirname(parent)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        def add(name, kind, mode, data=b"", target=""):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime, info.size, info.linkname = kind, mode, mtime, len(data), target
            info.uname = info.gname = ""
            tar.addfile(info, io.BytesIO(data))

        add("./", tarfile.DIRTYPE, 0o755)
        for name in sorted(directories):
            add(name + "/", tarfile.DIRTYPE, directories[name])
        with open(binary, "rb") as f:
            add("bin/busybox", tarfile.REGTYPE, 0o755, f.read())
        for path in links:
            up = "../" * path.count("/")
            target = "busybox" if os.path.dirname(path) == "bin" else up + "bin/busybox"
            add(path, tarfile.SYMTYPE, 0o777, target=target)
        for name in sorted(FILES):
            add(name, tarfile.REGTYPE, 0o644, FILES[name].encode())
    return out.getvalue()


def main():
    binary, outdir = sys.argv[1:]
    mtime = int(os.environ.get("SOURCE_DATE_EPOCH", os.stat(binary).st_mtime))
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(mtime))
    staging = outdir + ".new"
    shutil.rmtree(staging, ignore_errors=True)
    os.makedirs(staging + "/blobs/sha256")

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        with open(f"{staging}/blobs/sha256/{digest}", "wb") as f:
            f.write(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def document(value, media_type):
        return blob(json.dumps(value, separators=(",", ":")).encode(), media_type)

    tar = layer(binary, mtime)
    layer_descriptor = blob(gzip.compress(tar, 9, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
    config = document({
        "created": created,
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=" + PATH], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
        "history": [{"created": created, "created_by": "busybox-static and its applets", "comment": "built into rl"}],
    }, "application/vnd.oci.image.config.v1+json")
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = document({"schemaVersion": 2, "mediaType": manifest_type, "config": config,
                         "layers": [layer_descriptor]}, manifest_type)
    manifest["annotations"] = {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": NAME}
    with open(staging + "/oci-layout", "w", encoding="ascii") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}\n')
    with open(staging + "/index.json", "w", encoding="ascii") as f:
        json.dump({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                   "manifests": [manifest]}, f, separators=(",", ":"))
        f.write("\n")
    shutil.rmtree(outdir, ignore_errors=True)
    os.rename(staging, outdir)


if __name__ == "__main__":
    main()
