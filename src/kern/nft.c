/*
 * nft.c - see nft.h.
 *
 * A batch is one datagram: NFNL_MSG_BATCH_BEGIN, the messages, NFNL_MSG_BATCH_END. The kernel applies all of it or
 * nothing. Each message asks for an acknowledgement, so that one that fails is known; an error of the batch as a whole
 * comes with the number of its first message.
 */
#include "rl/kern/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"

enum { ANSWER_MAX = 8 << 20 };

/* ---- the program ---- */

static int input_of(const char *text, struct err *e)
{
	autofd int fd = memfd_create("nft", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "memfd");
	int r = io_write_all(fd, text, strlen(text), e);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "seek");
	return take_fd(&fd);
}

static int spawn(char *const *argv, int in, int out, int complaints, struct proc_child *ret, struct err *e)
{
	/* Ordinary users do not have it in their PATH. */
	static const char *const places[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"};
	const char *path = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(places) && !path; i++)
		if (access(places[i], X_OK) == 0)
			path = places[i];
	if (!path)
		return err_set(e, ENOENT, "the program nft is not installed");
	return proc_spawn(&(struct proc_spawn){.path = path,
					       .argv = argv,
					       .stdin_fd = in,
					       .stdout_fd = out,
					       .stderr_fd = complaints,
					       .new_session = true},
			  ret, e);
}

static int read_back(int fd, struct str *out, struct err *e)
{
	char buf[4096];
	ssize_t n;
	off_t at = 0;
	while ((n = pread(fd, buf, sizeof(buf), at)) > 0 && out->len < ANSWER_MAX) {
		str_add(out, buf, (size_t)n);
		at += n;
	}
	return n < 0 ? err_sys(e, errno, "read what nft said") : 0;
}

static int run(char *const *argv, const char *text, struct str *ret_out, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	autostr struct str said = STR_INIT;
	autofd int in = input_of(text, e);
	autofd int out = memfd_create("nft-out", MFD_CLOEXEC);
	autofd int complaints = memfd_create("nft-err", MFD_CLOEXEC);
	if (in < 0)
		return in;
	if (out < 0 || complaints < 0)
		return err_sys(e, errno, "memfd");
	int r = spawn(argv, in, out, complaints, &child, e);
	if (r < 0)
		return r;
	r = proc_wait(&child, "nft", e);
	if (r > 0) {
		(void)!read_back(complaints, &said, NULL);
		return err_set(e, EIO, "nft: %.*s", (int)strcspn(said.buf, "\n"), said.buf);
	}
	return r < 0 || !ret_out ? r : read_back(out, ret_out, e);
}

int nft_run(const char *text, struct err *e)
{
	char *argv[] = {(char *)(uintptr_t) "nft", (char *)(uintptr_t) "-f", (char *)(uintptr_t) "-", NULL};
	return run(argv, text, NULL, e);
}

int nft_list_rules(struct str *ret_json, struct err *e)
{
	char *argv[] = {(char *)(uintptr_t) "nft",  (char *)(uintptr_t) "-j",	   (char *)(uintptr_t) "-t",
			(char *)(uintptr_t) "list", (char *)(uintptr_t) "ruleset", NULL};
	return run(argv, "", ret_json, e);
}

/* ---- elements ---- */

static void *reserve(struct nft_batch *b, size_t len)
{
	size_t aligned = NLMSG_ALIGN(len);
	if (b->overflow || sizeof(b->bytes) - b->len < aligned) {
		b->overflow = true;
		return NULL;
	}
	void *p = b->bytes + b->len;
	memset(p, 0, aligned);
	b->len += (uint32_t)aligned;
	return p;
}

