/*
 * cgroup_device.h - which devices the processes of a cgroup v2 directory may use: a BPF program.
 *
 * Model: rules in the order they were written, the last that matches decides, and nothing is allowed where none does.
 * The program is attached to the directory and lives as long as that. Linux 4.15; root of the machine only.
 * Source: Documentation/admin-guide/cgroup-v2.rst "Device controller", bpf(2), linux/bpf.h (struct bpf_cgroup_dev_ctx).
 */
#ifndef RL_KERN_CGROUP_DEVICE_H
#define RL_KERN_CGROUP_DEVICE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"

enum { CGROUP_DEVICE_READ = 1, CGROUP_DEVICE_WRITE = 2, CGROUP_DEVICE_MKNOD = 4, CGROUP_DEVICE_ALL = 7 };
enum { CGROUP_DEVICE_RULES_MAX = 256 };

struct cgroup_device_rule {
	bool allow;
	char type;	      /* 'c', 'b', or 'a': both */
	int64_t major, minor; /* -1: any */
	unsigned access;      /* CGROUP_DEVICE_* */
};

/* The program's instructions into `ret` (room for 16 a rule and 8 more); how many. Pure. */
size_t cgroup_device_program(const struct cgroup_device_rule *rules, size_t n, struct bpf_insn *ret);

int cgroup_device_attach(const char *dir, const struct cgroup_device_rule *rules, size_t n, struct err *e) RL_CHECK;

#endif
