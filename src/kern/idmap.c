/*
 * idmap.c - choosing a map; see idmap.h for the four forms.
 *
 * Theory: a map that the kernel or newuidmap will refuse later costs the user an error after clone, so everything that
 * can be known before is looked at here, cheapest first: the subordinate ranges, what of them exists in our own user
 * namespace, and whether newuidmap can gain privileges where we are (setuid bit or file capabilities, mount without
 * nosuid, no_new_privs, bounding set). Whatever is lacking makes a single map with the reason in why_single.
 *
 * All arithmetic on ids is done in 64 bits: ranges may end at 2^32 - 1.
 */
#include "rl/kern/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "idmap_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/probe.h"

enum {
	KERNEL_EXTENTS_MAX = 340,		/* of one map */
	OWN_MAP_MAX = KERNEL_EXTENTS_MAX * 40,	/* bytes of /proc/self/uid_map */
	SUB_RANGES_MAX = IDMAP_EXTENTS_MAX - 2, /* the caller takes one, keep-id may split one */
};

#define IDS_ALL ((uint64_t)UINT32_MAX) /* ids 0 .. 2^32-2; 2^32-1 is none */

/* The ids that exist in our own user namespace: `inside` of each line of our map. Adjacent lines stay apart, because
 * the kernel refuses a line of a nested map that reaches over two lines of ours. */
struct own_ids {
	struct idmap_extent spans[KERNEL_EXTENTS_MAX];
	size_t n;
};

static int read_own_ids(const char *path, struct own_ids *ret, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = io_read_file(AT_FDCWD, path, OWN_MAP_MAX, &text, e);
	if (r < 0)
		return r;
	ret->n = 0;
	char *p = text.buf;
	while (ret->n < KERNEL_EXTENTS_MAX) {
		char *end;
		uint64_t inside = strtoull(p, &end, 10);
		if (end == p)
			break;
		strtoull(end, &p, 10); /* the outside is the parent's business */
		uint64_t count = strtoull(p, &p, 10);
		ret->spans[ret->n++] = (struct idmap_extent){.inside = (uint32_t)inside, .count = (uint32_t)count};
	}
	return 0;
}

/* Add outside ids [start, end) behind what is mapped already, without those parts that are in the map. */
static void append_disjoint(struct idmap_extent *ext, size_t *n, size_t max, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < *n; i++) {
		uint64_t other = ext[i].outside;
		uint64_t other_end = other + ext[i].count;
		if (start >= other_end || other >= end)
			continue;
		if (start < other)
			append_disjoint(ext, n, max, start, other);
		if (other_end < end)
			append_disjoint(ext, n, max, other_end, end);
		return;
	}
	uint64_t inside = *n ? (uint64_t)ext[*n - 1].inside + ext[*n - 1].count : 0;
	uint64_t count = RL_MIN(end - start, IDS_ALL - inside);
	if (*n >= max || count == 0)
		return;
	ext[(*n)++] = (struct idmap_extent){
		.inside = (uint32_t)inside, .outside = (uint32_t)start, .count = (uint32_t)count};
}

static void append_existing(struct idmap_extent *ext, size_t *n, const struct own_ids *own,
			    const struct idmap_extent *range)
{
	uint64_t start = range->outside;
	uint64_t end = start + range->count;
	for (size_t i = 0; i < own->n; i++) {
		uint64_t from = RL_MAX(start, (uint64_t)own->spans[i].inside);
		uint64_t to = RL_MIN(end, (uint64_t)own->spans[i].inside + own->spans[i].count);
		if (from < to)
			append_disjoint(ext, n, SUB_RANGES_MAX + 1, from, to);
	}
}

static uint64_t hash_extents(uint64_t h, const struct idmap_extent *ext, size_t n)
{
	/* FNV-1a over the numbers; a separator keeps uid and gid lists apart. */
	for (size_t i = 0; i <= n; i++) {
		uint64_t word = i < n ? ((uint64_t)ext[i].outside << 32 | ext[i].count) : UINT64_MAX;
		for (int byte = 0; byte < 8; byte++) {
			h ^= word >> (8 * byte) & 0xff;
			h *= 0x100000001b3;
		}
	}
	return h;
}

