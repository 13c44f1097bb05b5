/* -v, --mount, --tmpfs and --device: every form, and what is refused. */
#include "tap.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "rl/model/run_opts.h"

struct mount_case {
	int (*fn)(struct run_opts *o, const char *value, struct err *e);
	const char *value;
	const char *want; /* rendered */
	const char *error;
};

#define V(value, want)                                                                                                 \
	{                                                                                                              \
		run_opts_volume, value, want, NULL                                                                     \
	}
#define VBAD(value, error)                                                                                             \
	{                                                                                                              \
		run_opts_volume, value, NULL, error                                                                    \
	}
#define M(value, want)                                                                                                 \
	{                                                                                                              \
		run_opts_mount, value, want, NULL                                                                      \
	}
#define MBAD(value, error)                                                                                             \
	{                                                                                                              \
		run_opts_mount, value, NULL, error                                                                     \
	}
#define T(value, want)                                                                                                 \
	{                                                                                                              \
		run_opts_tmpfs, value, want, NULL                                                                      \
	}
#define TBAD(value, error)                                                                                             \
	{                                                                                                              \
		run_opts_tmpfs, value, NULL, error                                                                     \
	}

static const struct mount_case cases[] = {
	V("/a:/b", "bind /a /b rbind create"),
	V("./a:/b", "bind ./a /b rbind create"),
	V("../a:/b", "bind ../a /b rbind create"),
	V(".:/b", "bind . /b rbind create"),
	V("data:/b", "volume data /b"),
	V("/b", "volume - /b"),
	V("/a:/b/../c//d/", "bind /a /c/d rbind create"),
	V("/a:/b:", "bind /a /b rbind create"),
	V("/a:/b:ro", "bind /a /b ro rbind create"),
	V("/a:/b:rw", "bind /a /b rbind create"),
	V("/a:/b:ro,z", "bind /a /b ro rbind create z"),
	V("/a:/b:Z,U", "bind /a /b rbind create Z U"),
	V("/a:/b:O", "bind /a /b rbind create O"),
	V("/a:/b:O,upperdir=/u,workdir=/w", "bind /a /b rbind create O upper=/u work=/w"),
	V("/a:/b:noexec,nodev,nosuid", "bind /a /b rbind create exec0 dev0 suid0"),
	V("/a:/b:exec,dev,suid", "bind /a /b rbind create exec1 dev1 suid1"),
	V("/a:/b:bind", "bind /a /b create"),
	V("/a:/b:rbind", "bind /a /b rbind create"),
	V("/a:/b:shared", "bind /a /b rbind create prop5"),
	V("/a:/b:rslave,ro", "bind /a /b ro rbind create prop4"),
	V("/a:/b:private", "bind /a /b rbind create prop1"),
	V("/a:/b:ro,ro", "bind /a /b ro rbind create"),
	V("data:/b:nocopy", "volume data /b copy0"),
	V("data:/b:copy,ro", "volume data /b ro copy1"),
	V("data:/b:O", "volume data /b O"),
	VBAD("", "not an absolute path"),
	VBAD(":", "the source before ':' is empty"),
	VBAD(":/b", "the source before ':' is empty"),
	VBAD("/a:", "not an absolute path"),
	VBAD("/a:b", "not an absolute path"),
	VBAD("a", "not an absolute path"),
	VBAD("/a:/", "the root of the container"),
	VBAD("/a:/b/..", "the root of the container"),
	VBAD("/a:/..", "the root of the container"),
	VBAD("/a:/b:ro:z", "too many ':'"),
	VBAD("a/b:/c", "neither a path nor a volume name"),
	VBAD("-a:/c", "neither a path nor a volume name"),
	VBAD("/a:/b:ro,rw", "contradicts"),
	VBAD("/a:/b:exec,noexec", "contradicts"),
	VBAD("/a:/b:shared,private", "contradicts"),
	VBAD("/a:/b:z,Z", "contradicts"),
	VBAD("/a:/b:O,ro", "contradicts 'ro'"),
	VBAD("/a:/b:O,U", "contradicts 'U'"),
	VBAD("/a:/b:upperdir=/u,workdir=/w", "need 'O'"),
	VBAD("/a:/b:O,upperdir=/u", "go together"),
	VBAD("/a:/b:O,upperdir=u,workdir=/w", "not an absolute path"),
	VBAD("/a:/b:read-only", "unknown option 'read-only'"),
	VBAD("/a:/b:RO", "unknown option 'RO'"),
	VBAD("/a:/b:idmap", "not supported"),
	VBAD("/a:/b:idmap=uids=0-1-2", "not supported"),
	VBAD("/a:/b:nocopy", "no meaning for a bind mount"),
	VBAD("data:/b:rslave", "no meaning for a volume mount"),
	VBAD("/a:/b:size=3", "unknown option 'size=3'"),
	VBAD("/a:/b:noatime", "no meaning"),
	VBAD("/a:/b:cached", "not supported"),
	M("type=bind,source=/a,target=/b", "bind /a /b rbind"),
	M("type=bind,src=/a,dst=/b,readonly", "bind /a /b ro rbind"),
	M("type=bind,src=./a,destination=/b,ro=true", "bind ./a /b ro rbind"),
	M("src=/a,dest=/b,type=bind,ro=false", "bind /a /b rbind"),
	M("type=bind,src=/a,dst=/b,bind-propagation=rshared", "bind /a /b rbind prop6"),
	M("type=bind,src=/a,dst=/b,bind-nonrecursive", "bind /a /b"),
	M("type=bind,src=/a,dst=/b,bind-nonrecursive=false", "bind /a /b rbind"),
	M("type=bind,src=/a,dst=/b,bind-recursive=disabled", "bind /a /b"),
	M("type=bind,src=/a,dst=/b,bind-recursive=readonly", "bind /a /b ro rbind"),
	M("type=bind,src=/a,dst=/b,relabel=shared,U=true", "bind /a /b rbind z U"),
	M("type=bind,src=/a,dst=/b,consistency=consistent", "bind /a /b rbind"),
	M("type=bind,\"src=/a,b\",dst=/c", "bind /a,b /c rbind"),
	M("type=bind,\"src=/a\"\"b\",dst=/c", "bind /a\"b /c rbind"),
	M("source=data,target=/b", "volume data /b"),
	M("type=volume,target=/b", "volume - /b"),
	M("type=volume,src=data,dst=/b,volume-nocopy", "volume data /b copy0"),
	M("type=volume,src=data,dst=/b,volume-subpath=x/y", "volume data /b sub=x/y"),
	M("type=volume,src=data,dst=/b,subpath=x,readonly=1", "volume data /b ro sub=x"),
	M("type=tmpfs,dst=/b", "tmpfs - /b"),
	M("type=tmpfs,dst=/b,tmpfs-size=64m,tmpfs-mode=1777", "tmpfs - /b size=67108864 mode=1777"),
	M("type=tmpfs,dst=/b,size=1k,mode=700,noexec,notmpcopyup", "tmpfs - /b exec0 size=1024 mode=700"),
	M("type=image,src=busybox,dst=/b", "image busybox /b ro"),
	M("type=image,src=busybox:1,dst=/b,rw=true", "image busybox:1 /b"),
	M("type=devpts,dst=/dev/pts", "devpts - /dev/pts"),
	MBAD("", "an empty field"),
	MBAD("type=bind", "target= is missing"),
	MBAD("type=bind,dst=/b", "needs source="),
	MBAD("type=bind,src=a,dst=/b", "not a path"),
	MBAD("type=bind,src=,dst=/b", "the source is empty"),
	MBAD("type=bind,src=/a,src=/b,dst=/b", "given twice"),
	MBAD("type=bind,src=/a,dst=/b,dst=/c", "given twice"),
	MBAD("type=bind,type=tmpfs,dst=/c", "given twice"),
	MBAD("type=bind,src=/a,dst=b", "not an absolute path"),
	MBAD("type=bind,src=/a,dst=", "not an absolute path"),
	MBAD("type=bind,src=/a,dst", "not an absolute path"),
	MBAD("type=bnid,src=/a,dst=/b", "unknown type 'bnid'"),
	MBAD("type=ramfs,dst=/b", "not supported"),
	MBAD("type=npipe,dst=/b", "Windows"),
	MBAD("type=bind,src=/a,dst=/b,readolny", "unknown option 'readolny'"),
	MBAD("type=bind,src=/a,dst=/b,ro=maybe", "true or false"),
	MBAD("type=bind,src=/a,dst=/b,ro,rw", "contradicts"),
	MBAD("type=bind,src=/a,dst=/b,bind-propagation=x", "is expected"),
	MBAD("type=bind,src=/a,dst=/b,bind-propagation=ro", "is expected"),
	MBAD("type=bind,src=/a,dst=/b,subpath=x", "no meaning"),
	MBAD("type=bind,src=/a,dst=/b,size=3", "unknown option 'size'"),
	MBAD("type=bind,src=/a,dst=/b,idmap", "not supported"),
	MBAD("type=volume,src=/a,dst=/b", "not a volume name"),
	MBAD("type=volume,src=d,dst=/b,subpath=../x", "without '..'"),
	MBAD("type=volume,src=d,dst=/b,subpath=/x", "relative path"),
	MBAD("type=volume,src=d,dst=/b,volume-opt=o=x", "not supported"),
	MBAD("type=volume,src=d,dst=/b,volume-driver=nfs", "not supported"),
	MBAD("type=tmpfs,src=/a,dst=/b", "has no source"),
	MBAD("type=tmpfs,dst=/b,tmpfs-mode=999", "octal"),
	MBAD("type=tmpfs,dst=/b,tmpfs-size=x", "not a size"),
	MBAD("type=image,dst=/b", "needs source="),
	MBAD("type=bind,\"src=/a,dst=/b", "not closed"),
	MBAD("type=bind,\"src=/a\"x,dst=/b", "after a closing"),
	MBAD("type=bind,src=\"/a\",dst=/b", "in the middle of a field"),
	MBAD("type=bind,,dst=/b", "an empty field"),
	MBAD("=x", "an empty field"),
	T("/a", "tmpfs - /a"),
	T("/a:size=64m,mode=1777", "tmpfs - /a size=67108864 mode=1777"),
	T("/a:rw,noexec,nosuid,nodev", "tmpfs - /a exec0 dev0 suid0"),
	T("/a:ro", "tmpfs - /a ro"),
	T("/a:exec,noatime", "tmpfs - /a exec1 atime1"),
	T("/a:size=50%", "tmpfs - /a opts=size=50%"),
	T("/a:uid=1000,gid=0,nr_inodes=1k,huge=never", "tmpfs - /a opts=uid=1000,gid=0,nr_inodes=1k,huge=never"),
	T("/a:", "tmpfs - /a"),
	TBAD("a", "not an absolute path"),
	TBAD("/", "the root of the container"),
	TBAD("/a:size=x", "not a size"),
	TBAD("/a:size=999999999999g", "too large"),
	TBAD("/a:mode=8", "octal"),
	TBAD("/a:mode=-1", "octal"),
	TBAD("/a:mode=17777", "octal"),
	TBAD("/a:uid=x", "not an id"),
	TBAD("/a:uid=0\\,x", "not an id"),
	TBAD("/a:nr_inodes=1kk", "not a number"),
	TBAD("/a:huge=x", "is expected"),
	TBAD("/a:mpol=bind:0", "not supported"),
	TBAD("/a:tmpcopyup", "not supported"),
	TBAD("/a:shared", "no meaning"),
	TBAD("/a:sise=3", "unknown option 'sise'"),
};

