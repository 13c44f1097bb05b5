/*
 * unit.c - the text of a unit; see unit.h for what is in it and why.
 */
#include "rl/svc/unit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

enum { STOP_MARGIN_S = 30 };

void unit_quote(const char *word, struct str *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%$";
	bool quoted = !*word || word[strspn(word, plain)] || str_eq(word, ";");
	if (quoted)
		str_addc(out, '"');
	for (; *word; word++) {
		unsigned char c = (unsigned char)*word;
		if (c == '%' || c == '$')
			str_addf(out, "%c%c", c, c);
		else if (c == '"' || c == '\\')
			str_addf(out, "\\%c", c);
		else if (c == '\n')
			str_adds(out, "\\n");
		else if (c == '\t')
			str_adds(out, "\\t");
		else if (c < ' ' || c == 0x7f)
			str_addf(out, "\\x%02x", c);
		else
			str_addc(out, (char)c);
	}
	if (quoted)
		str_addc(out, '"');
}

static void add_word(struct str *out, const char *word)
{
	str_addc(out, ' ');
	unit_quote(word, out);
}

/* The program as it is installed; a copy that is on its way out has " (deleted)" behind it. */
static void add_program(struct str *out, const char *root)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		unit_quote(str_after(path, "/memfd:") || str_ends(path, " (deleted)") ? "rl" : path, out);
	} else {
		str_adds(out, "rl");
	}
	/* Which store: systemd's environment is not the caller's. */
	autofree char *option = xasprintf("--root=%s", root);
	add_word(out, option);
}

/* What belongs to the terminal it was typed at, or is systemd's business. */
static bool is_dropped(const char *option)
{
	static const char *const dropped[] = {"detach",	     "rm",	    "replace", "restart", "cidfile",
					      "pidfile",     "name",	    "rmi",     "attach",  "explain",
					      "interactive", "detach-keys", "tty"};
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		const char *rest = str_after(option, "--");
		rest = rest ? str_after(rest, dropped[i]) : NULL;
		if (rest && *rest == '=')
			return true;
	}
	return false;
}

static void add_run(struct str *out, const struct container_rec *rec)
{
	const struct run_opts *o = &rec->config.o;
	str_adds(out, " run --rm --replace");
	autofree char *name = xasprintf("--name=%s", rec->config.name);
	add_word(out, name);
	for (size_t i = 0; i < o->typed.count; i++)
		if (!is_dropped(o->typed.items[i]))
			add_word(out, o->typed.items[i]);
	if (o->image)
		add_word(out, o->image);
	for (size_t i = 0; i < o->command.count; i++)
		add_word(out, o->command.items[i]);
}

static void add_list(struct str *out, const char *key, const struct strv *units)
{
	for (size_t i = 0; units && i < units->count; i++)
		str_addf(out, "%s=%s\n", key, units->items[i]);
}

static void add_unit_section(struct str *out, const struct container_rec *rec, const struct unit_opts *o)
{
	str_addf(out,
		 "[Unit]\nDescription=rl container %s\nDocumentation=man:rl-generate-systemd(1)\n"
		 "Wants=network-online.target\nAfter=network-online.target\n",
		 rec->config.name);
	str_adds(out, "RequiresMountsFor=");
	unit_quote(rec->store->root, out);
	str_addc(out, '\n');
	add_list(out, "Wants", o->wants);
	add_list(out, "After", o->after);
	add_list(out, "Requires", o->requires);
}