/* ext[0] is the caller and not part of the key: who calls is fixed by whose store it is. */
static void make_range_key(struct idmap *map, const char *prefix)
{
	const struct idmap_extent *u = map->uid + 1;
	const struct idmap_extent *g = map->gid + 1;
	if (map->nuid == 2 && map->ngid == 2) {
		snprintf(map->key, sizeof(map->key), "%s-%u-%u-%u-%u", prefix, u->outside, u->count, g->outside,
			 g->count);
		return;
	}
	uint64_t h = hash_extents(0xcbf29ce484222325, u, map->nuid - 1);
	h = hash_extents(h, g, map->ngid - 1);
	snprintf(map->key, sizeof(map->key), "%s-%016llx", prefix, (unsigned long long)h);
}

static void make_single(struct idmap *map, uint32_t uid, uint32_t gid)
{
	map->form = IDMAP_SINGLE;
	map->uid[0] = (struct idmap_extent){.inside = 0, .outside = uid, .count = 1};
	map->gid[0] = (struct idmap_extent){.inside = 0, .outside = gid, .count = 1};
	map->nuid = 1;
	map->ngid = 1;
	snprintf(map->key, sizeof(map->key), "single");
}

static bool has_setid_caps(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	const uint32_t need = 1u << CAP_SETUID | 1u << CAP_SETGID;
	return (data[0].effective & need) == need;
}

static void copy_identity(const struct own_ids *own, struct idmap_extent *ext, size_t *n)
{
	/* Past the limit the rest stays unmapped: nobody has been seen with more than 4. */
	*n = RL_MIN(own->n, (size_t)IDMAP_EXTENTS_MAX);
	for (size_t i = 0; i < *n; i++)
		ext[i] = (struct idmap_extent){
			.inside = own->spans[i].inside, .outside = own->spans[i].inside, .count = own->spans[i].count};
}

static int detect_root(struct idmap *map, uint32_t gid, struct err *e)
{
	if (!has_setid_caps()) {
		make_single(map, 0, gid);
		snprintf(map->why_single, sizeof(map->why_single), "root here lacks CAP_SETUID or CAP_SETGID");
		return 0;
	}
	struct own_ids own;
	int r = read_own_ids("/proc/self/uid_map", &own, e);
	if (r < 0)
		return r;
	copy_identity(&own, map->uid, &map->nuid);
	r = read_own_ids("/proc/self/gid_map", &own, e);
	if (r < 0)
		return r;
	copy_identity(&own, map->gid, &map->ngid);
	map->form = IDMAP_IDENTITY;
	snprintf(map->key, sizeof(map->key), "identity");
	if (map->nuid == 1 && map->uid[0].count == 1) {
		make_single(map, 0, gid);
		snprintf(map->why_single, sizeof(map->why_single), "only one id exists in this user namespace");
	}
	return 0;
}

/* Can the program gain what it needs where we are? False, with the reason. */
static bool helper_works(const char *name, char *why, size_t size)
{
	char path[PATH_MAX];
	struct stat st;
	struct statvfs fs;
	if (!idmap_find_helper(name, path, sizeof(path)) || stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
		snprintf(why, size, "%s is not installed (package uidmap)", name);
		return false;
	}
	bool setuid_root = (st.st_mode & S_ISUID) && st.st_uid == 0;
	if (!setuid_root && getxattr(path, "security.capability", NULL, 0) <= 0) {
		snprintf(why, size, "%.100s is not setuid root", path);
		return false;
	}
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID)) {
		snprintf(why, size, "%.100s is on a file system mounted nosuid", path);
		return false;
	}
	return true;
}

static bool privileges_can_be_gained(char *why, size_t size)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
		snprintf(why, size, "no_new_privs is set, so newuidmap cannot gain privileges");
		return false;
	}
	if (prctl(PR_CAPBSET_READ, CAP_SETUID) == 0 || prctl(PR_CAPBSET_READ, CAP_SETGID) == 0) {
		snprintf(why, size, "CAP_SETUID or CAP_SETGID is not in our bounding set");
		return false;
	}
	return helper_works("newuidmap", why, size) && helper_works("newgidmap", why, size);
}

struct user {
	char name[IDMAP_USER_NAME_SIZE];
	uint32_t uid;
	enum idmap_source source;
};