static void flag(struct str *out, const char *name, int value)
{
	if (value >= 0)
		str_addf(out, " %s%d", name, value);
}

static void render(const struct mount_opt *m, struct str *out)
{
	static const char *const kinds[] = {"bind", "tmpfs", "volume", "image", "devpts"};
	str_addf(out, "%s %s %s", kinds[m->kind], m->source ? m->source : "-", m->target);
	str_addf(out, "%s%s%s", m->read_only ? " ro" : "",
		 m->kind == MOUNT_KIND_BIND && m->recursive_bind ? " rbind" : "", m->create_source ? " create" : "");
	flag(out, "exec", m->exec);
	flag(out, "dev", m->dev);
	flag(out, "suid", m->suid);
	if (m->relabel)
		str_addf(out, " %c", m->relabel);
	str_addf(out, "%s%s", m->chown ? " U" : "", m->overlay ? " O" : "");
	if (m->upperdir)
		str_addf(out, " upper=%s work=%s", m->upperdir, m->workdir);
	flag(out, "copy", m->copy);
	if (m->propagation)
		str_addf(out, " prop%d", (int)m->propagation);
	if (m->atime)
		str_addf(out, " atime%d", (int)m->atime);
	if (m->tmpfs_size >= 0)
		str_addf(out, " size=%lld", (long long)m->tmpfs_size);
	if (m->tmpfs_mode >= 0)
		str_addf(out, " mode=%o", (unsigned)m->tmpfs_mode);
	if (m->tmpfs_options)
		str_addf(out, " opts=%s", m->tmpfs_options);
	if (m->subpath)
		str_addf(out, " sub=%s", m->subpath);
}

