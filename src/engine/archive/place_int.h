/*
 * place_int.h - one entry of a layer after the other becomes a file.
 *
 * Model: struct place is the state of one layer being unpacked into rootfd; struct entry is an archive entry free of
 * the archive library's types. Names and ids are hostile; place decides everything about them: whiteouts, opaque
 * markers, replacing, ownership that cannot be had, missing parents.
 *
 * Calling sequence: place_init; for each entry place_entry (1: a regular file that wants data: place_data any number
 * of times, then place_file_end); place_finish.
 * Errors: -EBADMSG for what a layer may not contain.
 */
#ifndef RL_ENGINE_ARCHIVE_PLACE_INT_H
#define RL_ENGINE_ARCHIVE_PLACE_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "dirs_int.h"
#include "rl/base/str.h"
#include "rl/engine/archive.h"
#include "rl/kern/idmap.h"

enum entry_type { ENTRY_FILE, ENTRY_DIR, ENTRY_SYMLINK, ENTRY_HARDLINK, ENTRY_CHR, ENTRY_BLK, ENTRY_FIFO };

struct entry_xattr {
	const char *name;
	const void *value;
	size_t len;
};

struct entry {
	enum entry_type type;
	const char *path;   /* as in the archive */
	const char *target; /* symlinks and hard links */
	uint32_t mode;	    /* permission bits */
	uint32_t uid;
	uint32_t gid;
	uint32_t major;
	uint32_t minor;
	uint64_t size;
	struct timespec mtime;
	const struct entry_xattr *xattrs;
	size_t nxattrs;
};

/* Paths of directories that children needed before their own entry came. */
struct path_set {
	char **items;
	uint64_t *order;
	size_t size; /* power of two or 0 */
	size_t used; /* slots that are or were taken */
	size_t count;
	uint64_t next;
	bool overflow; /* too many to remember: at least one stays missing */
};

/* Directories whose modes are set when everything in them is made. */
struct late_modes {
	struct late_mode {
		char *path;
		dev_t dev;
		ino_t ino;
		mode_t mode;
	} * items;
	size_t count;
};

struct place {
	int rootfd;
	int sidecarfd;
	const struct idmap *map;
	const int *lowerfds;
	size_t nlower;
	bool plain; /* no user namespace: ids are the host's, and only openat2 keeps paths inside */
	bool weak;  /* no CAP_DAC_OVERRIDE: modes that would keep us out are set last (place_mode.c) */
	struct late_modes late;
	uint32_t base_uid; /* owner of what we make */
	uint32_t base_gid;
	struct dirs dirs;
	struct path_set missing;
	bool acl_default_seen; /* new files may inherit ACLs of their directory */
	bool at_records;       /* some directory holds records of its symlinks */
	struct archive_unpacked result;
	/* the regular file being written */
	int filefd;
	uint64_t file_end; /* highest byte written so far */
	uint64_t since_check;
	const struct entry *file_entry; /* the caller's, valid until place_file_end */
	char *file_path;
};

int place_init(struct place *p, int rootfd, struct err *e) RL_CHECK; /* the other inputs are set before */
int place_entry(struct place *p, const struct entry *en, struct err *e) RL_CHECK;
int place_data(struct place *p, uint64_t offset, const void *data, size_t len, struct err *e) RL_CHECK;
int place_file_end(struct place *p, struct err *e) RL_CHECK;
int place_finish(struct place *p, struct err *e) RL_CHECK;
/* Replace a bare -ENOSPC by what is full and what to do. */
int place_no_space(struct place *p, struct err *e);

/* "./a//b/" -> "a/b" ("" for the root) in ret[ARCHIVE_PATH_MAX + 1]. -EBADMSG: empty, "..", too long, too deep. */
int place_clean_path(const char *path, char *ret, struct err *e) RL_CHECK;

/* ---- within the engine ---- */

/* Record what `en` truly is. fd: the object itself, or -1 for a symlink: then the parent keeps it. `unset`: the xattrs
 * that could not be set, or NULL. */
int keep_record(struct place *p, const struct entry *en, int fd, struct dir *parent, const char *name,
		const struct str *unset, struct err *e) RL_CHECK;
/* The entry `name` was removed from parent: its records, if any, must not outlive it. */
int keep_forget(struct place *p, struct dir *parent, const char *name, struct err *e) RL_CHECK;
/* Set xattrs on fd; those refused are appended to `unset`. */
int keep_xattrs(struct place *p, const struct entry *en, int fd, struct str *unset, struct err *e) RL_CHECK;

/* The mode of something that is open, or what of it may be set already: of a directory, until late_modes_set; of a file,
 * until its xattrs are there (file_mode_last). */
int mode_set(struct place *p, int fd, mode_t mode, const char *path, struct err *e) RL_CHECK;
int file_mode_last(struct place *p, int fd, mode_t mode, const char *path, struct err *e) RL_CHECK;
int late_modes_set(struct place *p, struct err *e) RL_CHECK;

void path_set_add(struct path_set *s, const char *path);
void path_set_remove(struct path_set *s, const char *path);
const char *path_set_first(const struct path_set *s); /* the earliest, or NULL */
void path_set_free(struct path_set *s);

/* Layers below (place_lower.c). All 1 if found, 0 if not. canon: path without symlinks in the layer being made. */
int lower_make(struct place *p, struct dir *parent, const char *name, struct err *e) RL_CHECK; /* parent of something */
int lower_copy_file(struct place *p, struct dir *parent, const char *name, struct err *e) RL_CHECK; /* link target */
/* Hide everything the layers below have in this directory, one whiteout each: for opaque directories that an xattr
 * cannot mark. */
int lower_hide(struct place *p, struct dir *dir, struct err *e) RL_CHECK;

int place_set_opaque(struct place *p, struct dir *dir, struct err *e) RL_CHECK;

#endif