static bool find_ranges(const struct user *user, char kind, struct idmap_extent *ext, size_t *n, char *why, size_t size)
{
	struct idmap_extent ranges[SUB_RANGES_MAX];
	const char *where = kind == 'u' ? "/etc/subuid" : "/etc/subgid";
	if (user->source == IDMAP_SOURCE_LIBSUBID)
		where = "the subid source of /etc/nsswitch.conf";
	size_t nranges = idmap_find_subids(user->source, kind, user->name, user->uid, ranges, ARRAY_SIZE(ranges));
	if (nranges == 0) {
		snprintf(why, size, "user %.60s has no range in %s", user->name, where);
		return false;
	}
	struct own_ids own;
	if (read_own_ids(kind == 'u' ? "/proc/self/uid_map" : "/proc/self/gid_map", &own, NULL) < 0) {
		snprintf(why, size, "/proc/self/%cid_map cannot be read", kind);
		return false;
	}
	for (size_t i = 0; i < nranges; i++)
		append_existing(ext, n, &own, &ranges[i]);
	if (*n == 1) {
		snprintf(why, size, "the ids of user %.60s in %s do not exist in this user namespace", user->name,
			 where);
		return false;
	}
	return true;
}

static void detect_user(struct idmap *map, uint32_t uid, uint32_t gid)
{
	struct idmap ranged = {.form = IDMAP_RANGED, .nuid = 1, .ngid = 1};
	ranged.uid[0] = (struct idmap_extent){.inside = 0, .outside = uid, .count = 1};
	ranged.gid[0] = (struct idmap_extent){.inside = 0, .outside = gid, .count = 1};
	char *why = map->why_single;
	size_t size = sizeof(map->why_single);
	struct user user = {.uid = uid};

	make_single(map, uid, gid);
	if (!idmap_user_name(uid, user.name, sizeof(user.name))) {
		/* newuidmap refuses such callers, whatever the files say. */
		snprintf(why, size, "uid %u has no user name", uid);
		return;
	}
	user.source = idmap_subid_source();
	if (!find_ranges(&user, 'u', ranged.uid, &ranged.nuid, why, size) ||
	    !find_ranges(&user, 'g', ranged.gid, &ranged.ngid, why, size) || !privileges_can_be_gained(why, size))
		return;
	make_range_key(&ranged, "sub");
	*map = ranged;
}

int idmap_detect(bool force_single, struct idmap *ret_map, struct err *e)
{
	struct idmap map = {0};
	uint32_t uid = geteuid();
	uint32_t gid = getegid();
	const char *env = getenv("RL_IDMAP");
	bool env_single = env && str_eq(env, "single");
	if (env && *env && !env_single)
		return err_set(e, EINVAL, "RL_IDMAP=%s: the only value is \"single\"", env);
	if (force_single || env_single) {
		make_single(&map, uid, gid);
	} else if (uid == 0) {
		int r = detect_root(&map, gid, e);
		if (r < 0)
			return r;
	} else {
		detect_user(&map, uid, gid);
	}
	log_debug(LOG_IDMAP, "map %s%s%s", map.key, map.why_single[0] ? ": " : "", map.why_single);
	*ret_map = map;
	return 0;
}

/* The subordinate ids ext[1..n) from container id 0 upwards, without the one at `keep`, which becomes the caller. */
static int keep_one(const struct idmap_extent *ext, size_t n, uint32_t keep, const char *what, struct idmap_extent *out,
		    size_t *nout, struct err *e)
{
	uint64_t inside = 0;
	*nout = 0;
	out[(*nout)++] = (struct idmap_extent){.inside = keep, .outside = ext[0].outside, .count = 1};
	for (size_t i = 1; i < n; i++) {
		uint64_t end = inside + ext[i].count;
		uint64_t cut = keep >= inside && keep < end ? keep : end;
		if (cut > inside)
			out[(*nout)++] = (struct idmap_extent){.inside = (uint32_t)inside,
							       .outside = ext[i].outside,
							       .count = (uint32_t)(cut - inside)};
		if (cut + 1 < end)
			out[(*nout)++] = (struct idmap_extent){
				.inside = (uint32_t)(cut + 1),
				.outside = (uint32_t)(ext[i].outside + (cut + 1 - inside)),
				.count = (uint32_t)(end - cut - 1)};
		inside = end;
	}
	if (keep > inside || keep == IDMAP_UNMAPPED)
		return err_set(e, EINVAL, "%s %u cannot be yours in the container: there are %llu subordinate ids",
			       what, keep, (unsigned long long)inside);
	return 0;
}

