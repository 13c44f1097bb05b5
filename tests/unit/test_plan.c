/* What a spec is planned to: order, what is left out, and the text of --explain. */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/engine/runtime.h"
#include "rl/kern/mnt.h"
#include "tap.h"

static void small_spec(struct rtspec *s)
{
	rtspec_init(s);
	strv_add(&s->args, "/bin/true");
	strv_add(&s->layers, "/store/top");
	strv_add(&s->layers, "/store/base");
	s->cwd = xstrdup("/work");
}

/* The plan as --explain prints it; "" when it cannot be planned. */
static char *explain(const struct rtspec *s, const struct seccomp_filter *filter)
{
	struct err e = ERR_INIT;
	struct plan *p = NULL;
	struct str out = STR_INIT;
	if (runtime_plan(s, NULL, filter, &p, &e) < 0) {
		tap_diag("%s", e.text);
		return xstrdup("");
	}
	runtime_plan_print(p, &out);
	runtime_plan_free(p);
	return str_take(&out);
}

/* Both occur, `first` before `second`. */
static bool in_order(const char *text, const char *first, const char *second)
{
	const char *a = strstr(text, first);
	const char *b = strstr(text, second);
	return a && b && a < b;
}

static void refusals(void)
{
	struct rtspec s;
	struct plan *p = NULL;
	struct err e = ERR_INIT;

	small_spec(&s);
	strv_free(&s.args);
	tap_is_int(runtime_plan(&s, NULL, NULL, &p, &e), -EINVAL, "without a command there is no plan");
	tap_has(e.hint, "rl run IMAGE COMMAND", "and the hint shows where it goes");
	strv_add(&s.args, "");
	tap_is_int(runtime_plan(&s, NULL, NULL, &p, &e), -EINVAL, "an empty command is none");
	rtspec_free(&s);

	small_spec(&s);
	strv_free(&s.layers);
	err_clear(&e);
	tap_is_int(runtime_plan(&s, NULL, NULL, &p, &e), -EINVAL, "without layers and directory there is no root");
	rtspec_free(&s);

	small_spec(&s);
	rtspec_add_mount(&s, RT_TMPFS, NULL, "tmp", 0);
	err_clear(&e);
	tap_is_int(runtime_plan(&s, NULL, NULL, &p, &e), -EINVAL, "a relative mount target is refused");
	tap_has(e.text, "'tmp'", "by its name");
	tap_ok(p == NULL, "a plan that failed leaves the output alone");
	rtspec_free(&s);
}

static void order(void)
{
	struct rtspec s;
	small_spec(&s);
	rtspec_add_mount(&s, RT_PROC, NULL, "/proc", MNT_NOSUID | MNT_NOEXEC);
	rtspec_add_mount(&s, RT_BIND, "/host/data", "/data", MNT_RDONLY)->recursive = true;
	rtspec_default_paths(&s);
	strv_add(&s.sysctls, "net.ipv4.ip_forward=1");
	s.hostname = xstrdup("box");
	autofree char *text = explain(&s, NULL);
	tap_has(text, "clone        user mnt pid net ipc uts cgroup\n", "every namespace is new unless said otherwise");
	tap_has(text, "overlay of 2 layers\n", "an overlay without an upper directory is not writable");
	tap_ok(in_order(text, "lower /store/top", "lower /store/base"), "layers are listed top first");
	tap_has(text, "proc on /proc nosuid noexec\n", "a mount is printed with its attributes");
	tap_has(text, "bind /host/data on /data ro recursive\n", "a bind is printed with its source");
	tap_ok(in_order(text, "hostname box", "open what is mounted"), "names are set before the ids are mapped");
	tap_ok(in_order(text, "open what is mounted", "overlay of"),
	       "the host's paths are opened before the root is made");
	tap_ok(in_order(text, "proc on /proc", "bind /host/data"), "mounts keep the order of the spec");
	tap_ok(in_order(text, "sysctl net.ipv4", "read-only /proc/sys"),
	       "sysctls are written before /proc/sys is frozen");
	tap_ok(in_order(text, "mask /proc/kcore", "pivot_root"), "paths are masked before the host is left");
	tap_ok(in_order(text, "pivot_root", "look up user"), "the user is looked up in the container's files");
	tap_ok(in_order(text, "become user '0'", "die with rl"),
	       "the death signal is set after the last change of ids");
	tap_has(text, "security     exec /bin/true\n", "exec is in the last stage");
	tap_ok(!strstr(text, "seccomp"), "without a filter none is loaded");
	rtspec_free(&s);
}

static void choices(void)
{
	const struct seccomp_filter filter = {.count = 7};
	struct rtspec s;

	small_spec(&s);
	autofree char *strict = explain(&s, &filter);
	tap_ok(in_order(strict, "no_new_privs", "seccomp filter of 7"),
	       "with no_new_privs the filter is the last thing loaded");
	s.no_new_privs = false;
	autofree char *loose = explain(&s, &filter);
	tap_ok(in_order(loose, "seccomp filter of 7", "become user"),
	       "without it the filter is loaded while the privilege for it is there");
	tap_ok(!strstr(loose, "no_new_privs"), "and no_new_privs is not set");
	tap_ok(!strstr(loose, "abstract sockets"), "a network namespace needs no Landlock scope");

	s.ns[RT_NS_NET].mode = RT_NS_HOST;
	s.ns[RT_NS_USER].mode = RT_NS_HOST;
	s.ns[RT_NS_UTS].mode = RT_NS_HOST;
	s.ns[RT_NS_IPC].mode = RT_NS_JOIN;
	s.hostname = xstrdup("box");
	s.outlives_parent = true;
	s.init = true;
	s.root_read_only = true;
	s.upper = xstrdup("/c/upper");
	autofree char *shared = explain(&s, NULL);
	tap_has(shared, "clone        mnt pid cgroup\n", "namespaces of the host and joined ones are not cloned");
	tap_has(shared, "join ipc namespace\n", "joined ones are entered");
	tap_ok(!strstr(shared, "hostname"), "the host's name is left alone without a uts namespace");
	tap_ok(!strstr(shared, "configure the network"), "the host's network is not configured");
	tap_has(shared, "abstract sockets", "but its abstract sockets are closed");
	tap_has(shared, "receive-only", "without a user namespace mounts stop sending events");
	tap_ok(!strstr(shared, "die with rl"), "a detached container gets no death signal");
	tap_has(shared, "overlay of 2 layers, writable\n", "an upper directory makes it writable");
	tap_ok(in_order(shared, "root read-only", "PID 1"), "the root is frozen before the reaper splits off");

	s.rootfs = xstrdup("/my/root");
	autofree char *dir = explain(&s, NULL);
	tap_has(dir, "root directory /my/root\n", "a directory as root is used as it is");
	tap_ok(!strstr(dir, "overlay"), "and no overlay is made then");
	rtspec_free(&s);
}

int main(void)
{
	tap_plan_later();
	refusals();
	order();
	choices();
	return tap_done();
}
