#!/bin/bash
# Layers that are not self-contained (decision 7): a tar that leaves out a parent directory, or links to a file of a
# layer below, gets what it lacks from the layers it lies on, and is not confused with the same tar elsewhere.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

cat >make.py <<'EOP'
import hashlib, io, json, sys, tarfile

def tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, mode, data, *link in members:
            i = tarfile.TarInfo(name)
            i.mode, i.mtime = mode, 1000000000
            if link:
                i.type, i.linkname = link[0], link[1]
                t.addfile(i)
            elif data is None:
                i.type = tarfile.DIRTYPE
                t.addfile(i)
            else:
                i.size = len(data)
                t.addfile(i, io.BytesIO(data))
    return out.getvalue()

busybox = open("/bin/busybox", "rb").read()
base = [("./", 0o755, None), ("bin/", 0o755, None), ("bin/busybox", 0o755, busybox)]
base += [("bin/" + a, 0o777, b"", tarfile.SYMTYPE, "busybox") for a in ("sh", "cat", "stat", "ls")]
open_tmp = tar(base + [("tmp/", 0o1777, None), ("lower", 0o640, b"of the base")])
closed_tmp = tar(base + [("tmp/", 0o700, None), ("lower", 0o600, b"of another base")])
orphan = tar([("tmp/file", 0o644, b"x")])
linker = tar([("linked", 0o644, b"", tarfile.LNKTYPE, "lower")])
images = {"open:1": [open_tmp, orphan], "closed:1": [closed_tmp, orphan], "bottom:1": [orphan, open_tmp],
          "linked:1": [open_tmp, orphan, linker], "twice:1": [open_tmp, orphan, orphan]}
manifest = []
with tarfile.open(sys.argv[1], "w") as t:
    def add(name, data):
        i = tarfile.TarInfo(name)
        i.size = len(data)
        t.addfile(i, io.BytesIO(data))
    for name, layers in images.items():
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Labels": {"n": name}},
                             "rootfs": {"type": "layers",
                                        "diff_ids": ["sha256:" + hashlib.sha256(x).hexdigest() for x in layers]}}).encode()
        files = []
        for x in layers:
            file = hashlib.sha256(x).hexdigest() + "/layer.tar"
            if file not in t.getnames():
                add(file, x)
            files.append(file)
        file = hashlib.sha256(config).hexdigest() + ".json"
        add(file, config)
        manifest.append({"Config": file, "RepoTags": [name], "Layers": files})
    add("manifest.json", json.dumps(manifest).encode())
EOP
python3 make.py images.tar
run() { rl run --rm --network none "$@"; }
mode() { run "$1" stat -c %a /tmp; }

ok "images with such layers are loaded" rl load -i images.tar
output_is "a directory that was left out has the mode of the layer below" 1777 mode open:1
output_is "which depends on what is below" 700 mode closed:1
output_is "the file of the layer is there" x run open:1 cat /tmp/file
output_is "as the bottom layer it has nothing below, and the directory comes from above" 1777 mode bottom:1
output_is "with its file" x run bottom:1 cat /tmp/file
output_is "a hard link to a file of a layer below has its content" "of the base" run linked:1 cat /linked
output_is "and its mode" 640 run linked:1 stat -c %a /linked
output_is "the same layer twice in one image is no trouble" x run twice:1 cat /tmp/file
is "the image's record knows each key" "$("$HELPERS/check-store" "$RL_ROOT")" ""
find "$RL_ROOT/layers" -mindepth 2 -maxdepth 2 | while read -r layer; do remove_tree "$layer"; done
output_is "unpacked again the result is the same" 700 mode closed:1
output_is "also on the other base" 1777 mode open:1
ok "one of the images is removed" rl rmi closed:1
output_is "the other stays as it was" 1777 mode open:1
ok "all are removed" rl rmi open:1 bottom:1 linked:1 twice:1
is "and their layers with them" "$("$HELPERS/check-store" --tidy "$RL_ROOT")" ""

# Such layers checked and mended: each is compared with what its tar is on the layers below it.
ok "the images are loaded again" rl load -i images.tar
ok "a check finds all of them sound" rl system check
n=0
for layer in "$RL_ROOT"/layers/*/*; do touch -d @1 "$layer/diff" && n=$((n + 1)); done
ok "every layer that lies on no other and is changed is found" [ "$(rl system check | grep -c '^broken: layer damaged')" -ge 3 ]
ok "and mended" rl system check --repair
ok "after which all is sound" rl system check
is "and as it was" "$(mode open:1) $(mode closed:1) $(mode twice:1)" "1777 700 1777"

# The base is damaged where a layer on it takes something from it: that one is sound, and stays so.
base=$(for l in "$RL_ROOT"/layers/*/*; do [ "$(stat -c %a "$l/diff/tmp" 2>/dev/null)" = 1777 ] && [ -e "$l/diff/lower" ] && echo "$l"; done | head -1)
chmod 700 "$base/diff/tmp"
is "a damaged base is the only damage" "$(rl system check | grep -c '^broken')" 1
ok "it is mended" rl system check --repair
is "and nothing of it has got into what lies on it" "$(mode open:1) $(mode twice:1)" "1777 1777"
ok "all is sound" rl system check

done_testing
