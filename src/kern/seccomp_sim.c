/*
 * seccomp_sim.c - a classic BPF machine with exactly the instructions seccomp allows.
 *
 * Two uses: the generator and the tests compare programs over every call number with it, and explanations of a refusal
 * can ask what a filter answers. Programs have no loops (jumps go forward), so running off the end is the only way not
 * to return; that, and any instruction the kernel would have refused, counts as a kill.
 */
#include "rl/kern/seccomp.h"

#include <string.h>

struct machine {
	uint32_t a;
	uint32_t x;
	uint32_t mem[BPF_MEMWORDS];
};

/* False: not allowed. Division by zero and oversized shifts are refused as constants and kill as values. */
static bool alu(struct machine *m, uint16_t code, uint32_t k)
{
	uint32_t v = BPF_SRC(code) == BPF_X ? m->x : k;
	switch (BPF_OP(code)) {
	case BPF_ADD:
		m->a += v;
		return true;
	case BPF_SUB:
		m->a -= v;
		return true;
	case BPF_MUL:
		m->a *= v;
		return true;
	case BPF_DIV:
		if (v)
			m->a /= v;
		return v != 0;
	case BPF_OR:
		m->a |= v;
		return true;
	case BPF_AND:
		m->a &= v;
		return true;
	case BPF_XOR:
		m->a ^= v;
		return true;
	case BPF_LSH:
		if (v < 32)
			m->a <<= v;
		return v < 32;
	case BPF_RSH:
		if (v < 32)
			m->a >>= v;
		return v < 32;
	case BPF_NEG:
		m->a = -m->a;
		return true;
	default:
		return false;
	}
}

static bool load(struct machine *m, uint16_t code, uint32_t k, const struct seccomp_data *data)
{
	uint32_t v;
	switch (code & ~0x07) {
	case BPF_W | BPF_ABS:
		if (BPF_CLASS(code) == BPF_LDX || k % 4 || k > sizeof(*data) - 4)
			return false;
		memcpy(&v, (const char *)data + k, sizeof(v));
		break;
	case BPF_W | BPF_LEN:
		v = sizeof(*data);
		break;
	case BPF_IMM:
		v = k;
		break;
	case BPF_MEM:
		if (k >= BPF_MEMWORDS)
			return false;
		v = m->mem[k];
		break;
	default:
		return false;
	}
	if (BPF_CLASS(code) == BPF_LDX)
		m->x = v;
	else
		m->a = v;
	return true;
}

/* The number of instructions to skip, or -1. */
static int64_t jump(const struct machine *m, const struct sock_filter *in)
{
	uint32_t v = BPF_SRC(in->code) == BPF_X ? m->x : in->k;
	switch (BPF_OP(in->code)) {
	case BPF_JA:
		return in->k;
	case BPF_JEQ:
		return m->a == v ? in->jt : in->jf;
	case BPF_JGT:
		return m->a > v ? in->jt : in->jf;
	case BPF_JGE:
		return m->a >= v ? in->jt : in->jf;
	case BPF_JSET:
		return m->a & v ? in->jt : in->jf;
	default:
		return -1;
	}
}

uint32_t seccomp_filter_simulate(const struct seccomp_filter *filter, const struct seccomp_data *data)
{
	struct machine m = {.a = 0};
	for (size_t pc = 0; pc < filter->count; pc++) {
		const struct sock_filter *in = &filter->insns[pc];
		int64_t skip = 0;
		bool ok = true;
		switch (BPF_CLASS(in->code)) {
		case BPF_LD:
		case BPF_LDX:
			ok = load(&m, in->code, in->k, data);
			break;
		case BPF_ST:
		case BPF_STX:
			ok = in->k < BPF_MEMWORDS;
			if (ok)
				m.mem[in->k] = BPF_CLASS(in->code) == BPF_ST ? m.a : m.x;
			break;
		case BPF_ALU:
			ok = alu(&m, in->code, in->k);
			break;
		case BPF_JMP:
			skip = jump(&m, in);
			ok = skip >= 0;
			break;
		case BPF_RET:
			if (BPF_RVAL(in->code) == BPF_A)
				return m.a;
			return BPF_RVAL(in->code) == BPF_K ? in->k : SECCOMP_RET_KILL_PROCESS;
		case BPF_MISC:
			if (BPF_MISCOP(in->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		default:
			ok = false;
		}
		if (!ok)
			return SECCOMP_RET_KILL_PROCESS;
		pc += (size_t)skip;
	}
	return SECCOMP_RET_KILL_PROCESS;
}
