/*
 * caps.h - capability names, docker's default set, and giving up what a payload must not have.
 *
 * Model: a set is a uint64_t with bit n for capability number n. A process about to run a payload starts with all
 * capabilities of its user namespace and ends with a struct caps_sets in three steps, whose order the kernel dictates:
 *     caps_before_setid   bounding set cut (needs CAP_SETPCAP), KEEPCAPS if a user other than root keeps some
 *     the caller          setgroups, setresgid, setresuid (need CAP_SETGID and CAP_SETUID)
 *     caps_after_setid    permitted, effective, inheritable and ambient set at last
 * Inheritable and ambient are empty unless a runtime spec of its own asks for them (CVE-2022-24769 and its family:
 * capabilities left inheritable come back through file capabilities of the image).
 *
 * Context: role child for the apply functions; the rest anywhere, pure and without system calls unless said.
 * Sources: capabilities(7); names come from libcap-ng, capset and prctl are called directly (see caps.c why).
 */
#ifndef RL_KERN_CAPS_H
#define RL_KERN_CAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

/* Docker's default set: chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service
 * sys_chroot kill audit_write. The numbers are the kernel's and never change; test_caps compares with the names. */
#define CAPS_DOCKER_DEFAULT                                                                                            \
	(1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 7 | 1ull << 8 | 1ull << 10 |  \
	 1ull << 13 | 1ull << 18 | 1ull << 27 | 1ull << 29 | 1ull << 31)

struct caps_sets {
	uint64_t bounding;
	uint64_t permitted;
	uint64_t effective;
	uint64_t inheritable;
	uint64_t ambient;
};

/* "CAP_CHOWN", "chown" or any other case: 0..63, or -EINVAL with the nearest name suggested. */
int caps_from_name(const char *name, struct err *e) RL_CHECK;
/* "CAP_CHOWN", or "CAP_63" for a number without a name. */
enum { CAPS_NAME_SIZE = 32 };
void caps_name(int cap, char ret_name[CAPS_NAME_SIZE]);
/* Every capability that the kernel headers of the build name. The running kernel may have fewer or more. */
uint64_t caps_all_known(void);
/* Every capability of the running kernel (asks the kernel, at most 8 system calls). */
uint64_t caps_all_kernel(void);
/* Append "CAP_A,CAP_B" in numerical order, named by caps_name. */
void caps_describe(uint64_t set, struct str *out);

/* --cap-add and --cap-drop on top of `base`, as docker does it: add ALL minus the drops; or drop ALL plus the adds; or
 * base minus drops plus adds (a name in both is added). Names as caps_from_name, and "ALL". */
int caps_adjust(uint64_t base, const struct strv *add, const struct strv *drop, uint64_t *ret_set,
		struct err *e) RL_CHECK;

/* What docker gives a process: root has the whole set; another user has only the bound, nothing permitted. */
struct caps_sets caps_for_user(uint64_t set, uid_t uid);

/* Bits past the running kernel's last capability are ignored everywhere. `keep`: the ids change to a user other than
 * root while permitted capabilities stay. */
int caps_before_setid(const struct caps_sets *sets, bool keep, struct err *e) RL_CHECK;
int caps_after_setid(const struct caps_sets *sets, struct err *e) RL_CHECK;

/* Our own effective set (one system call). */
int caps_effective(uint64_t *ret_set, struct err *e) RL_CHECK;

#endif