static void test_mounts(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct mount_case *c = &cases[i];
		struct run_opts o;
		struct err e = ERR_INIT;
		autostr struct str got = STR_INIT;
		run_opts_init(&o);
		int r = c->fn(&o, c->value, &e);
		if (o.nmounts)
			render(&o.mounts[0], &got);
		if (c->want) {
			if (!tap_ok(r == 0 && o.nmounts == 1 && str_eq(got.buf, c->want), "'%s' is %s", c->value,
				    c->want))
				tap_diag("got %d '%s' %s", r, got.buf, e.text);
		} else if (!tap_ok(r < 0 && r == -e.code && !o.nmounts && strstr(e.text, c->error),
				   "'%s' is refused: %s", c->value, e.text)) {
			tap_diag("got %d '%s', wanted '%s'", r, got.buf, c->error);
		}
		run_opts_free(&o);
	}
}

static void test_devices(void)
{
	static const struct {
		const char *value;
		const char *want; /* NULL: refused */
	} devices[] = {
		{"/dev/fuse", "/dev/fuse /dev/fuse rwm"},
		{"/dev/fuse:/dev/x", "/dev/fuse /dev/x rwm"},
		{"/dev/fuse:/dev/x:r", "/dev/fuse /dev/x r"},
		{"/dev/fuse:rw", "/dev/fuse /dev/fuse rw"},
		{"/dev/../dev/fuse", "/dev/fuse /dev/fuse rwm"},
		{"fuse", NULL},
		{"/dev/fuse:", NULL},
		{"/dev/fuse:x", NULL},
		{"/dev/fuse:/x:", NULL},
		{"/dev/fuse:/x:rwx", NULL},
		{"/dev/a:/b:r:w", NULL},
		{"vendor.com/gpu=all", NULL},
		{"", NULL},
		{"/dev/fuse:r:/x", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct run_opts o;
		struct err e = ERR_INIT;
		autostr struct str got = STR_INIT;
		run_opts_init(&o);
		int r = run_opts_device(&o, devices[i].value, &e);
		if (o.ndevices)
			str_addf(&got, "%s %s %s%s%s", o.devices[0].source, o.devices[0].target,
				 o.devices[0].read ? "r" : "", o.devices[0].write ? "w" : "",
				 o.devices[0].mknod ? "m" : "");
		tap_ok(devices[i].want ? r == 0 && str_eq(got.buf, devices[i].want) : r < 0 && !o.ndevices,
		       "--device '%s' is %s", devices[i].value, devices[i].want ? devices[i].want : e.text);
		run_opts_free(&o);
	}
}

static void test_read_only_tmpfs(void)
{
	struct run_opts o;
	struct err e = ERR_INIT;
	run_opts_init(&o);
	tap_ok(run_opts_volume(&o, "/a:/tmp", &e) == 0, "a mount of one's own on /tmp");
	run_opts_add_read_only_tmpfs(&o);
	tap_ok(o.nmounts == 3 && str_eq(o.mounts[1].target, "/run") && str_eq(o.mounts[2].target, "/var/tmp") &&
		       o.mounts[2].tmpfs_mode == 01777 && o.mounts[1].kind == MOUNT_KIND_TMPFS,
	       "--read-only-tmpfs mounts where nothing is mounted");
	tap_ok(run_opts_check(&o, &e) == 0, "and never twice on one place");
	run_opts_free(&o);
}

int main(void)
{
	tap_plan_later();
	test_mounts();
	test_devices();
	test_read_only_tmpfs();
	return tap_done();
}