static void add_service_section(struct str *out, const struct container_rec *rec, const struct unit_opts *o)
{
	const char *name = o->is_new || o->by_name ? rec->config.name : rec->config.id;
	const char *root = rec->store->root;
	unsigned patience = o->has_stop_timeout ? o->stop_timeout : RL_MIN(rec->config.o.stop_timeout, 1000000U);
	str_adds(out, rec->config.o.sdnotify == SDNOTIFY_IGNORE ? "\n[Service]\nType=exec\n"
								: "\n[Service]\nType=notify\nNotifyAccess=main\n");
	for (size_t i = 0; o->env && i < o->env->count; i++) {
		str_adds(out, "Environment=");
		autostr struct str quoted = STR_INIT;
		unit_quote(o->env->items[i], &quoted);
		/* Variables are not replaced in this line: a '$' stands for itself. */
		for (const char *p = quoted.buf; *p; p += 1 + (p[0] == '$' && p[1] == '$'))
			str_addc(out, *p);
		str_addc(out, '\n');
	}
	if (o->is_new && rec->config.o.create_dir) {
		str_adds(out, "WorkingDirectory=");
		for (const char *p = rec->config.o.create_dir; *p; p++)
			str_addf(out, "%s%c", *p == '%' ? "%" : "", *p);
		str_addc(out, '\n');
	}
	str_addf(out, "Restart=%s\n", o->restart ? o->restart : "on-failure");
	if (o->has_restart_sec)
		str_addf(out, "RestartSec=%u\n", o->restart_sec);
	if (o->start_timeout)
		str_addf(out, "TimeoutStartSec=%u\n", o->start_timeout);
	str_addf(out, "TimeoutStopSec=%u\nSuccessExitStatus=143\nKillMode=mixed\n", patience + STOP_MARGIN_S);
	str_adds(out, "ExecStart=");
	add_program(out, root);
	if (o->is_new) {
		add_run(out, rec);
	} else {
		str_adds(out, " start --attach");
		add_word(out, name);
	}
	str_adds(out, "\nExecStop=");
	add_program(out, root);
	str_addf(out, " stop --ignore --time=%u", patience);
	add_word(out, name);
	/* What is left after a SIGKILL of everything. */
	if (o->is_new) {
		str_adds(out, "\nExecStopPost=-");
		add_program(out, root);
		str_adds(out, " rm --force --volumes --ignore");
		add_word(out, name);
	}
	str_adds(out, "\n\n[Install]\nWantedBy=default.target\n");
}

static int check(const struct container_rec *rec, const struct unit_opts *o, struct err *e)
{
	static const char *const policies[] = {"no",	      "on-success", "on-failure", "on-abnormal",
					       "on-watchdog", "on-abort",   "always"};
	bool known = !o->restart;
	for (size_t i = 0; i < ARRAY_SIZE(policies) && !known; i++)
		known = str_eq(o->restart, policies[i]);
	if (!known)
		return err_set(e, EINVAL,
			       "--restart-policy '%s': no, on-success, on-failure, on-abnormal, on-watchdog, "
			       "on-abort or always is expected",
			       o->restart);
	if (!o->is_new && rec->config.o.rm) {
		err_set(e, EINVAL, "container %s is removed when it ends (--rm): there is nothing to start again",
			rec->config.name);
		return err_hint(e, "--new makes a new one at every start");
	}
	if (!o->is_new && rec->config.o.restart != RESTART_NO)
		log_warn("container %s is restarted by rl itself (--restart); systemd sees only its last end",
			 rec->config.name);
	if (o->is_new && !rec->config.o.create_dir)
		return err_set(e, EINVAL, "container %s was made by an rl that did not keep its options",
			       rec->config.name);
	return 0;
}

int unit_generate(const char *root, const char *container, const struct unit_opts *o, struct str *ret_name,
		  struct str *ret_text, struct err *e)
{
	struct store s;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = container_store_find(&s, container, &rec, e);
	if (r == 0)
		r = check(&rec, o, e);
	if (r == 0) {
		str_addf(ret_name, "%s%s%s.service", o->prefix ? o->prefix : "container",
			 o->separator ? o->separator : "-", o->by_name ? rec.config.name : rec.config.id);
		if (!o->no_header)
			str_addf(ret_text, "# %s: made by rl generate systemd.\n", ret_name->buf);
		add_unit_section(ret_text, &rec, o);
		add_service_section(ret_text, &rec, o);
	}
	store_close(&s);
	return r;
}
