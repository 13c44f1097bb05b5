/*
 * emptyroot.h - a root file system with nothing in it, for helpers that parse hostile input.
 *
 * Should: be called in a mount namespace of the caller's own, with CAP_SYS_ADMIN in the user namespace that owns it.
 * Mustn't: need a path of the host's afterwards. The new root is mounted on top of the old one, becomes the root, and
 * the old one is unmounted: from then on there is no path, mount or descriptor that leads back.
 */
#ifndef RL_KERN_EMPTYROOT_H
#define RL_KERN_EMPTYROOT_H

#include "rl/base/err.h"

/* A tmpfs for a handful of inodes; stays writable until it is closed. */
int emptyroot_enter(struct err *e) RL_CHECK;
int emptyroot_close(struct err *e) RL_CHECK;
/* Lower a limit for good; one that is lower already stays. */
int emptyroot_limit(int resource, unsigned long long value, struct err *e) RL_CHECK;
/* Keep only the capabilities of the mask (1 << CAP_...), in every set that matters; the bounding set is emptied. */
int emptyroot_keep_caps(unsigned long long mask, struct err *e) RL_CHECK;

#endif
