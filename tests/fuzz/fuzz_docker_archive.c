/* links: engine/archive model kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * fuzz_docker_archive.c - any bytes as a docker archive, the way `rl load` takes one: taken apart into flat files (names
 * chosen by us), the list of members read back, manifest.json parsed, and every file it names looked up and opened.
 * Whatever the archive says, nothing but those files is made and nothing but those files is opened.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/model/imgspec.h"
#include "src/engine/archive/wire_int.h"

enum { MAX_TAR = 8 << 20, MAX_MEMBERS = 200, MANIFEST_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool is_ours(const char *name)
{
	return str_eq(name, EXTRACT_LIST) || (strlen(name) == 6 && strspn(name, "0123456789") == 6);
}

static void check_names(int root)
{
	autodir DIR *d = fdopendir(fcntl(root, F_DUPFD_CLOEXEC, 3));
	must(d != NULL);
	for (struct dirent *entry; (entry = readdir(d));)
		must(str_eq(entry->d_name, ".") || str_eq(entry->d_name, "..") || is_ours(entry->d_name));
}

static void open_named(const struct archive_members *m, int root, const char *name)
{
	const struct archive_member *member = archive_members_find(m, name);
	if (!member)
		return;
	must(member->type == ARCHIVE_MEMBER_FILE && is_ours(member->file) && imgref_is_digest(member->digest));
	struct stat st;
	autofd int fd = openat(root, member->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	must(fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == member->size);
}

static void read_manifest(const struct archive_members *m, int root)
{
	struct err e = ERR_INIT;
	autostr struct str text = STR_INIT;
	autojson json_t *doc = NULL;
	const struct archive_member *member = archive_members_find(m, "manifest.json");
	if (!member || io_read_file(root, member->file, MANIFEST_MAX, &text, &e) < 0 ||
	    json_parse(text.buf, text.len, "manifest.json", &doc, &e) < 0)
		return;
	for (size_t i = 0; i < json_array_size(doc); i++) {
		struct imgspec_docker_entry entry;
		if (imgspec_docker_entry_parse(json_array_get(doc, i), &entry, &e) < 0)
			continue;
		must(entry.config && entry.layers.count <= IMGSPEC_LAYERS_MAX);
		open_named(m, root, entry.config);
		for (size_t k = 0; k < entry.layers.count; k++)
			open_named(m, root, entry.layers.items[k]);
		imgspec_docker_entry_free(&entry);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char top[] = "/dev/shm/rl-fuzz-XXXXXX";
	const struct archive_wire wire = {.max_tar = MAX_TAR, .max_ratio = 4000, .max_members = MAX_MEMBERS};
	struct archive_members members = {.items = NULL};
	struct err e = ERR_INIT;
	uint64_t count = 0;
	autofd int blobfd = memfd_create("blob", MFD_CLOEXEC);
	must(blobfd >= 0 && mkdtemp(top) && write(blobfd, data, size) == (ssize_t)size &&
	     lseek(blobfd, 0, SEEK_SET) == 0);
	autofd int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct archive_work work = {
		.wire = &wire, .blobfd = blobfd, .teefd = -1, .feedfd = -1, .rootfd = root, .sidecarfd = -1};
	if (extract_work(&work, &count, &e) == 0) {
		must(extract_read_list(root, &members, &e) == 0 && members.count <= count);
		read_manifest(&members, root);
		archive_members_free(&members);
	}
	check_names(root);
	must(io_remove_tree(AT_FDCWD, top, NULL) == 0);
	return 0;
}
