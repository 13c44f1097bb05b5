/*
 * info.c - what `rl info` says.
 */
#include "rl/svc/info.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"

static void put_machine(json_t *doc)
{
	struct utsname u;
	struct sysinfo si;
	if (uname(&u) == 0) {
		json_put_str(doc, "Name", u.nodename);
		json_put_str(doc, "KernelVersion", u.release);
		json_put_str(doc, "OSType", "linux");
		json_put_str(doc, "Architecture", u.machine);
	}
	json_put_int(doc, "NCPU", sysconf(_SC_NPROCESSORS_ONLN));
	if (sysinfo(&si) == 0)
		json_put_int(doc, "MemTotal", (int64_t)si.totalram * si.mem_unit);
}

/* PRETTY_NAME of os-release; "" where there is none. */
static void put_system_name(json_t *doc)
{
	enum { OS_RELEASE_MAX = 64 << 10 };
	autostr struct str text = STR_INIT;
	const char *name = "";
	size_t len = 0;
	if (io_read_file(AT_FDCWD, "/etc/os-release", OS_RELEASE_MAX, &text, NULL) >= 0) {
		const char *line = strstr(text.buf, "PRETTY_NAME=");
		if (line && (line == text.buf || line[-1] == '\n')) {
			name = line + strlen("PRETTY_NAME=");
			name += *name == '"';
			len = strcspn(name, "\"\n");
		}
	}
	autofree char *copy = xstrndup(name, len);
	json_put_str(doc, "OperatingSystem", copy);
}

static int put_store(const char *store_root, json_t *doc, struct err *e)
{
	struct store s;
	struct store_list list = {.items = NULL};
	struct err open_error = ERR_INIT;
	int r = store_open(store_root, false, &s, &open_error);
	if (r == -ENOENT) {
		json_put_int(doc, "Images", 0);
		return 0;
	}
	if (r < 0) {
		*e = open_error;
		return r;
	}
	json_put_str(doc, "DockerRootDir", s.root);
	r = store_list(&s, &list, e);
	if (r >= 0) {
		json_put_int(doc, "Images", (int64_t)list.count);
		store_list_free(&list);
	}
	store_close(&s);
	return r;
}

static int put_idmap(json_t *doc, struct err *e)
{
	static const char *const forms[] = {
		[IDMAP_IDENTITY] = "identity",
		[IDMAP_RANGED] = "ranged",
		[IDMAP_SINGLE] = "single",
		[IDMAP_KEEPID] = "keep-id",
	};
	struct idmap map;
	int r = idmap_detect(false, &map, e);
	if (r < 0)
		return r;
	json_t *ids = json_object();
	json_put_str(ids, "Form", forms[map.form]);
	json_put_str(ids, "Key", map.key);
	if (*map.why_single)
		json_put_str(ids, "Reason", map.why_single);
	uint64_t count = 0;
	for (size_t i = 0; i < map.nuid; i++)
		count += map.uid[i].count;
	json_put_int(ids, "Uids", (int64_t)count);
	json_put(doc, "IDMap", ids);
	return 0;
}

int info_collect(const char *store_root, json_t **ret_doc, struct err *e)
{
	autojson json_t *doc = json_object();
	bool rootless = geteuid() != 0;
	json_put_str(doc, "Driver", "overlay");
	int r = put_store(store_root, doc, e);
	if (r < 0)
		return r;
	r = put_idmap(doc, e);
	if (r < 0)
		return r;
	json_put_bool(doc, "Rootless", rootless);
	json_t *security = json_array();
	json_array_append_new(security, json_string("name=seccomp,profile=builtin"));
	if (rootless)
		json_array_append_new(security, json_string("name=rootless"));
	json_put(doc, "SecurityOptions", security);
	put_system_name(doc);
	put_machine(doc);
	*ret_doc = json_incref(doc);
	return 0;
}
