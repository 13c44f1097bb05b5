/*
 * image_platform.h - may this machine run an image that was made for another one?
 *
 * Model: an image is for an operating system, an architecture and perhaps a variant. What is not the machine's own
 * architecture runs if the processor can (386 on amd64), or if the kernel's binfmt_misc has an enabled interpreter for
 * ELF files of that machine which the kernel opened when it was registered (flag F): any other one would have to be
 * inside the image. Context: host side; reads files, changes nothing.
 */
#ifndef RL_SVC_IMAGE_PLATFORM_H
#define RL_SVC_IMAGE_PLATFORM_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"

#define IMAGE_BINFMT_DIR "/proc/sys/fs/binfmt_misc"

/* The config's "os/architecture[/variant]" is what `wanted` says (its parts that are given). NULL: anything is. */
bool image_platform_matches(const json_t *config, const char *wanted);

/* 0, or -ENOEXEC with the reason and what could be done. `ref`: what the image is called in the text. */
int image_platform_check(const json_t *config, const char *ref, const char *binfmt_dir, struct err *e) RL_CHECK;

#endif
