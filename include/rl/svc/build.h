/*
 * build.h - `rl build`: a Dockerfile and a context become an image.
 *
 * Model: the Dockerfile is parsed (rl/model/dockerfile.h) and planned: stages that the target does not need are dropped,
 * and every other stage becomes a list of steps whose environment, user, directory and words are final. A step that
 * touches files (RUN, COPY, ADD, WORKDIR) has a key: a digest of what it starts from and of everything that can change
 * its result - for COPY the bytes, modes and names of the files. If the store's build cache knows the key, its layer is
 * taken; otherwise the step is done by a child process on an overlay whose upper directory becomes the layer without
 * being copied, and is packed (rl-image `pack-layers`) while the next step runs. Stages that do not wait for each other
 * are done side by side.
 *
 * Cache: cache/build/KEY in the store, one small file per step, shared by all builds; garbage collection keeps what they
 * name. A step is there whole or not at all: it is written after its layer was published. SIGKILL at any moment leaves
 * finished steps and rubbish in tmp/, nothing else.
 *
 * Secrets (--secret, --ssh) are given to a step in memory of its own; they are in no key, layer, history or log.
 *
 * Ownership: struct build_opts owns its members (build_opts_init, build_opts_free). build_image prints progress to
 * standard error (or the log file) itself, because it happens while it works; the image's id is returned.
 * Errors: -EINVAL with the place in the Dockerfile printed above it; a command that fails: -ECHILD, exit status that of
 * the command. Context: host side, one thread, ordinary user.
 */
#ifndef RL_SVC_BUILD_H
#define RL_SVC_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/model/run_opts.h"
#include "rl/svc/image.h"

enum build_progress { BUILD_PROGRESS_AUTO, BUILD_PROGRESS_PLAIN, BUILD_PROGRESS_TTY, BUILD_PROGRESS_QUIET };

struct build_opts {
	struct run_opts run; /* what every RUN gets: --network, --add-host, --dns, -v, --ulimit, --cap-add, ... */
	char *context;	     /* directory, "-", archive, URL of an archive or of a git repository */
	char *file;	     /* -f; NULL: Containerfile or Dockerfile of the context; "-": standard input */
	char *ignorefile;
	struct strv tags;
	char *target;
	struct strv build_args; /* "K=V", or "K": the caller's */
	struct strv build_arg_files;
	struct strv build_contexts; /* "NAME=WHERE" */
	struct strv secrets;	    /* id=X[,src=F|,env=V] */
	struct strv ssh;	    /* default|ID[=SOCKET] */
	struct strv labels;
	struct strv annotations;
	struct strv outputs; /* type=...,dest=... */
	struct strv unset_env;
	struct strv cache_from; /* type=local,src=DIR | type=registry,ref=NAME | NAME | DIR */
	struct strv cache_to;	/* type=local,dest=DIR | type=registry,ref=NAME | type=inline */
	char *platform;
	char *iidfile;
	char *metadata_file;
	char *logfile;
	char *progress;		 /* auto, plain, tty */
	char *timestamp;	 /* seconds since 1970: every time in new layers is this */
	char *source_date_epoch; /* times later than this become it; default: SOURCE_DATE_EPOCH of the environment */
	enum pull_policy pull;
	struct image_registry registry; /* how those of base images and of the shared cache are reached; borrowed */
	unsigned jobs;			/* 0: as many as there are CPUs, at least 2 */
	bool no_cache;
	bool quiet;
	bool keep_failed;
	bool explain; /* print the steps and what the cache knows; do nothing */
	bool verify;  /* build a second time without the cache and compare */
	bool omit_history;
	bool squash;			 /* one layer on top of the base image */
	enum tristate rewrite_timestamp; /* NO: times of files stay what they are, whatever --source-date-epoch says */
};

void build_opts_init(struct build_opts *o);
void build_opts_free(struct build_opts *o);

/* Build; *ret_id gets the image id ("sha256:..."), or what --explain has to say. `root` is --root or NULL. */
int build_image(struct build_opts *o, const char *root, struct str *ret_id, struct err *e) RL_CHECK;

/* Forget the steps of the cache last used more than `older_than` seconds ago (0: all), and collect what they kept.
 * Returns how many there were. */
int build_cache_prune(const char *root, int64_t older_than, int64_t *ret_bytes, struct err *e) RL_CHECK;

#endif
