/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/* Trees as tar and back. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive_tar.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/tree_wire.h"
#include "rl/engine/archive.h"
#include "tap.h"

static int tree(void)
{
	struct err e = ERR_INIT;
	struct tree_out o;
	int fd = memfd_create("tree", MFD_CLOEXEC);
	const struct tree_node dir = {.mode = S_IFDIR | 0755, .path = "", .mtime = 100};
	const struct tree_node file = {.mode = S_IFREG | 04755,
				       .uid = 3000000,
				       .gid = 7,
				       .size = 5,
				       .path = "n\xc3\xb6/\xff",
				       .mtime = 5,
				       .mtime_ns = 6};
	const struct tree_node grown = {.mode = S_IFREG | 0644, .size = 2, .path = "grown"};
	const struct tree_node shrunk = {.mode = S_IFREG | 0644, .size = 9, .path = "shrunk"};
	const struct tree_node hard = {.mode = S_IFREG | 0644, .hardlink = true, .path = "hard", .link = "grown"};
	tree_out_init(&o, fd);
	if (tree_out_node(&o, &dir, &e) < 0 || tree_out_node(&o, &file, &e) < 0 ||
	    tree_out_data(&o, "hello", 5, &e) < 0 || tree_out_file_end(&o, &e) < 0 ||
	    tree_out_node(&o, &grown, &e) < 0 || tree_out_data(&o, "more", 4, &e) < 0 ||
	    tree_out_file_end(&o, &e) < 0 || tree_out_node(&o, &shrunk, &e) < 0 ||
	    tree_out_data(&o, "less", 4, &e) < 0 || tree_out_file_end(&o, &e) < 0 || tree_out_node(&o, &hard, &e) < 0 ||
	    tree_out_end(&o, &e) < 0)
		exit(1);
	tree_out_free(&o);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Path, mode, ids, link and data of every node, as text. */
static void describe(int fd, struct str *out)
{
	struct tree_in in;
	struct tree_node n;
	struct err e = ERR_INIT;
	const void *data;
	uint64_t len;
	tree_in_init(&in, fd);
	while (tree_in_next(&in, &n, &e) > 0) {
		str_addf(out, "%s %o %u:%u %lld.%u %s%s", n.path, n.mode, n.uid, n.gid, (long long)n.mtime, n.mtime_ns,
			 n.hardlink ? "=" : "", n.link);
		while (tree_in_data(&in, &data, &len, &e) > 0)
			str_add(out, data ? data : "", data ? (size_t)len : 0);
		str_addc(out, '\n');
	}
	tree_in_free(&in);
}

static int convert(const struct str *tar, struct str *out, struct err *e)
{
	autofd int in = memfd_create("tar", MFD_CLOEXEC);
	autofd int to = memfd_create("tree", MFD_CLOEXEC);
	if (io_write_all(in, tar->buf, tar->len, e) < 0 || lseek(in, 0, SEEK_SET) < 0)
		exit(1);
	int r = archive_tar_to_tree(in, to, e);
	lseek(to, 0, SEEK_SET);
	describe(to, out);
	return r;
}

/* In a process of its own: after a failure the reading thread is left alone with what it uses. */
static bool is_refused(const struct str *tar)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct err e = ERR_INIT;
		struct str out = STR_INIT;
		_exit(convert(tar, &out, &e) == -EBADMSG ? 0 : 1);
	}
	int status;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
	tap_plan_later();
	struct err e = ERR_INIT;
	autofd int in = tree();
	autofd int tar = memfd_create("tar", MFD_CLOEXEC);
	autofd int back = memfd_create("back", MFD_CLOEXEC);
	autostr struct str got = STR_INIT;
	tap_is_int(archive_tree_to_tar(in, tar, "root", &e), 0, "a tree becomes a tar");
	lseek(tar, 0, SEEK_SET);
	tap_is_int(archive_tar_to_tree(tar, back, &e), 0, "and a tree again");
	lseek(back, 0, SEEK_SET);
	describe(back, &got);
	const char want[] = "root 40755 0:0 100.0 \n"
			    "root/n\xc3\xb6/\xff 104755 3000000:7 5.6 hello\n"
			    "root/grown 100644 0:0 0.0 mo\n"
			    "root/shrunk 100644 0:0 0.0 less";
	tap_ok(got.len > sizeof(want) && memcmp(got.buf, want, sizeof(want) - 1) == 0,
	       "with names, modes, ids, times; of a file that grew or shrank what the header said");
	static const char hard[] = "root/hard 100644 0:0 0.0 =root/grown\n";
	tap_ok(memmem(got.buf, got.len, hard, strlen(hard)) != NULL, "and hard links");
	autostr struct str odd = STR_INIT;
	autostr struct str out = STR_INIT;
	tar_add(&odd, &(struct tar_item){.name = "/abs//./f", .mode = 0644, .data = "x"});
	tar_end(&odd);
	tap_ok(convert(&odd, &out, &e) == 0 && str_after(out.buf, "abs/f 100644"), "paths become plain and relative");
	str_cut(&odd, 0);
	tar_add(&odd, &(struct tar_item){.name = "a/../../f", .mode = 0644, .data = "x"});
	tar_end(&odd);
	tap_ok(is_refused(&odd), "those with .. are refused");
	str_cut(&odd, 0);
	tar_add(&odd, &(struct tar_item){.name = "h", .type = '1', .mode = 0644, .link = "../f"});
	tar_end(&odd);
	tap_ok(is_refused(&odd), "and hard links with ..");
	str_cut(&odd, 0);
	str_adds(&odd, "this is not a tar archive, however long it is");
	tap_ok(is_refused(&odd), "so is what is no tar");
	str_cut(&odd, 0);
	tap_ok(is_refused(&odd), "and nothing at all");
	return tap_done();
}
