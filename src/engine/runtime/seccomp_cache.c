/*
 * seccomp_cache.c - from profile text to a filter ready to load, with compiled programs kept on disk.
 *
 * A cache file is found by a hash of everything the program depends on (the key) and believed only if the whole key is
 * in it: a hash collision, another version of rl or libseccomp, another kernel or a damaged file mean compiling again.
 *
 *     header   struct cache_header, fixed size
 *     key      header.key_len bytes: version, architecture, capabilities, kernel, format, profile text
 *     program  header.insns instructions
 *
 * The directory belongs to the store's owner. The checksum finds damage, not forgery: who can write there can replace
 * rl's images too. A profile of the user's is parsed each time (0.5 ms), so that its warnings come each time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/seccomp_plan.h"

#include "seccomp_default_text.inc"

/* Raise when the meaning of a rule list or the compilers change: old programs are then not used. */
enum { CACHE_VERSION = 1 };

static const char cache_magic[8] = "rlseccm";

struct cache_header {
	char magic[8];
	uint64_t checksum; /* of key and program */
	uint64_t key_len;
	uint64_t insns;
};

const char *seccomp_plan_default_text(size_t *ret_len)
{
	*ret_len = sizeof(seccomp_default_text) - 1;
	return seccomp_default_text;
}

/* FNV-1a. */
static uint64_t hash(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

static const uint64_t hash_start = 0xcbf29ce484222325ull;

static int read_cache(int dirfd, const char *name, const struct str *key, struct seccomp_program *ret_program)
{
	autostr struct str file = STR_INIT;
	struct cache_header h;
	size_t max = sizeof(h) + key->len + BPF_MAXINSNS * sizeof(struct sock_filter);
	if (io_read_file(dirfd, name, max, &file, NULL) < 0)
		return 0;
	if (file.len < sizeof(h) + key->len)
		return 0;
	memcpy(&h, file.buf, sizeof(h));
	if (memcmp(h.magic, cache_magic, sizeof(h.magic)) != 0 || h.key_len != key->len || h.insns == 0 ||
	    h.insns > BPF_MAXINSNS || file.len != sizeof(h) + key->len + h.insns * sizeof(struct sock_filter))
		return 0;
	if (memcmp(file.buf + sizeof(h), key->buf, key->len) != 0 ||
	    hash(hash_start, file.buf + sizeof(h), file.len - sizeof(h)) != h.checksum)
		return 0;
	ret_program->insns = xmemdup(file.buf + sizeof(h) + key->len, h.insns * sizeof(struct sock_filter));
	ret_program->count = h.insns;
	return 1;
}

static void write_cache(int dirfd, const char *name, const struct str *key, const struct seccomp_program *program)
{
	autostr struct str file = STR_INIT;
	struct err e = ERR_INIT;
	struct cache_header h = {.key_len = key->len, .insns = program->count};
	memcpy(h.magic, cache_magic, sizeof(h.magic));
	h.checksum = hash(hash_start, key->buf, key->len);
	h.checksum = hash(h.checksum, program->insns, program->count * sizeof(*program->insns));
	str_add(&file, &h, sizeof(h));
	str_add(&file, key->buf, key->len);
	str_add(&file, program->insns, program->count * sizeof(*program->insns));
	if (io_replace_file(dirfd, name, file.buf, file.len, 0600, false, &e) < 0)
		log_debug(LOG_SECURITY, "filter not cached: %s", e.text);
}

static int kernel_version(unsigned int *ret_major, unsigned int *ret_minor, struct err *e)
{
	struct utsname u;
	if (uname(&u) < 0)
		return err_sys(e, errno, "uname");
	char *end;
	unsigned long major = strtoul(u.release, &end, 10);
	unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	*ret_major = (unsigned int)major;
	*ret_minor = (unsigned int)minor;
	return 0;
}

struct source {
	const char *text;
	size_t len;
	enum seccomp_profile_format format;
	const char *what;
};

/* caps: those the profile mentions. Kernel version 0.0: it does not matter. */
static void make_key(const struct source *src, uint64_t caps, unsigned int kmajor, unsigned int kminor,
		     struct str *ret_key)
{
	unsigned int library[3];
	seccomp_library_version(library);
	str_addf(ret_key, "rl seccomp %d, libseccomp %u.%u.%u, %s, caps %#llx, kernel %u.%u, format %d, profile:\n",
		 CACHE_VERSION, library[0], library[1], library[2], seccomp_arch_name(seccomp_native_arch()),
		 (unsigned long long)caps, kmajor, kminor, (int)src->format);
	str_add(ret_key, src->text, src->len);
}

static void make_name(const struct str *key, char ret_name[32])
{
	snprintf(ret_name, 32, "seccomp-%016llx", (unsigned long long)hash(hash_start, key->buf, key->len));
}

/* The default profile is known well enough (no flags, no listener, no kernel versions, capabilities known at build
 * time) to be looked up without being parsed. */
static bool find_default(const struct source *src, const struct seccomp_plan_input *in, struct seccomp_plan *plan)
{
	autostr struct str key = STR_INIT;
	char name[32];
	if (in->cache_dirfd < 0)
		return false;
	make_key(src, in->caps & seccomp_filter_default_caps(), 0, 0, &key);
	make_name(&key, name);
	return read_cache(in->cache_dirfd, name, &key, &plan->program) == 1;
}

static int compile(const struct source *src, const struct seccomp_plan_input *in, struct seccomp_plan *plan,
		   struct err *e)
{
	autoprofile struct seccomp_profile p = SECCOMP_PROFILE_INIT;
	autostr struct str key = STR_INIT;
	unsigned int kmajor = 0;
	unsigned int kminor = 0;
	char name[32];
	int r = seccomp_profile_parse(src->text, src->len, src->format, src->what, &p, e);
	if (r >= 0)
		r = kernel_version(&kmajor, &kminor, e);
	if (r < 0)
		return r;
	struct seccomp_rules rules;
	r = seccomp_plan_rules(&p, seccomp_native_arch(), in->caps, kmajor, kminor, &rules, &plan->warnings, e);
	if (r < 0)
		return err_ctx(e, "%s", src->what);
	autofree const struct seccomp_rule *owned RL_UNUSED = rules.rules;

	plan->flags = p.flags;
	if (p.uses_notify)
		plan->flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	else
		plan->flags &= ~(unsigned int)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; /* only with a listener */
	plan->listener_path = take_ptr(&p.listener_path);
	plan->listener_metadata = take_ptr(&p.listener_metadata);

	/* Only what can change the program: `--cap-add NET_ADMIN` must not compile a profile that does not mention it. */
	make_key(src, in->caps & p.caps_mentioned, p.kernel_mentioned ? kmajor : 0, p.kernel_mentioned ? kminor : 0,
		 &key);
	make_name(&key, name);
	if (in->cache_dirfd >= 0 && read_cache(in->cache_dirfd, name, &key, &plan->program) == 1)
		return 0;
	r = seccomp_filter_compile(&rules, &plan->program, e);
	if (r < 0)
		return err_ctx(e, "%s", src->what);
	if (in->cache_dirfd >= 0)
		write_cache(in->cache_dirfd, name, &key, &plan->program);
	return 0;
}

int seccomp_plan_make(const struct seccomp_plan_input *in, struct seccomp_plan *ret_plan, struct err *e)
{
	struct seccomp_plan plan = SECCOMP_PLAN_INIT;
	struct source src = {
		.text = in->text,
		.len = in->len,
		.format = in->format,
		.what = in->what ? in->what : "seccomp profile",
	};
	if (!in->text) {
		const struct seccomp_filter *builtin = seccomp_filter_default(in->caps);
		if (builtin) {
			plan.filter = *builtin;
			*ret_plan = plan;
			return 0;
		}
		src.text = seccomp_plan_default_text(&src.len);
		src.format = SECCOMP_PROFILE_DOCKER;
		src.what = "default seccomp profile";
	}
	if (in->text || !find_default(&src, in, &plan)) {
		int r = compile(&src, in, &plan, e);
		if (r < 0) {
			seccomp_plan_free(&plan);
			return r;
		}
	}
	plan.filter = (struct seccomp_filter){.insns = plan.program.insns, .count = plan.program.count};
	*ret_plan = plan;
	return 0;
}

void seccomp_plan_free(struct seccomp_plan *plan)
{
	int saved = errno;
	seccomp_program_free(&plan->program);
	free(plan->listener_path);
	free(plan->listener_metadata);
	strv_free(&plan->warnings);
	*plan = (struct seccomp_plan)SECCOMP_PLAN_INIT;
	errno = saved;
}
