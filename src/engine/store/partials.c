/* partials.c - what interrupted downloads left in cache/; see store.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "store_int.h"

/* Its writer holds it locked from before the first byte until it is renamed; under our lock nobody begins to write. */
static int drop_partial(int cachefd, const char *name, int64_t older_than, int64_t *bytes)
{
	struct stat st;
	autofd int fd = openat(cachefd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || io_try_lock(fd, true, NULL) != 1 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (older_than && st.st_mtim.tv_sec > time(NULL) - older_than)
		return 0;
	if (unlinkat(cachefd, name, 0) < 0) {
		log_debug(LOG_STORE, "cache/%s stays", name);
		return 0;
	}
	*bytes += st.st_size;
	return 1;
}

int store_drop_partials(const struct store *s, int64_t older_than, int64_t *ret_bytes, struct err *e)
{
	int64_t bytes = 0;
	int count = 0;
	int fd = openat(s->rootfd, "cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		int saved = errno;
		if (fd >= 0)
			close(fd);
		return saved == ENOENT ? 0 : err_sys(e, saved, "open %s/cache", s->root);
	}
	for (const struct dirent *entry; (entry = readdir(d));)
		if (str_after(entry->d_name, STORE_PARTIAL) || str_after(entry->d_name, STORE_COMPRESSED))
			count += drop_partial(dirfd(d), entry->d_name, older_than, &bytes);
	*ret_bytes += bytes;
	return count;
}
