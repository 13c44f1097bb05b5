/*
 * image_text.h - how image verbs show names, ids and times.
 */
#ifndef RL_CMD_IMAGE_TEXT_H
#define RL_CMD_IMAGE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/cmd/verb.h"
#include "rl/svc/image.h"

/* "sha256:0123..." as twelve digits, or all of it. */
char *image_text_id(const char *digest, bool full);

struct image_text_name {
	char *repository; /* "busybox", for podman "docker.io/library/busybox"; "<none>" */
	char *tag;	  /* "<none>" where there is none */
	char *digest;	  /* "<none>" where there is none */
};
void image_text_name(const char *canonical, enum cmd_flavour flavour, struct image_text_name *ret);
void image_text_name_free(struct image_text_name *n);

/* "3 days ago", and "N/A" for times nobody knows. */
char *image_text_ago(const char *rfc3339, int64_t now);

#endif
