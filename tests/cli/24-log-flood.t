#!/bin/bash
# deadline: 300
# Logs under a flood: nothing is lost at full speed, rotation bounds the disk at every moment, and what is in the files is
# what other programs expect, line by line.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
log() { rl inspect -f '{{.LogPath}}' "$1"; }

# An independent reader: every line is checked against the format, and what each stream wrote is put together again.
cat >reader.py <<'END'
import json, re, sys
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
driver, path = sys.argv[1:]
out, last, partial = {"stdout": b"", "stderr": b""}, "", 0
for line in open(path, "rb"):
    assert line.endswith(b"\n"), "a line that does not end"
    if driver == "json-file":
        entry = json.loads(line.decode())  # UTF-8 or an exception
        assert set(entry) - {"b64"} == {"log", "stream", "time"}, entry
        text, stream, time = entry["log"].encode(), entry["stream"], entry["time"]
        whole = text.endswith(b"\n")
    else:
        time, stream, tag, text = line[:-1].split(b" ", 3)
        time, stream, whole = time.decode(), stream.decode(), tag == b"F"
        assert tag in (b"F", b"P"), tag
        text += b"\n" if whole else b""
    assert TIME.fullmatch(time) and time >= last, time
    assert len(text) <= 16384 and text.count(b"\n") <= 1, len(text)
    last = time
    partial += not whole
    out[stream] += text
sys.stdout.buffer.write(out["stdout"])
# How many it takes depends on what one read of the pipe gave; these are the least.
sys.stderr.buffer.write(out["stderr"] + b"enough: %d\n" % (partial >= 4))
END
# A line of 40,000 bytes, escapes, characters of several bytes, an empty line, and an end without a newline.
python3 - <<'END'
import sys
open("out", "w", newline="").write("x" * 40000 + "\n\n" + 'quote " backslash \\ tab \t bell \a del \x7f\n' + "\u20ac\u00fc\U0001f600 " * 300 + "\nshort\n" * 50 + "no end")
END
formats() {
	local how=$1 driver
	for driver in json-file k8s-file; do
		rl run -d $N --name f --log-driver $driver -v "$T/out:/o:ro" busybox sh -c 'cat /o; sleep 0.1; printf "err\nto" >&2; sleep 0.1; echo gether >&2' >/dev/null
		rl wait f >/dev/null
		python3 reader.py $driver "$(log f)" >read 2>read.err
		is "$how, $driver: another program reads every byte of standard output" "$(cmp out read && echo same)" same
		is "$how, $driver: and of standard error, with the lines that had no end marked so: two of the long one, the last, one here" \
			"$(cat read.err)" "err
together
enough: 1"
		is "$how, $driver: rl logs shows the same" "$(rl logs f 2>/dev/null | cmp - out && echo same)" same
		rl rm f >/dev/null
	done
}
formats subordinate
RL_IDMAP=single formats single

# --- lossless
yes "$(printf '%063d' 0)" | head -c 100000000 >text
for driver in json-file k8s-file; do
	twice=()
	[ $driver = json-file ] && twice=(/t)
	rl run -d $N --name big --log-driver $driver -v "$T/text:/t:ro" busybox cat /t "${twice[@]}" >/dev/null
	rl wait big >/dev/null
	is "$driver: $((100 + 100 * ${#twice[@]})) MB as fast as they can be written are all there, in their order" \
		"$(rl logs big | cmp - <(cat text ${twice:+text}) && echo same)" same
	rl rm big >/dev/null
done

# --- bounded: the sum of all files, looked at as often as possible while the container writes
cat >sampler.py <<'END'
import glob, os, subprocess, sys
path, name = sys.argv[1:]
most = looks = files = longest = 0
def size(p):
    try:
        return os.stat(p).st_size
    except FileNotFoundError:
        return 0
waiter = subprocess.Popen(["rl", "wait", name], stdout=subprocess.DEVNULL)
over = False
while not over:
    over = waiter.poll() is not None  # and one look after that
    sizes = [size(p) for p in glob.glob(glob.escape(path) + "*")]
    most, longest, files, looks = max(most, sum(sizes)), max([longest] + sizes), max(files, len(sizes)), looks + 1
print(most, longest, files, looks)
END
for driver in json-file k8s-file; do
	rl run -d $N --name flood --log-driver $driver --log-opt max-size=200k --log-opt max-file=3 -v "$T/text:/t:ro" busybox head -c 30000000 /t >/dev/null
	read -r most longest files looks < <(python3 sampler.py "$(log flood)" flood)
	diag "$driver: $most bytes in $files files at most, $longest in one, $looks looks"
	ok "$driver: while 30 MB were logged no file was ever above max-size" [ "$longest" -le 204800 ]
	ok "$driver: nor all together above max-size times max-file" [ "$most" -le $((3 * 204800)) ]
	ok "$driver: they are nearly that" [ "$most" -gt $((2 * 190000)) ]
	is "$driver: and at the end there are three" "$(ls "$(log flood)"* | wc -l)" 3
	rl rm flood >/dev/null
done
# An entry is never cut: one that is longer than max-size is a file by itself. 16 KiB of control characters and a byte that
# is no UTF-8 are the longest there is in JSON.
python3 -c 'import sys; sys.stdout.buffer.write((b"\x01" * 16383 + b"\xff") * 600)' >worst
rl run -d $N --name worst --log-opt max-size=4k --log-opt max-file=2 -v "$T/worst:/t:ro" busybox cat /t >/dev/null
read -r most longest files looks < <(python3 sampler.py "$(log worst)" worst)
diag "worst: $most bytes, $longest in one file, $looks looks"
ok "an entry that is longer than max-size is a file by itself, of 118 KiB at most" [ "$longest" -le 120832 ]
ok "and the files together are max-file such entries at most" [ "$most" -le $((2 * 120832)) ]
rl rm -fa >/dev/null
leftovers "no process or mount stays"
done_testing
