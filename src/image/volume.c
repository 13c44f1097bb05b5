/*
 * volume.c - the content of a volume as a tar archive, and back; see image_int.h.
 *
 * volume-export DIR      packs the directory to --output. The payload wrote it: control records in it count for nothing.
 * volume-import SRC DIR  unpacks into the empty directory, confined as for a layer; what to do with it there is rl's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

/* A file that is whole or not there: under another name until it is written. What is no regular file is written to. */
static int open_output(const char *path, char **ret_temp, struct err *e)
{
	struct stat st;
	char hex[9];
	if (str_eq(path, "-")) {
		if (isatty(STDOUT_FILENO))
			return err_hint((err_set(e, EINVAL, "the archive would be written to the terminal"), e),
					"-o FILE, or a pipe");
		int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return out < 0 ? err_sys(e, errno, "standard output") : out;
	}
	bool in_place = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
	io_random_hex(4, hex);
	autofree char *temp = in_place ? NULL : xasprintf("%s.%s", path, hex);
	int fd = open(temp ? temp : path, O_WRONLY | O_CLOEXEC | O_NOCTTY | (temp ? O_CREAT | O_EXCL : 0), 0666);
	if (fd < 0)
		return err_sys(e, errno, "create %s", path);
	*ret_temp = take_ptr(&temp);
	return fd;
}

int volume_export_verb(struct image_ctx *c, struct err *e)
{
	autofree char *temp = NULL;
	autofd int dir = open(c->args.items[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "open %s", c->args.items[0]);
	autofd int out = open_output(c->output, &temp, e);
	if (out < 0)
		return out;
	struct archive_packed packed;
	const struct archive_pack req = {
		.map = &c->map,
		.kind = ARCHIVE_PACK_MERGED,
		.trust = c->map.form == IDMAP_SINGLE ? ARCHIVE_TRUST_OWNERS : ARCHIVE_TRUST_LOWER,
		.dirfds = &dir,
		.ndirs = 1,
		.outfd = out,
		.compression = ARCHIVE_PLAIN,
		.no_diffid = true,
	};
	int r = archive_pack(&req, &packed, e);
	if (r == 0 && temp && rename(temp, c->output) < 0)
		r = err_sys(e, errno, "name %s", c->output);
	if (r < 0 && temp)
		unlink(temp);
	if (r == 0 && packed.skipped)
		image_note(c, "%llu sockets cannot be put into an archive", (unsigned long long)packed.skipped);
	return r;
}

int volume_import_verb(struct image_ctx *c, struct err *e)
{
	const char *source = c->args.items[0];
	autofd int blob = str_eq(source, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					      : open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (blob < 0)
		return err_sys(e, errno, "open %s", source);
	if (isatty(blob))
		return err_hint((err_set(e, EINVAL, "the archive would be read from the terminal"), e),
				"name a file, or pipe one in");
	autofd int dir = open(c->args.items[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "open %s", c->args.items[1]);
	/* Owners that this map cannot have, where no attribute takes them, are forgotten. */
	autofd int sidecar = io_memory_file("sidecar", e);
	if (sidecar < 0)
		return sidecar;
	struct archive_unpacked unpacked;
	const struct archive_unpack req = {
		.program = c->program,
		.map = &c->map,
		.blobfd = blob,
		.targetfd = dir,
		.sidecarfd = sidecar,
		.no_sync = true,
	};
	int r = archive_unpack(&req, &unpacked, e);
	if (r == 0 && unpacked.needs_lower)
		r = err_set(e, EBADMSG, "%s is a link to, or lies in, something that is not in the archive",
			    unpacked.missing);
	return r;
}
