/*
 * image_platform.c - see image_platform.h.
 *
 * An entry of binfmt_misc is a text: "enabled", "interpreter PATH", "flags: FLAGS", "offset N", "magic HEX", "mask HEX".
 * What counts is not its name but the ELF header its magic describes: class and byte order (bytes 4 and 5) and machine
 * (bytes 18 and 19).
 */
#include "rl/svc/image_platform.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/model/imgspec.h"

enum { ENTRY_MAX = 4096, MAGIC_MIN = 20 };

#ifndef EM_LOONGARCH
#define EM_LOONGARCH 258
#endif

static const struct machine_type {
	const char *architecture;
	const char *also; /* an architecture whose processors run it, too */
	unsigned machine;
	unsigned char elf_class, order;
} machines[] = {
	{"amd64", NULL, EM_X86_64, ELFCLASS64, ELFDATA2LSB},	  {"386", "amd64", EM_386, ELFCLASS32, ELFDATA2LSB},
	{"arm64", NULL, EM_AARCH64, ELFCLASS64, ELFDATA2LSB},	  {"arm", "arm64", EM_ARM, ELFCLASS32, ELFDATA2LSB},
	{"ppc64le", NULL, EM_PPC64, ELFCLASS64, ELFDATA2LSB},	  {"s390x", NULL, EM_S390, ELFCLASS64, ELFDATA2MSB},
	{"riscv64", NULL, EM_RISCV, ELFCLASS64, ELFDATA2LSB},	  {"mips64le", NULL, EM_MIPS, ELFCLASS64, ELFDATA2LSB},
	{"loong64", NULL, EM_LOONGARCH, ELFCLASS64, ELFDATA2LSB},
};

static const char *text_of(const json_t *config, const char *key)
{
	const char *text = json_str_or_null(config, key);
	return text ? text : "";
}

bool image_platform_matches(const json_t *config, const char *wanted)
{
	struct imgspec_platform p = {0};
	if (!wanted)
		return true;
	if (imgspec_platform_parse(wanted, &p, NULL) < 0)
		return false;
	const char *variant = text_of(config, "variant");
	bool same = str_eq(text_of(config, "os"), p.os) && str_eq(text_of(config, "architecture"), p.architecture) &&
		    (!p.variant || !*variant || str_eq(variant, p.variant));
	imgspec_platform_free(&p);
	return same;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool magic_is(const char *hex, const struct machine_type *m)
{
	unsigned char magic[MAGIC_MIN];
	for (size_t i = 0; i < MAGIC_MIN; i++) {
		int high = hex_digit(hex[2 * i]);
		int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);
		if (low < 0)
			return false;
		magic[i] = (unsigned char)(high << 4 | low);
	}
	unsigned machine = m->order == ELFDATA2LSB ? magic[18] | (unsigned)magic[19] << 8
						   : (unsigned)magic[18] << 8 | magic[19];
	return memcmp(magic, ELFMAG, SELFMAG) == 0 && magic[EI_CLASS] == m->elf_class && magic[EI_DATA] == m->order &&
	       machine == m->machine;
}

/* 1: it interprets this machine's programs in any root; 0: only where the interpreter is in the root; -1: it does not. */
static int judge_entry(const char *text, const struct machine_type *m)
{
	autostrv struct strv lines = STRV_INIT;
	bool enabled = false;
	bool fixed = false;
	bool matches = false;
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		const char *rest;
		enabled = enabled || str_eq(lines.items[i], "enabled");
		if ((rest = str_after(lines.items[i], "flags: ")))
			fixed = strchr(rest, 'F') != NULL;
		else if ((rest = str_after(lines.items[i], "magic ")))
			matches = magic_is(rest, m);
	}
	return enabled && matches ? fixed : -1;
}

static int find_interpreter(const char *dir, const struct machine_type *m)
{
	int best = -1;
	autodir DIR *d = opendir(dir);
	while (d) {
		const struct dirent *entry = readdir(d);
		if (!entry)
			break;
		if (entry->d_name[0] == '.' || str_eq(entry->d_name, "register") || str_eq(entry->d_name, "status"))
			continue;
		autostr struct str text = STR_INIT;
		autofd int fd = openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
		if (fd < 0 || io_read_rest(fd, ENTRY_MAX, entry->d_name, &text, NULL) < 0)
			continue;
		best = RL_MAX(best, judge_entry(text.buf, m));
	}
	return best;
}

int image_platform_check(const json_t *config, const char *ref, const char *binfmt_dir, struct err *e)
{
	const char *os, *architecture, *variant;
	const char *image_os = text_of(config, "os");
	const char *image_arch = text_of(config, "architecture");
	imgspec_host_platform(&os, &architecture, &variant);
	bool is_os = !*image_os || str_eq(image_os, os);
	if (is_os && (!*image_arch || str_eq(image_arch, architecture)))
		return 0;
	const struct machine_type *m = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(machines) && !m; i++)
		if (str_eq(machines[i].architecture, image_arch))
			m = &machines[i];
	if (is_os && m && m->also && str_eq(m->also, architecture))
		return 0;
	int found = is_os && m ? find_interpreter(binfmt_dir, m) : -1;
	if (found == 1)
		return 0;
	err_set(e, ENOEXEC, "image %s is for %s/%s and this machine is %s/%s%s", ref, *image_os ? image_os : os,
		image_arch, os, architecture,
		found == 0 ? "; the interpreter that binfmt_misc has for it would have to be inside the image"
		: is_os	   ? ", which has no interpreter for it in binfmt_misc"
			   : "");
	err_status(e, EXIT_CANNOT_INVOKE);
	if (is_os)
		err_hint(e,
			 "take the image for this machine with --platform %s/%s, or have an administrator install "
			 "qemu-user-static and binfmt-support",
			 os, architecture);
	return -ENOEXEC;
}
