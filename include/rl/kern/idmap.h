/*
 * idmap.h - which ids a user may map, and writing uid_map and gid_map.
 *
 * Model: a map is chosen once per command, in the caller's own user namespace, from who the caller is:
 *   identity  the caller is root: the user namespace maps every id onto itself (capabilities stay inside it)
 *   ranged    container 0 is the caller, 1..n are the caller's subordinate ids (newuidmap and newgidmap write it)
 *   single    container 0 is the caller and nothing else exists (no subordinate ids, or no newuidmap)
 *   keepid    as ranged, but one chosen container id is the caller and 0.. run through the subordinate ids
 * `key` names the on-disk form of layers unpacked for the map (one directory per key below layers/); it contains the
 * subordinate range, so that a changed /etc/subuid selects (and has unpacked) another directory.
 *
 * Where the caller itself sits in a user namespace, subordinate ranges are cut down to what is mapped there, so that a
 * map that is offered can also be written. Ranges of one user that overlap each other or the caller's own id are cut
 * too (the kernel refuses a map with overlaps).
 *
 * Sources: user_namespaces(7), subuid(5), newuidmap(1); kernel/user_namespace.c (340 extents at most, and a single
 * self map needs setgroups denied first).
 *
 * Calling sequence:  idmap_detect -> clone with CLONE_NEWUSER -> idmap_start(pid) -> other work -> idmap_finish.
 *                    clone failed: idmap_explain_clone(errno, e)
 * Context: host side, any role that may fork. The child waits for a handshake step before using its ids.
 * Errors worth telling apart: -EPERM from the map write (AppArmor's userns restriction): the hint names the remedy.
 * What newuidmap and newgidmap print goes into the error, never to our standard error.
 */
#ifndef RL_KERN_IDMAP_H
#define RL_KERN_IDMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/proc.h"

/* The kernel takes a map in one write of less than a page: so many ranges fit, however long their numbers are. */
enum { IDMAP_EXTENTS_MAX = 120, IDMAP_KEY_SIZE = 64 };
enum { IDMAP_UNMAPPED = 0xffffffffu };

enum idmap_form { IDMAP_IDENTITY, IDMAP_RANGED, IDMAP_SINGLE, IDMAP_KEEPID };

struct idmap_extent {
	uint32_t inside;
	uint32_t outside;
	uint32_t count;
};

struct idmap {
	enum idmap_form form;
	struct idmap_extent uid[IDMAP_EXTENTS_MAX];
	struct idmap_extent gid[IDMAP_EXTENTS_MAX];
	size_t nuid;
	size_t ngid;
	char key[IDMAP_KEY_SIZE]; /* see below */
	char why_single[160];	  /* for IDMAP_SINGLE chosen by itself: the reason, "" otherwise */
};
/* Keys: "identity", "single", "sub-<uid start>-<count>-<gid start>-<count>" for a ranged map and "keep-..." for every
 * keep-id map over the same ranges (their layers have container id n on subordinate id n, whatever id is kept).
 * With more than one range per kind the four numbers are replaced by 16 hexadecimal digits computed from all. */

/* The map of this caller. `force_single` skips the search for subordinate ids (also RL_IDMAP=single in the
 * environment, for tests). Reads /etc/subuid and /etc/subgid by name and by number, and looks for newuidmap and
 * newgidmap in PATH and /usr/bin. Never fails for lack of subordinate ids: that is IDMAP_SINGLE. */
int idmap_detect(bool force_single, struct idmap *ret_map, struct err *e) RL_CHECK;

/* From a ranged map make the one where container uid/gid (`uid`, `gid`) are the caller (docker and podman users:
 * --userns=keep-id). A single map stays single with inside ids changed. Every other container id n is subordinate id n;
 * subordinate id `uid` itself is left out. `uid` may be one past the range, then nothing is left out: that is the map
 * to unpack layers for keep-id with. -EINVAL when the id is further out, or for an identity map and an id other than 0.
 */
int idmap_keepid(const struct idmap *from, uint32_t uid, uint32_t gid, struct idmap *ret_map, struct err *e) RL_CHECK;

/* From a ranged map the one that leaves the caller out: container n is the caller's n-th subordinate id, and the caller
 * itself does not exist inside (--userns=nomap). Form and key are those of a keep-id map. What only the caller may
 * reach (a 0700 directory) cannot be reached by path from inside, not even with all capabilities there: open it before.
 * -EINVAL without subordinate ids. */
int idmap_nomap(const struct idmap *from, struct idmap *ret_map, struct err *e) RL_CHECK;

