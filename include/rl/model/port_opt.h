/*
 * port_opt.h - the grammar of -p and --expose.
 *
 *     [ADDRESS:][HOST[-HOST]:]INSIDE[-INSIDE][/tcp|/udp]
 *
 * ADDRESS is an IPv4 address or an IPv6 address in brackets; without HOST (also in "ADDRESS::INSIDE"), and with 0 there,
 * the kernel chooses the host's port. Two ranges must be of the same length; a range of the host's for one port inside means the first that
 * is free. Everything else is -EINVAL with a text that quotes the value.
 */
#ifndef RL_MODEL_PORT_OPT_H
#define RL_MODEL_PORT_OPT_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

struct port_opt {
	char address[48];		/* "": all addresses */
	uint16_t host_first, host_last; /* 0: chosen by the kernel */
	uint16_t first, last;		/* inside */
	bool udp;
};

int port_opt_parse(const char *text, struct port_opt *ret, struct err *e) RL_CHECK;
/* --expose and an image's ExposedPorts: INSIDE[-INSIDE][/PROTOCOL]. */
int port_opt_parse_expose(const char *text, struct port_opt *ret, struct err *e) RL_CHECK;
/* Any port of the host, or any of a range, will do. */
bool port_opt_is_choice(const struct port_opt *p);
/* Would these two want the same socket of the host? */
bool port_opt_collide(const struct port_opt *a, const struct port_opt *b);
/* Every -p of a list can be parsed and no two collide. */
int port_opt_check_all(const struct strv *publish, struct err *e) RL_CHECK;

#endif
