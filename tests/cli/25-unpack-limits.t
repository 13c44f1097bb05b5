#!/bin/bash
# Archives that are too much: endless, bombs, a million markers, huge files, a full file system. Each ends soon, within
# its memory, with one clear line.
# deadline: 400
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

maxrss() { sed -n 's/^maxrss_kib=//p' <<<"$1"; }
clean() { archive-tool remove "$T/u"; rm -f "$T/u.idx"; }

must_fail "an endless stream of zeros" --stderr 'goes on for more than' bash -c "archive-tool unpack - '$T/u' </dev/zero"
clean
must_fail "an endless gzip" --stderr 'goes on for more than' bash -c "gzip -c /dev/zero 2>/dev/null | archive-tool unpack - '$T/u'"
clean
must_fail "an endless zstd" --stderr 'goes on for more than' bash -c "head -c 1G /dev/zero | zstd -cq | archive-tool unpack - '$T/u'"
clean
must_fail "an endless file of nonsense" --stderr 'archive' bash -c "yes | archive-tool unpack - '$T/u'"
clean

# tar of one file of SIZE zeros, without having the file
zeros_tar() { perl -e '
	my $size = shift;
	my $h = pack("a100 a8 a8 a8 a12 a12 A8 a1 a100 a8", "zeros", "0000644", "0000000", "0000000", sprintf("%011o", $size), "00000000000", "", "0", "",
		"ustar\0" . "00");
	$h .= "\0" x (512 - length $h);
	substr($h, 148, 8) = sprintf("%06o\0 ", unpack("%32C*", $h));
	print $h;
	my $block = "\0" x 1048576;
	for (my $left = $size; $left > 0; $left -= 1048576) { print $block }
	print "\0" x 1024;' "$1"; }

must_fail "a bomb of 400 MiB in a few kilobytes" --stderr 'more than 1000 times' \
	bash -c "$(declare -f zeros_tar); zeros_tar 419430400 | zstd -19 -cq | archive-tool unpack -r 1000 - '$T/u'"
clean
must_fail "more than --max-unpacked-size" --stderr 'more than 10000000 bytes' \
	bash -c "$(declare -f zeros_tar); zeros_tar 20971520 | archive-tool unpack -m 10000000 - '$T/u'"
clean

# --- a million opaque markers, a hundred thousand files in one directory ----------------------------------------------
perl -e '
	sub header { my ($name, $type) = @_;
		my $h = pack("a100 a8 a8 a8 a12 a12 A8 a1 a100 a8", $name, "0000755", "0000000", "0000000", "00000000000", "00000000000", "", $type, "", "ustar\0" . "00");
		$h .= "\0" x (512 - length $h);
		substr($h, 148, 8) = sprintf("%06o\0 ", unpack("%32C*", $h));
		return $h }
	print header("./", 5), header("d/", 5);
	my $marker = header("d/.wh..wh..opq", 0) x 1000;
	print $marker for 1 .. 1000;
	print header("d/f$_", 0) for 1 .. 20000;
	print "\0" x 1024' | gzip -1 >"$T/markers.gz"
start=$SECONDS
out=$(archive-tool unpack "$T/markers.gz" "$T/u")
is "a million opaque markers are a million entries" "$(sed -n 's/^entries=//p' <<<"$out")" 1020002
ok "and take seconds, not hours" [ $((SECONDS - start)) -lt 60 ]
if [ "${RL_TEST_FLAVOUR:-}" != asan ]; then
	ok "and less than 64 MiB ($(maxrss "$out") KiB)" [ "$(maxrss "$out")" -lt 65536 ]
fi
clean

# Directories that no entry names, and as many that are named after their children.
perl -e '
	sub header { my ($name, $type) = @_;
		my $h = pack("a100 a8 a8 a8 a12 a12 A8 a1 a100 a8", $name, "0000755", "0000000", "0000000", "00000000000", "00000000000", "", $type, "", "ustar\0" . "00");
		$h .= "\0" x (512 - length $h);
		substr($h, 148, 8) = sprintf("%06o\0 ", unpack("%32C*", $h));
		return $h }
	print header("dir$_/sub/f", 0) for 1 .. 20000;
	print header("dir$_/sub", 5), header("dir$_", 5) for 1 .. 20000;
	print "\0" x 1024' >"$T/many.tar"
out=$(archive-tool unpack "$T/many.tar" "$T/u")
like "parents that come last are no reason to need other layers" "$out" 'needs_lower=0'
if [ "${RL_TEST_FLAVOUR:-}" != asan ]; then
	ok "and forty thousand directories fit into 64 MiB ($(maxrss "$out") KiB)" [ "$(maxrss "$out")" -lt 65536 ]
fi
clean

out=$(zeros_tar 268435456 | gzip -1 | archive-tool unpack -t "$T/tee" - "$T/u")
is "a file of 256 MiB" "$(sed -n 's/^unpacked=//p' <<<"$out")" 268435456
if [ "${RL_TEST_FLAVOUR:-}" != asan ]; then
	ok "takes less than 64 MiB of memory ($(maxrss "$out") KiB)" [ "$(maxrss "$out")" -lt 65536 ]
fi
is "and the copy is the blob" "sha256:$(sha256sum <"$T/tee" | cut -d' ' -f1)" "$(sed -n 's/^blob=//p' <<<"$out")"
clean

# --- a full file system ----------------------------------------------------------------------------------------------
if unshare -rm true 2>/dev/null; then
	cat >"$T/full.sh" <<-EOF
		$(declare -f zeros_tar)
		mount -t tmpfs -o size=20m,nr_inodes=400 none '$T/small' || exit 99
		cd '$T/small' || exit 99
		case \$1 in
		bytes) zeros_tar 41943040 | archive-tool unpack - u ;;
		inodes) archive-tool unpack '$T/markers.gz' u ;;
		esac
		echo "status \$?"
		archive-tool remove u
		rm -f u.idx
		ls
	EOF
	mkdir "$T/small"
	like "no space: says so, with figures and what to do" "$(unshare -rm bash "$T/full.sh" bytes 2>&1)" \
		'no space left in the store after [0-9]+ MiB.*rl system df.*status 125$'
	like "no inodes: says so" "$(unshare -rm bash "$T/full.sh" inodes 2>&1)" 'no inodes.*status 125$'
else
	skip "no user namespaces here" "a full file system"
fi
done_testing
