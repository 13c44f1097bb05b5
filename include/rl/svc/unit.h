/*
 * unit.h - a container as a unit of systemd.
 *
 * The unit's main process is rl itself in the foreground, attached: its exit status is the container's, so Restart= sees
 * the truth, and what the container prints is in the journal. Type=notify, because rl says when the command has been
 * executed: what is ordered after the unit starts when the container runs, and a start that fails is a failed start
 * (Type=exec would be content with rl's own exec, and Type=forking would lose the exit status to a process that systemd
 * is not the parent of). Stopping is `rl stop` with the container's own signal and patience; KillMode=mixed leaves the
 * rest to it and kills what remains after that. 143 (ended by SIGTERM) counts as success, so that stopping a container by
 * hand is not answered by a restart.
 *
 * Two kinds: of a container that exists (`rl start -a`), and `new`: every start makes a new container with the options
 * of the old one (`rl run --rm --replace`), which then is only a pattern and may be removed.
 */
#ifndef RL_SVC_UNIT_H
#define RL_SVC_UNIT_H

#include "rl/base/err.h"
#include "rl/base/str.h"

struct unit_opts {
	bool is_new;
	bool by_name;	      /* the name and not the id in the unit's name and commands */
	const char *restart;  /* on-failure, always, ... */
	unsigned restart_sec; /* with has_restart_sec */
	bool has_restart_sec;
	unsigned stop_timeout; /* with has_stop_timeout; else the container's */
	bool has_stop_timeout;
	unsigned start_timeout;			     /* 0: systemd's */
	const char *prefix;			     /* "container" */
	const char *separator;			     /* "-" */
	const struct strv *wants, *after, *requires; /* further units */
	const struct strv *env;			     /* "NAME=value" */
	bool no_header;
};

/* ret_name: "container-web.service". */
int unit_generate(const char *root, const char *container, const struct unit_opts *o, struct str *ret_name,
		  struct str *ret_text, struct err *e) RL_CHECK;

/* One word of a command line as units quote it: "%" and "$" doubled, quoted where it must be. */
void unit_quote(const char *word, struct str *out);

#endif
