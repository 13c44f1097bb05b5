/* The mount table as text, and questions about it. */
#include "rl/kern/mountinfo.h"

#include "rl/base/str.h"
#include "tap.h"

static const char table[] = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
			    "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n"
			    "28 27 0:25 /sub\\040dir /mnt/a\\040b\\134c\\011d ro - fuse.sshfs me@there:/ rw\n"
			    "29 27 0:26 / /mnt/x rw - tmpfs none rw\n"
			    "30 29 0:27 / /mnt/x rw - ramfs none rw\n"
			    "31 27 0:28 / /mntx rw - tmpfs none rw\n"
			    "broken\n"
			    "32 27 0:29 / relative rw - tmpfs none rw\n"
			    "33 27 0:29 / /no/dash rw tmpfs none rw\n"
			    "34 27 0:29 / /short rw - tmpfs none";

int main(void)
{
	struct mountinfo m;
	mountinfo_parse(table, &m);
	tap_ok(m.count == 6, "lines that are none are left out (%zu)", m.count);
	tap_ok(str_eq(m.items[2].point, "/mnt/a b\\c\td") && str_eq(m.items[2].root, "/sub dir"),
	       "blanks, tabs and backslashes");
	tap_ok(str_eq(m.items[2].type, "fuse.sshfs") && str_eq(m.items[1].options, "rw,discard"),
	       "type and options, whatever number of fields is before the dash");
	const struct mountinfo_entry *at = mountinfo_at(&m, "/mnt/x");
	tap_ok(at && str_eq(at->type, "ramfs"), "of two mounts on one place the uppermost");
	tap_ok(!mountinfo_at(&m, "/mnt"), "none where none is");
	tap_ok(mountinfo_has_below(&m, "/mnt") && mountinfo_has_below(&m, "/"), "mounts below a directory");
	tap_ok(!mountinfo_has_below(&m, "/mnt/x") && !mountinfo_has_below(&m, "/mn"), "not itself, not its neighbours");
	mountinfo_free(&m);
	mountinfo_parse("", &m);
	tap_ok(m.count == 0, "an empty table");
	mountinfo_free(&m);
	return tap_done();
}
