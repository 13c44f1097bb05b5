/*
 * nft.h - nftables: rules by the program nft, elements of sets and maps by ourselves.
 *
 * Rules are text for nft(8), which every administrator reads and which checks them better than an encoder of ours would.
 * It takes 10 to 20 ms to start, so it is asked when a network begins and ends, never when a container does. What changes
 * with each container is in sets and maps of those rules; their elements go into the kernel directly, by one message, in
 * microseconds. libnftables was left out: it is as slow, and its parser would be in our process.
 *
 * Calling sequence:
 *     r = nft_run("add table inet x", e);          in the network namespace of the calling process
 *     struct nft_batch b;
 *     nft_begin(&b);
 *     nft_element(&b, &(struct nft_element){...}, true); queue
 *     int sock = nft_open(e);                            stays in that namespace
 *     r = nft_commit(sock, &b, e);                       all of them or none
 *
 * Context: CAP_NET_ADMIN in the user namespace that owns the network namespace. No privileges are needed for a namespace
 * of one's own.
 * Sources: nft(8), linux/netfilter/nf_tables.h, libnftables(3).
 */
#ifndef RL_KERN_NFT_H
#define RL_KERN_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum { NFT_BATCH_BYTES = 8192, NFT_DATA_MAX = 48 };

/* Run `nft -f -` on the text; all of it is done or nothing. -ENOENT: there is no nft. */
int nft_run(const char *text, struct err *e) RL_CHECK;
/* What `nft -j -t list ruleset` prints: everybody's, without the elements of sets. */
int nft_list_rules(struct str *ret_json, struct err *e) RL_CHECK;

/* One element. Bytes as the kernel has them: each part of a concatenated key is padded to a multiple of four. */
struct nft_element {
	uint8_t family; /* NFPROTO_BRIDGE, NFPROTO_INET */
	const char *table, *set;
	unsigned char key[NFT_DATA_MAX];
	size_t key_len;
	unsigned char data[NFT_DATA_MAX]; /* of a map */
	size_t data_len;		  /* 0: a set */
};

struct nft_batch {
	uint32_t len, seq;
	bool overflow;
	_Alignas(8) unsigned char bytes[NFT_BATCH_BYTES];
};

void nft_begin(struct nft_batch *b);
void nft_element(struct nft_batch *b, const struct nft_element *x, bool add);
/* A part of a key or of data: `len` bytes, padded. */
void nft_put(unsigned char to[NFT_DATA_MAX], size_t *len, const void *part, size_t part_len);
int nft_open(struct err *e) RL_CHECK;
/* A socket that hears of every change in this namespace from now on. */
int nft_watch(struct err *e) RL_CHECK;
/* Since the last time, has anything changed in a table whose name does not begin with `ours`? What could not be kept for us
 * counts as a change. */
bool nft_has_changed(int watch, const char *ours);
int nft_commit(int sock, struct nft_batch *b, struct err *e) RL_CHECK;

#endif
