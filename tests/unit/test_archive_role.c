/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * What the confined program holds while it works, as far as its owner sees it from outside. What only root sees is in
 * root_archive_role.c.
 */
#include "archive_role_test.h"
#include "archive_tar.h"

static void look(pid_t pid)
{
	autofree char *seccomp = role_test_status(pid, "Seccomp");
	autofree char *nnp = role_test_status(pid, "NoNewPrivs");
	autofree char *eff = role_test_status(pid, "CapEff");
	autofree char *prm = role_test_status(pid, "CapPrm");
	autofree char *bnd = role_test_status(pid, "CapBnd");
	autofree char *inh = role_test_status(pid, "CapInh");
	tap_is_str(seccomp, "2", "a seccomp filter is on");
	tap_is_str(nnp, "1", "no_new_privs is on");
	/* CHOWN DAC_OVERRIDE FOWNER FSETID MKNOD SETFCAP */
	tap_is_str(eff, "000000008800001b", "six capabilities are effective");
	tap_is_str(prm, eff, "and no more are permitted");
	tap_is_str(bnd, "0000000000000000", "the bounding set is empty");
	tap_is_str(inh, "0000000000000000", "nothing is inheritable");
	autofree char *path = xasprintf("/proc/%d/root/etc/passwd", (int)pid);
	tap_ok(access(path, F_OK) < 0, "nothing of the host is reached through it");
}

int main(int argc, char **argv)
{
	if (role_test_main(argc, argv))
		return 125;
	tap_plan_later();
	struct err e = ERR_INIT;
	tap_is_int(archive_role_main(ARCHIVE_ROLE_UNPACK, &e), -EINVAL, "started by hand it does nothing");
	struct idmap map;
	if (idmap_detect(true, &map, &e) < 0)
		return 1;
	autostr struct str tar = STR_INIT;
	tar_add(&tar, &(struct tar_item){.name = "./", .type = '5', .mode = 0755});
	tar_end(&tar);
	autofree char *top = tap_tmpdir();
	struct archive_job job = ARCHIVE_JOB_NONE;
	int writer;
	role_test_stuck(&map, top, "target", &tar, 512, &job, &writer);
	role_test_wait_filter(job.child.pid);
	look(job.child.pid);
	bool wrote = write(writer, tar.buf + 512, tar.len - 512) > 0;
	close(writer);
	struct archive_unpacked u;
	tap_ok(wrote && archive_unpack_finish(&job, &u, &e) == 0, "and it comes to its end");
	tap_is_int(io_remove_tree(AT_FDCWD, top, &e), 0, "cleaned up");
	return tap_done();
}
