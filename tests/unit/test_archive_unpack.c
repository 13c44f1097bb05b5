/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_role_test.h"
#include "archive_tar.h"
#include "rl/base/digest.h"

enum { STUCK_AT = 1700 }; /* in the middle of a file */

struct fixture {
	char *top;
	struct idmap map;
	struct str tar;
};

static int unpack(struct fixture *f, const struct str *blob, const char *name, int teefd, struct archive_unpacked *ret,
		  struct err *e)
{
	autofd int blobfd = role_test_blob(blob);
	autofd int target = role_test_dir(f->top, name);
	return archive_unpack(&(struct archive_unpack){.program = ROLE_PROGRAM,
						       .map = &f->map,
						       .blobfd = blobfd,
						       .teefd = teefd,
						       .targetfd = target,
						       .no_sync = true},
			      ret, e);
}

static void test_result(struct fixture *f)
{
	struct err e = ERR_INIT;
	struct archive_unpacked u = {.entries = 0};
	char digest[ARCHIVE_DIGEST_SIZE];
	autofd int tee = memfd_create("tee", MFD_CLOEXEC);
	tap_is_int(unpack(f, &f->tar, "one", tee, &u, &e), 0, "a layer is unpacked");
	digest_of(f->tar.buf, f->tar.len, digest);
	tap_is_str(u.diffid, digest, "its DiffID is the digest of the tar");
	tap_is_str(u.blob_digest, digest, "and that of a plain blob");
	tap_ok(u.tar_size == f->tar.len && u.blob_size == f->tar.len && u.entries == 3 && u.unpacked_size == 5 &&
		       u.has_root && !u.needs_lower && u.max_uid == 0 && u.compression == ARCHIVE_PLAIN,
	       "sizes and counts are right");
	autostr struct str copy = STR_INIT;
	lseek(tee, 0, SEEK_SET);
	tap_ok(io_read_rest(tee, 1 << 20, "tee", &copy, &e) == 0 && copy.len == f->tar.len &&
		       memcmp(copy.buf, f->tar.buf, copy.len) == 0,
	       "the copy is the blob");
	autofree char *path = xasprintf("%s/one/d/f", f->top);
	struct stat st;
	tap_ok(stat(path, &st) == 0 && st.st_size == 5 && st.st_uid == geteuid() && st.st_mtim.tv_sec == 1000000000,
	       "the file is there");
}

static void test_failures(struct fixture *f)
{
	struct archive_unpacked u = {.entries = 77};
	autostr struct str bad = STR_INIT;
	str_adds(&bad, "this is not a tar archive, whatever else it may be");
	unsigned before = role_test_fds();
	bool same = true;
	for (int i = 0; i < 50; i++) {
		struct err e = ERR_INIT;
		same &= unpack(f, &bad, "bad", 0, &u, &e) == -EBADMSG && e.text[0];
	}
	tap_ok(same && u.entries == 77, "fifty malformed layers are fifty errors");
	tap_is_int(role_test_fds(), before, "and leave no descriptor open");

	struct err e = ERR_INIT;
	autofd int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	tap_is_int(unpack(f, &f->tar, "full", full, &u, &e), -ENOSPC, "a copy that cannot be written is an error");
	tap_has(e.hint, "rl system df", "that says what takes the space");
	err_clear(&e);
	autofd int target = role_test_dir(f->top, "none");
	autofd int blobfd = role_test_blob(&f->tar);
	int r = archive_unpack(
		&(struct archive_unpack){
			.program = "/nonexistent/program", .map = &f->map, .blobfd = blobfd, .targetfd = target},
		&u, &e);
	tap_is_int(r, -ENOENT, "so is a program that is not there");
	err_clear(&e);
	r = archive_unpack(
		&(struct archive_unpack){.program = "/bin/true", .map = &f->map, .blobfd = blobfd, .targetfd = target},
		&u, &e);
	tap_ok(r < 0 && e.text[0], "or one that says nothing");
	err_clear(&e);
	r = archive_unpack(
		&(struct archive_unpack){.program = "/bin/false", .map = &f->map, .blobfd = blobfd, .targetfd = target},
		&u, &e);
	tap_ok(r == -ECHILD && strstr(e.text, "status 1"), "its status is named");
}

static void test_killed(struct fixture *f)
{
	struct err e = ERR_INIT;
	struct archive_unpacked u = {.entries = 0};
	struct archive_job job = ARCHIVE_JOB_NONE;
	int writer;
	role_test_stuck(&f->map, f->top, "killed", &f->tar, STUCK_AT, &job, &writer);
	kill(job.child.pid, SIGKILL);
	tap_ok(archive_unpack_finish(&job, &u, &e) == -ECHILD && strstr(e.text, "signal 9"),
	       "a killed unpacker is an error");
	close(writer);
	role_test_stuck(&f->map, f->top, "cancelled", &f->tar, STUCK_AT, &job, &writer);
	archive_job_cancel(&job);
	tap_ok(job.sock < 0 && job.child.pid < 0, "a job can be cancelled");
	archive_job_cancel(&job);
	close(writer);
	role_test_stuck(&f->map, f->top, "cut", &f->tar, STUCK_AT, &job, &writer);
	close(writer);
	err_clear(&e);
	tap_is_int(archive_unpack_finish(&job, &u, &e), -EBADMSG, "a pipe that ends early is a malformed layer");
	struct archive_job jobs[3] = {ARCHIVE_JOB_NONE, ARCHIVE_JOB_NONE, ARCHIVE_JOB_NONE};
	int writers[3];
	char name[] = "side0";
	for (int i = 0; i < 3; i++, name[4]++)
		role_test_stuck(&f->map, f->top, name, &f->tar, STUCK_AT, &jobs[i], &writers[i]);
	bool ok = true;
	for (int i = 2; i >= 0; i--) {
		ok &= write(writers[i], f->tar.buf + STUCK_AT, f->tar.len - STUCK_AT) == (ssize_t)f->tar.len - STUCK_AT;
		close(writers[i]);
	}
	for (int i = 0; i < 3; i++)
		ok &= archive_unpack_finish(&jobs[i], &u, &e) == 0 && u.entries == 3;
	tap_ok(ok, "several jobs run side by side");
}

int main(int argc, char **argv)
{
	if (role_test_main(argc, argv))
		return 125;
	tap_plan_later();
	struct err e = ERR_INIT;
	struct fixture f = {.top = tap_tmpdir(), .tar = STR_INIT};
	if (idmap_detect(true, &f.map, &e) < 0)
		return 1;
	tar_add(&f.tar, &(struct tar_item){.name = "./", .type = '5', .mode = 0755});
	tar_add(&f.tar, &(struct tar_item){.name = "d/", .type = '5', .mode = 0755});
	tar_add(&f.tar, &(struct tar_item){.name = "d/f", .data = "hello"});
	tar_end(&f.tar);
	test_result(&f);
	test_failures(&f);
	test_killed(&f);
	tap_is_int(io_remove_tree(AT_FDCWD, f.top, &e), 0, "cleaned up");
	str_free(&f.tar);
	free(f.top);
	return tap_done();
}
