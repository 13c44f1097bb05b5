/*
 * net_log.h - what a container tried to reach: a table in a file of fixed size, written by who judges, read by rl netlog.
 *
 * Model: one entry for each (kind, address, port, name, verdict), with the times of the first and the last try and their
 * number, so that a program that tries forever fills one entry. Refusals and allowed connections have tables of their own:
 * neither pushes the other out. In a full table the entry that was quiet longest makes room, and the header counts that.
 *
 * The file is mapped by its one writer (rl-netd, which may not write files) and read with plain reads. Each entry has a
 * sequence number that is odd while it is being written; a reader that meets one of these or one that changed takes the
 * entry again. What was noted is there when the writer is killed at any moment: the page cache has it. The file is the
 * user's own; a reader believes no index in it.
 *
 * Should: net_log_open where the container starts, net_log_map in the writer, net_log_read anywhere, at any time.
 */
#ifndef RL_ENGINE_NET_LOG_H
#define RL_ENGINE_NET_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"

enum net_log_kind { NET_LOG_TCP, NET_LOG_UDP, NET_LOG_ICMP, NET_LOG_DNS, NET_LOG_KIND_N };

enum {
	NET_LOG_REFUSED = 192, /* entries */
	NET_LOG_ALLOWED = 128,
	NET_LOG_NAME = 256,
};

struct net_log_event {
	enum net_log_kind kind;
	bool allowed;
	int family; /* AF_INET, AF_INET6; 0 for NET_LOG_DNS */
	uint16_t port;
	uint8_t address[16];
	char name[NET_LOG_NAME];    /* the address was an answer for it; NET_LOG_DNS: what was asked for */
	uint64_t first_ns, last_ns; /* wall clock; net_log_note sets them */
	uint64_t count;
};

struct net_log;

/* The file NAME in `dirfd`, made with its full size (so that the writer cannot meet a full disk) unless it is there. */
int net_log_open(int dirfd, const char *name, struct err *e) RL_CHECK;
/* Writer. `fd` stays the caller's. The mapping lives as long as the process or until net_log_unmap. */
int net_log_map(int fd, struct net_log **ret, struct err *e) RL_CHECK;
void net_log_unmap(struct net_log *log);
void net_log_note(struct net_log *log, const struct net_log_event *event);
/* All entries in no order, malloc'd. *ret_lost: how many made room for others. A file that is not there has none. */
int net_log_read(int dirfd, const char *name, struct net_log_event **ret, size_t *ret_count, uint64_t *ret_lost,
		 struct err *e) RL_CHECK;
const char *net_log_kind_name(enum net_log_kind kind);

#endif
