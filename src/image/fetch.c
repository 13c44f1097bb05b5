/*
 * fetch.c - `rl-image fetch` (a file from an address, for ADD) and `rl-image unpack-tar` (a tar into a directory, by the
 * confined unpacker); see image_int.h.
 *
 * What is fetched is written to a file that rl made and named.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

int image_download(struct image_ctx *c, struct registry_download *d, struct err *e)
{
	struct registry *reg = NULL;
	int r = registry_open(&c->registry, &reg, e);
	if (r >= 0)
		r = registry_download(reg, d, e);
	registry_close(reg);
	return r;
}

int fetch_verb(struct image_ctx *c, struct err *e)
{
	autofd int fd = open(c->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, errno, "create %s", c->output);
	struct registry_download d = {.url = c->args.items[0], .fd = fd};
	int r = image_download(c, &d, e);
	if (r < 0) {
		autofree char *shown = path_shown(d.url);
		return err_ctx(e, "fetch %s", shown);
	}
	/* As with docker: the file is as old as the server says, else as old as can be, so that it is the same each time. */
	const time_t seconds = d.modified < 0 ? 0 : (time_t)d.modified;
	const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
	return futimens(fd, times) < 0 ? err_sys(e, errno, "set the time") : 0;
}

int unpack_tar_verb(struct image_ctx *c, struct err *e)
{
	const char *from = c->args.items[0];
	autofd int blob = str_eq(from, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					    : open(from, O_RDONLY | O_CLOEXEC);
	if (blob < 0)
		return err_sys(e, errno, "open %s", from);
	autofd int target = open(c->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return err_sys(e, errno, "open %s", c->output);
	/* Nothing lies below: members without their directories, and links to what is not there, are settled here. */
	autofree char *empty = xasprintf("%s.empty", c->output);
	if (mkdir(empty, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s", empty);
	autofd int nothing = open(empty, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofree char *side = xasprintf("%s.sidecar", c->output);
	autofd int sidecar = open(side, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (nothing < 0 || sidecar < 0)
		return err_sys(e, errno, "open %s", nothing < 0 ? empty : side);
	struct archive_unpacked result;
	return archive_unpack(&(struct archive_unpack){.program = c->program,
						       .map = &c->map,
						       .blobfd = blob,
						       .targetfd = target,
						       .sidecarfd = sidecar,
						       .lowerfds = &nothing,
						       .nlower = 1,
						       .no_sync = true},
			      &result, e);
}
