/*
 * cgroup_int.h - what the files of kern/cgroup share: directories by text, their files, the rung of systemd.
 */
#ifndef RL_KERN_CGROUP_INT_H
#define RL_KERN_CGROUP_INT_H

#include "rl/kern/cgroup.h"

enum { CGROUP_FILE_MAX = 1 << 20 };

/* The directory that has the controller (a name of v1, "memory" or "" for v2), or NULL. */
const char *cgroup_dir_of(const struct strv *dirs, const char *v1_controller);
const char *cgroup_v2_dir(const struct strv *dirs);

/* Files of a directory, named by text: "memory.max". */
int cgroup_read(const char *dir, const char *file, struct str *out);
int cgroup_write(const char *dir, const char *file, const char *value);
bool cgroup_has_file(const char *dir, const char *file);
/* The first number, or `missing`; "max" is UINT64_MAX. */
uint64_t cgroup_read_u64(const char *dir, const char *file, uint64_t missing);
/* The number after `key` and a blank in a file of "key number" lines. */
uint64_t cgroup_read_key(const char *dir, const char *file, const char *key, uint64_t missing);
/* One word among the blank-separated ones of a text. */
bool cgroup_has_word(const char *text, const char *word);

/* v2 controllers that the limits need, one bit each; names in the same order. */
enum cgroup_controller { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_CPUSET, CGROUP_IO, CGROUP_CONTROLLERS };
extern const char *const cgroup_v2_names[CGROUP_CONTROLLERS];
extern const char *const cgroup_v1_names[CGROUP_CONTROLLERS];
unsigned cgroup_wanted(const struct cgroup_limits *l);

/* Enable what is wanted for the children of `dir`; returns the set that is enabled now, *ret_errno of the first
 * refusal. */
unsigned cgroup_enable(const char *dir, unsigned wanted, int *ret_errno);

/* cgroup_scope.c: the path of the scope below the v2 mount after the job is done: 1, 0 with `why`. */
void cgroup_scope_request(const struct cgroup_ask *a, struct cgroup_job *job, struct str *why);
int cgroup_scope_wait(struct cgroup_job *job, const struct cgroup_host *h, char **ret_path, struct str *why);

/* From another session than the scope's: systemd moves the process, as only it may. */
int cgroup_scope_attach(const char *dir, pid_t pid);

#endif
