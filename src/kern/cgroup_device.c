/*
 * cgroup_device.c - see cgroup_device.h.
 *
 * The rules are tested from the last to the first, and the first that matches ends the program: the same as letting the
 * last one decide. Registers: r2 type, r3 access, r4 major, r5 minor.
 */
#include "rl/kern/cgroup_device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/mem.h"

enum { RULE_INSNS_MAX = 16, FRAME_INSNS_MAX = 8 };

struct program {
	struct bpf_insn *insns;
	size_t n;
};

static void add(struct program *p, uint8_t code, unsigned dst, unsigned src, int16_t off, int32_t imm)
{
	p->insns[p->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 15U, .src_reg = src & 15U, .off = off, .imm = imm};
}

static void add_return(struct program *p, bool allow)
{
	add(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
	add(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Returns whether anything can come after it: the verifier refuses what cannot be reached. */
static bool add_rule(struct program *p, const struct cgroup_device_rule *r)
{
	size_t jumps[4];
	size_t njumps = 0;
	if (r->type != 'a') {
		jumps[njumps++] = p->n;
		add(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0,
		    r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	}
	if ((r->access & CGROUP_DEVICE_ALL) != CGROUP_DEVICE_ALL) {
		/* It matches if everything that is wanted is in the rule. The kernel's bits: mknod 1, read 2, write 4. */
		unsigned bits = (r->access & CGROUP_DEVICE_MKNOD ? BPF_DEVCG_ACC_MKNOD : 0u) |
				(r->access & CGROUP_DEVICE_READ ? BPF_DEVCG_ACC_READ : 0u) |
				(r->access & CGROUP_DEVICE_WRITE ? BPF_DEVCG_ACC_WRITE : 0u);
		add(p, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
		add(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, (int32_t)~bits);
		jumps[njumps++] = p->n;
		add(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 0, 0);
	}
	if (r->major >= 0) {
		jumps[njumps++] = p->n;
		add(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, (int32_t)r->major);
	}
	if (r->minor >= 0) {
		jumps[njumps++] = p->n;
		add(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, (int32_t)r->minor);
	}
	add_return(p, r->allow);
	for (size_t i = 0; i < njumps; i++)
		p->insns[jumps[i]].off = (int16_t)(p->n - jumps[i] - 1);
	return njumps > 0;
}

size_t cgroup_device_program(const struct cgroup_device_rule *rules, size_t n, struct bpf_insn *ret)
{
	struct program p = {.insns = ret};
	const uint8_t load = BPF_LDX | BPF_MEM | BPF_W;
	const int16_t access_type = offsetof(struct bpf_cgroup_dev_ctx, access_type);
	add(&p, load, BPF_REG_2, BPF_REG_1, access_type, 0);
	add(&p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
	add(&p, load, BPF_REG_3, BPF_REG_1, access_type, 0);
	add(&p, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
	add(&p, load, BPF_REG_4, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
	add(&p, load, BPF_REG_5, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
	for (size_t i = n; i > 0; i--)
		if (!add_rule(&p, &rules[i - 1]))
			return p.n;
	add_return(&p, false);
	return p.n;
}

static int sys_bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

int cgroup_device_attach(const char *dir, const struct cgroup_device_rule *rules, size_t n, struct err *e)
{
	static const char license[] = "GPL";
	if (n > CGROUP_DEVICE_RULES_MAX)
		return err_set(e, E2BIG, "more than %d device rules", CGROUP_DEVICE_RULES_MAX);
	autofree struct bpf_insn *insns = xcalloc(n * RULE_INSNS_MAX + FRAME_INSNS_MAX, sizeof(*insns));
	union bpf_attr load;
	memset(&load, 0, sizeof(load));
	load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	load.insns = (uint64_t)(uintptr_t)insns;
	load.insn_cnt = (uint32_t)cgroup_device_program(rules, n, insns);
	load.license = (uint64_t)(uintptr_t)license;
	autofd int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "open cgroup %s", dir);
	autofd int prog = sys_bpf(BPF_PROG_LOAD, &load);
	if (prog < 0)
		return err_sys(e, errno, "load the device program");
	union bpf_attr attach;
	memset(&attach, 0, sizeof(attach));
	attach.target_fd = (uint32_t)dirfd;
	attach.attach_bpf_fd = (uint32_t)prog;
	attach.attach_type = BPF_CGROUP_DEVICE;
	attach.attach_flags = BPF_F_ALLOW_MULTI;
	if (sys_bpf(BPF_PROG_ATTACH, &attach) < 0)
		return err_sys(e, errno, "attach the device program to %s", dir);
	return 0;
}
