/* The program that decides about devices: what it answers, by running it, and that all of it can be reached. */
#include "rl/kern/cgroup_device.h"

#include <string.h>

#include "tap.h"

enum { INSNS_MAX = 256 };

static struct bpf_insn insns[INSNS_MAX];
static bool reached[INSNS_MAX];

/* The few instructions the program is made of. */
static long long run(size_t n, const struct bpf_cgroup_dev_ctx *ctx)
{
	uint64_t r[11] = {0};
	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn *i = &insns[pc];
		uint64_t *dst = &r[i->dst_reg];
		uint32_t word;
		reached[pc] = true;
		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			memcpy(&word, (const char *)ctx + i->off, sizeof(word));
			*dst = word;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			*dst = (uint32_t)*dst & (uint32_t)i->imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			*dst = (uint32_t)*dst >> i->imm;
			break;
		case BPF_ALU | BPF_MOV | BPF_X:
			*dst = (uint32_t)r[i->src_reg];
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			*dst = (uint64_t)(int64_t)i->imm;
			break;
		case BPF_JMP | BPF_JNE | BPF_K:
			pc += *dst != (uint64_t)(int64_t)i->imm ? (size_t)i->off : 0;
			break;
		case BPF_JMP | BPF_EXIT:
			return (long long)r[0];
		default:
			return -1;
		}
	}
	return -2;
}

static long long asks(size_t n, unsigned access, unsigned type, uint32_t major, uint32_t minor)
{
	const struct bpf_cgroup_dev_ctx ctx = {.access_type = access << 16 | type, .major = major, .minor = minor};
	return run(n, &ctx);
}

int main(void)
{
	static const struct cgroup_device_rule rules[] = {
		{false, 'a', -1, -1, CGROUP_DEVICE_ALL}, {true, 'c', 1, 3, CGROUP_DEVICE_ALL},
		{true, 'c', 10, -1, CGROUP_DEVICE_READ}, {true, 'b', -1, -1, CGROUP_DEVICE_MKNOD},
		{false, 'c', 10, 7, CGROUP_DEVICE_ALL},
	};
	const unsigned r = BPF_DEVCG_ACC_READ, w = BPF_DEVCG_ACC_WRITE, m = BPF_DEVCG_ACC_MKNOD;
	const unsigned c = BPF_DEVCG_DEV_CHAR, b = BPF_DEVCG_DEV_BLOCK;
	tap_plan_later();
	size_t n = cgroup_device_program(rules, 5, insns);
	tap_ok(n > 0 && n < INSNS_MAX, "five rules are a program");
	tap_is_int(asks(n, r | w, c, 1, 3), 1, "what is allowed is allowed");
	tap_is_int(asks(n, r | w, b, 1, 3), 0, "not for the other type");
	tap_is_int(asks(n, r, c, 1, 4), 0, "not for another number");
	tap_is_int(asks(n, r, c, 10, 200), 1, "any minor number");
	tap_is_int(asks(n, r | w, c, 10, 200), 0, "more than the rule gives is refused");
	tap_is_int(asks(n, r, c, 10, 7), 0, "the last rule that matches decides");
	tap_is_int(asks(n, m, b, 8, 1), 1, "making a node");
	tap_is_int(asks(n, m | r, b, 8, 1), 0, "is not reading it");
	tap_is_int(asks(n, r, b, 8, 1), 0, "the first rule denies the rest");
	bool all = true;
	for (size_t i = 0; i < n; i++)
		all = all && reached[i];
	tap_ok(all, "every instruction was reached, as the kernel's verifier wants");
	n = cgroup_device_program(NULL, 0, insns);
	tap_is_int(asks(n, r, c, 1, 3), 0, "without a rule nothing is allowed");
	static const struct cgroup_device_rule any[] = {{true, 'a', -1, -1, CGROUP_DEVICE_ALL}};
	n = cgroup_device_program(any, 1, insns);
	tap_is_int(asks(n, r | w | m, b, 9, 9), 1, "one that allows everything does");
	return tap_done();
}