/* As idmap_detect(false); where user namespaces are refused altogether (one is tried, for a ranged map only), the map of
 * the caller alone: files can be made for that one without any namespace, see userns_spawn_or_plain. */
int idmap_detect_usable(struct idmap *ret_map, struct err *e) RL_CHECK;

/* Host id of a container id and back; IDMAP_UNMAPPED if there is none. */
uint32_t idmap_uid_to_host(const struct idmap *map, uint32_t inside);
uint32_t idmap_gid_to_host(const struct idmap *map, uint32_t inside);
uint32_t idmap_uid_from_host(const struct idmap *map, uint32_t outside);
uint32_t idmap_gid_from_host(const struct idmap *map, uint32_t outside);

/* Writing of a map in progress: newuidmap and newgidmap run at the same time. Made by idmap_start, ended by
 * idmap_finish or idmap_cancel. */
struct idmap_job {
	struct proc_child newuidmap;
	struct proc_child newgidmap;
	int stderr_fd; /* what the two print; -1 when neither runs */
};

#define IDMAP_JOB_NONE                                                                                                 \
	{                                                                                                              \
		.newuidmap = PROC_CHILD_NONE, .newgidmap = PROC_CHILD_NONE, .stderr_fd = -1                            \
	}

/* Begin to write the maps of process `pid` (which sits in a fresh user namespace). For maps that need no helper the
 * files are written at once and the job is empty. */
int idmap_start(const struct idmap *map, pid_t pid, struct idmap_job *ret_job, struct err *e) RL_CHECK;
int idmap_finish(struct idmap_job *job, struct err *e) RL_CHECK;
/* Kill and reap the helpers; harmless on a job that is finished or empty. */
void idmap_cancel(struct idmap_job *job);

/* Fill *e for a clone or unshare with CLONE_NEWUSER (and other CLONE_NEW* flags) that failed with `errnum`: the text
 * names the cause, the hint the remedy (sysctls, outer seccomp filter, chroot). Returns -errnum. */
int idmap_explain_clone(int errnum, struct err *e) RL_CHECK;
/* A clone or unshare with CLONE_NEWUSER failed with `errnum`: true if trying again may help. The kernel counts a user
 * namespace some milliseconds longer than it lives, so under a tight limit (user.max_user_namespaces) the one that our own
 * last child had may stand in the way. Waits a little; *tries begins with 0. Keeps errno. */
bool idmap_try_again(int errnum, unsigned *tries);
/* If this machine's AppArmor takes the capabilities from new user namespaces, attach the remedy to *e (which is filled
 * already, with an EPERM or EACCES from a map write or from the first mount) and return true. */
bool idmap_hint_restricted(struct err *e);

/* Fork a child into a new user namespace (plus `clone_flags`, e.g. CLONE_NEWNS) with this map, as its root with all
 * capabilities there and no supplementary groups (a single map keeps them: the kernel allows no setgroups there), and
 * call fn(arg) in it; fn's return value (0..255) becomes the exit status. The child holds every descriptor of the
 * caller (they are close-on-exec, it need not exec) and is killed when the thread that called this ends. Returns when
 * the map is in place. The caller must have one thread only: the child is a plain fork. */
int userns_spawn(const struct idmap *map, int clone_flags, int (*fn)(void *arg), void *arg,
		 struct proc_child *ret_child, struct err *e) RL_CHECK;

/* Can what belongs to this map's root be made without its user namespace? Single and identity maps: everything belongs
 * to the caller, or the caller is root. */
bool idmap_is_plain(const struct idmap *map);
/* As userns_spawn; where user namespaces are refused altogether and the map is a plain one, the
 * child is a mere fork without any new namespace, with the caller's rights and no others: then *ret_plain is true, in the child too (let it
 * point into `arg`). It sees ids of the host (idmap_uid_from_host), files that their mode closes to their owner are
 * closed to it as well, and what it holds is not kept from the rest of the machine: it must not parse hostile bytes. */
int userns_spawn_or_plain(const struct idmap *map, int clone_flags, int (*fn)(void *arg), void *arg, bool *ret_plain,
			  struct proc_child *ret_child, struct err *e) RL_CHECK;

/* The subordinate ranges of one user in lines of /etc/subuid or /etc/subgid ("owner:start:count", owner a name or a
 * number): added to ranges[0..*n) in file order, `outside` and `count` set, at most `max` in all. Lines that are
 * malformed or of other users are skipped. Pure: any bytes may be given. */
void idmap_parse_subids(const char *text, size_t len, const char *user, uint32_t uid, struct idmap_extent *ranges,
			size_t max, size_t *n);

#endif