static struct nlmsghdr *begin(struct nft_batch *b, int type, int flags, uint8_t family, uint16_t resource)
{
	struct nlmsghdr *h = reserve(b, NLMSG_LENGTH(sizeof(struct nfgenmsg)));
	if (!h)
		return NULL;
	struct nfgenmsg *g = NLMSG_DATA(h);
	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = b->seq++;
	*g = (struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
	return h;
}

static void end(struct nft_batch *b, struct nlmsghdr *h)
{
	if (h)
		h->nlmsg_len = (uint32_t)(b->bytes + b->len - (unsigned char *)h);
}

static struct nlattr *put(struct nft_batch *b, int type, const void *data, size_t len)
{
	struct nlattr *a = reserve(b, NLA_HDRLEN + len);
	if (!a)
		return NULL;
	a->nla_type = (uint16_t)type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy((unsigned char *)a + NLA_HDRLEN, data, len);
	return a;
}

static struct nlattr *nest(struct nft_batch *b, int type)
{
	return put(b, type | NLA_F_NESTED, NULL, 0);
}

static void nest_end(const struct nft_batch *b, struct nlattr *a)
{
	if (a)
		a->nla_len = (uint16_t)(b->bytes + b->len - (unsigned char *)a);
}

static void put_value(struct nft_batch *b, int type, const unsigned char *bytes, size_t len)
{
	struct nlattr *a = nest(b, type);
	(void)put(b, NFTA_DATA_VALUE, bytes, len);
	nest_end(b, a);
}

void nft_begin(struct nft_batch *b)
{
	b->len = 0;
	b->seq = 1;
	b->overflow = false;
	end(b, begin(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

void nft_element(struct nft_batch *b, const struct nft_element *x, bool add)
{
	int type = NFNL_SUBSYS_NFTABLES << 8 | (add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
	struct nlmsghdr *h = begin(b, type, NLM_F_ACK | (add ? NLM_F_CREATE : 0), x->family, 0);
	(void)put(b, NFTA_SET_ELEM_LIST_TABLE, x->table, strlen(x->table) + 1);
	(void)put(b, NFTA_SET_ELEM_LIST_SET, x->set, strlen(x->set) + 1);
	struct nlattr *list = nest(b, NFTA_SET_ELEM_LIST_ELEMENTS);
	struct nlattr *one = nest(b, NFTA_LIST_ELEM);
	put_value(b, NFTA_SET_ELEM_KEY, x->key, x->key_len);
	if (add && x->data_len)
		put_value(b, NFTA_SET_ELEM_DATA, x->data, x->data_len);
	nest_end(b, one);
	nest_end(b, list);
	end(b, h);
}

void nft_put(unsigned char to[NFT_DATA_MAX], size_t *len, const void *part, size_t part_len)
{
	size_t padded = NLMSG_ALIGN(part_len);
	if (padded > NFT_DATA_MAX - *len)
		return;
	memset(to + *len, 0, padded);
	memcpy(to + *len, part, part_len);
	*len += padded;
}

int nft_open(struct err *e)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	return fd < 0 ? err_sys(e, errno, "netfilter socket") : fd;
}

int nft_watch(struct err *e)
{
	const int group = NFNLGRP_NFTABLES;
	const struct sockaddr_nl own = {.nl_family = AF_NETLINK}; /* without an address it would hear nothing */
	autofd int fd = nft_open(e);
	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)&own, sizeof(own)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return err_sys(e, errno, "watch nftables");
	return take_fd(&fd);
}

/* In all messages about a table or what is in it the first attribute's number is that of the table's name. */
static bool is_about_others(const struct nlmsghdr *h, const char *ours)
{
	const size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	const struct nlattr *a = (const void *)((const char *)h + head);
	if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || (h->nlmsg_type & 0xff) == NFT_MSG_NEWGEN)
		return false;
	for (size_t left = h->nlmsg_len > head ? h->nlmsg_len - head : 0;
	     left >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= left;) {
		const char *name = (const char *)a + NLA_HDRLEN;
		size_t step = NLA_ALIGN(a->nla_len);
		if ((a->nla_type & NLA_TYPE_MASK) == NFTA_TABLE_NAME)
			return strnlen(name, a->nla_len - NLA_HDRLEN) < strlen(ours) ||
			       memcmp(name, ours, strlen(ours)) != 0;
		left -= RL_MIN(left, step);
		a = (const void *)((const char *)a + step);
	}
	return true;
}

bool nft_has_changed(int watch, const char *ours)
{
	_Alignas(8) unsigned char buf[8192];
	bool changed = false;
	for (;;) {
		ssize_t n = recv(watch, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == EAGAIN)
			return changed;
		if (n < 0 && errno == EINTR)
			continue;
		changed |= n < 0 || (size_t)n > sizeof(buf);
		if (n < 0 && errno != ENOBUFS)
			return true;
		size_t left = n > 0 ? RL_MIN((size_t)n, sizeof(buf)) : 0;
		for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			changed |= is_about_others(h, ours);
	}
}

/* The messages between begin and end have the numbers 2 to last. 1: all have been acknowledged. */
static int read_acks(const unsigned char *buf, size_t n, uint32_t last, struct err *e)
{
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		const struct nlmsgerr *report = NLMSG_DATA(h);
		if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*report)))
			continue;
		if (report->error)
			return err_sys(e, -report->error, "change a set of nftables");
		if (h->nlmsg_seq == last)
			return 1;
	}
	return 0;
}

int nft_commit(int sock, struct nft_batch *b, struct err *e)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	uint32_t last = b->seq - 1;
	_Alignas(8) unsigned char buf[4096];
	end(b, begin(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	if (b->overflow)
		return err_set(e, E2BIG, "too many changes of nftables at once");
	if (last < 2)
		return 0;
	ssize_t n;
	do /* with the kernel's address: who sends is asked for the right to, not who opened the socket */
		n = sendto(sock, b->bytes, b->len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "send to netfilter");
	int r = 0;
	while (r == 0) {
		n = recv(sock, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? err_sys(e, errno, "receive from netfilter") : read_acks(buf, (size_t)n, last, e);
	}
	/* Acknowledgements that came with an error are nobody's any more. */
	while (r < 0 && recv(sock, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	return r < 0 ? r : 0;
}
