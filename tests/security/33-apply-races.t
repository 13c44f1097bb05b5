#!/bin/bash
# deadline: 300
# Somebody renames directories of this machine while `rl apply` writes into them: nothing is written to where a symlink leads.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
export HOME=$T/home
mkdir -p "$HOME" w/a/b victim/b && cd w || exit 1
echo safe >../victim/b/f; echo safe >../victim/f; echo 1 >a/b/f; echo 1 >a/f; echo 1 >a/gone
rl run --network none host sh -c 'echo 2 >a/b/f; echo 2 >a/f; rm a/gone; mkdir a/new; echo 2 >a/new/x'
cat >swap.py <<'P'
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.symlink("../victim", "link-a"); os.symlink("../../victim/b", "link-b")
def swap_below():
    # Never through a symlink: it would be this program that moves the victim.
    try: a = os.open("a", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError: return
    for _ in range(2): libc.renameat2(a, b"b", -100, b"link-b", 2)
    os.close(a)
print("ready", flush=True)
while os.getppid() == int(sys.argv[1]):
    for _ in range(2): libc.renameat2(-100, b"a", -100, b"link-a", 2)
    swap_below()
P
python3 swap.py $$ >ready & swapper=$!
on_finish "kill $swapper 2>/dev/null"
wait_for "the swapper" 20 grep -q ready ready
applied=0 refused=0
for ((i = 0; i < 150; i++)); do
	if timeout 30 rl apply -q --force 2>/dev/null; then applied=$((applied + 1)); else refused=$((refused + 1)); fi
done
kill $swapper; wait $swapper 2>/dev/null
is "what lies where the symlinks lead is as it was" "$(cat ../victim/b/f ../victim/f; ls ../victim ../victim/b)" "safe
safe
../victim:
b
f

../victim/b:
f"
[ $((applied + refused)) = 150 ] && [ "$applied" -gt 0 ]
is "while $applied of 150 went through" $? 0
is "nothing of ours is left" "$(find . ../victim -name '.rl-apply*')" ""
done_testing
