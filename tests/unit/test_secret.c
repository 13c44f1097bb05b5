/* links: svc engine/store engine/copy engine/runtime engine/net engine/stdio kern model base */
/* Secrets: what --secret says, what is kept, and that nothing stays in memory that is asked to go. */
#include "rl/svc/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "tap.h"

/* "name target env uid gid mode", or the errno. */
static const char *parsed(const char *text)
{
	static char out[256];
	struct err e = ERR_INIT;
	struct run_opts o;
	run_opts_init(&o);
	int r = run_opts_secret(&o, text, &e);
	const struct secret_opt *s = o.secrets;
	if (r < 0)
		snprintf(out, sizeof(out), "%s", strerrorname_np(-r));
	else
		snprintf(out, sizeof(out), "%s %s %d %u %u %o", s->name, s->target, s->env, s->uid, s->gid, s->mode);
	run_opts_free(&o);
	return out;
}

static void grammar(void)
{
	tap_is_str(parsed("key"), "key /run/secrets/key 0 0 0 444", "a name alone is a file in /run/secrets");
	tap_is_str(parsed("source=key,target=k,uid=1,gid=2,mode=0400"), "key /run/secrets/k 0 1 2 400",
		   "every field is read");
	tap_is_str(parsed("key,target=/etc//k"), "key /etc/k 0 0 0 444", "an absolute target is kept");
	tap_is_str(parsed("key,type=env,target=TOKEN"), "key TOKEN 1 0 0 444", "a variable has a name");
	tap_is_str(parsed("key,type=env"), "key key 1 0 0 444", "which is the secret's if none is given");
	tap_is_str(parsed("key,type=env,mode=400"), "EINVAL", "a variable has no mode");
	tap_is_str(parsed("key,target=../../etc/x"), "EINVAL", "a target with .. is refused");
	tap_is_str(parsed("../key"), "EINVAL", "so is a name that leads away");
	tap_is_str(parsed("key,mode=888"), "EINVAL", "a mode that is not octal");
	tap_is_str(parsed("key,mode=4755"), "EINVAL", "a set-id mode");
	tap_is_str(parsed("key,type=pipe"), "EINVAL", "a type that is none");
	tap_is_str(parsed("key,extra"), "EINVAL", "and a word without a value");
}

static void kept(const char *root)
{
	struct err e = ERR_INIT;
	autostr struct str data = STR_INIT;
	autostr struct str id = STR_INIT;
	autostrv struct strv none = STRV_INIT;
	struct run_opts o;
	struct rtspec spec;
	struct store s;
	str_add(&data, "a\0b\n{", 5);
	const struct secret_create_opts c = {.name = "key", .labels = &none};
	tap_is_int(secret_create(root, &c, &data, &id, &e), 0, "a secret is made");
	tap_is_int(secret_create(root, &c, &data, &id, &e), -EEXIST, "only once");
	run_opts_init(&o);
	rtspec_init(&spec);
	int r = run_opts_secret(&o, "key", &e) | store_open(root, true, &s, &e);
	tap_ok(r == 0 && secret_add_to_spec(&s, &o, &spec, &e) == 0 && spec.nsecrets == 1, "it goes into a spec");
	tap_ok(spec.secrets[0].len == 5 && memcmp(spec.secrets[0].data, "a\0b\n{", 5) == 0, "byte for byte");
	rtspec_drop_secrets(&spec);
	tap_ok(spec.nsecrets == 0 && !spec.secrets, "and out of it");
	o.secrets[0].env = true;
	tap_is_int(secret_add_to_spec(&s, &o, &spec, &e), -EINVAL, "bytes with a NUL are no variable");
	store_close(&s);
	rtspec_free(&spec);
	run_opts_free(&o);
	tap_is_int(secret_remove(root, id.buf, &e), 0, "it is removed by id");
	tap_is_int(secret_exists(root, "key", &e), 0, "and gone");
}

int main(void)
{
	struct err e = ERR_INIT;
	char dir[] = "/var/tmp/test_secret.XXXXXX";
	tap_plan_later();
	grammar();
	if (!mkdtemp(dir))
		return 1;
	kept(dir);
	tap_is_int(io_remove_tree(AT_FDCWD, dir, &e), 0, "all of it can be removed");
	return tap_done();
}