int idmap_keepid(const struct idmap *from, uint32_t uid, uint32_t gid, struct idmap *ret_map, struct err *e)
{
	struct idmap map = *from;
	int r;
	switch (from->form) {
	case IDMAP_IDENTITY:
		if (uid || gid)
			return err_set(e, EINVAL, "keep-id with another id than 0 is for ordinary users, not for root");
		break;
	case IDMAP_SINGLE:
		if (uid == IDMAP_UNMAPPED || gid == IDMAP_UNMAPPED)
			return err_set(e, EINVAL, "%u is no user or group id", IDMAP_UNMAPPED);
		map.uid[0].inside = uid;
		map.gid[0].inside = gid;
		break;
	case IDMAP_RANGED:
		map.form = IDMAP_KEEPID;
		r = keep_one(from->uid, from->nuid, uid, "uid", map.uid, &map.nuid, e);
		if (r < 0)
			return r;
		r = keep_one(from->gid, from->ngid, gid, "gid", map.gid, &map.ngid, e);
		if (r < 0)
			return r;
		snprintf(map.key, sizeof(map.key), "keep%s", from->key + strlen("sub"));
		break;
	case IDMAP_KEEPID:
	default:
		return err_set(e, EINVAL, "keep-id twice");
	}
	*ret_map = map;
	return 0;
}

/* What is left of ext[0..n) without the caller, from container id 0 upwards. */
static size_t without_caller(const struct idmap_extent *ext, size_t n, struct idmap_extent *out)
{
	for (size_t i = 1; i < n; i++) {
		out[i - 1] = ext[i];
		out[i - 1].inside = i == 1 ? 0 : out[i - 2].inside + out[i - 2].count;
	}
	return n - 1;
}

int idmap_nomap(const struct idmap *from, struct idmap *ret_map, struct err *e)
{
	struct idmap map = *from;
	if (from->form != IDMAP_RANGED) {
		err_set(e, EINVAL, "a map without the caller needs subordinate ids");
		if (from->why_single[0])
			err_hint(e, "%s", from->why_single);
		return -EINVAL;
	}
	map.form = IDMAP_KEEPID;
	map.nuid = without_caller(from->uid, from->nuid, map.uid);
	map.ngid = without_caller(from->gid, from->ngid, map.gid);
	snprintf(map.key, sizeof(map.key), "keep%s", from->key + strlen("sub"));
	*ret_map = map;
	return 0;
}

static uint32_t to_host(const struct idmap_extent *ext, size_t n, uint32_t inside)
{
	for (size_t i = 0; i < n; i++)
		if (inside >= ext[i].inside && inside - ext[i].inside < ext[i].count)
			return ext[i].outside + (inside - ext[i].inside);
	return IDMAP_UNMAPPED;
}

static uint32_t from_host(const struct idmap_extent *ext, size_t n, uint32_t outside)
{
	for (size_t i = 0; i < n; i++)
		if (outside >= ext[i].outside && outside - ext[i].outside < ext[i].count)
			return ext[i].inside + (outside - ext[i].outside);
	return IDMAP_UNMAPPED;
}

uint32_t idmap_uid_to_host(const struct idmap *map, uint32_t inside)
{
	return to_host(map->uid, map->nuid, inside);
}

uint32_t idmap_gid_to_host(const struct idmap *map, uint32_t inside)
{
	return to_host(map->gid, map->ngid, inside);
}

uint32_t idmap_uid_from_host(const struct idmap *map, uint32_t outside)
{
	return from_host(map->uid, map->nuid, outside);
}

uint32_t idmap_gid_from_host(const struct idmap *map, uint32_t outside)
{
	return from_host(map->gid, map->ngid, outside);
}

int idmap_detect_usable(struct idmap *ret_map, struct err *e)
{
	int r = idmap_detect(false, ret_map, e);
	return r >= 0 && ret_map->form == IDMAP_RANGED && probe_userns() != 0 ? idmap_detect(true, ret_map, e) : r;
}
