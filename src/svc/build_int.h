/*
 * build_int.h - what the files of svc/build share: one build.
 *
 *   build.c          the order of things, and the options           build_digest.c  SHA-256 (libcrypto, opened on use)
 *   build_context.c  where the files come from, ignore files        build_tree.c    digest of files for COPY's key
 *   build_plan.c     stages: found, needed, ordered, bases          build_cache.c   cache/build
 *   build_config.c   instructions that change the config            build_pack.c    rl-image pack-layers
 *   build_step.c     RUN, COPY, ADD, WORKDIR to steps               build_exec.c    scheduling, children
 *   build_run.c      a RUN step in its child                        build_copy.c    COPY, ADD, WORKDIR in theirs
 *   build_copy_tree.c  objects and trees copied
 *   build_show.c     progress                                       build_finish.c  config, manifest, names
 *   build_output.c   -o                                             build_squash.c  --squash
 *   build_share.c    --cache-from, --cache-to
 */
#ifndef RL_SVC_BUILD_INT_H
#define RL_SVC_BUILD_INT_H

#include <sys/types.h>

#include "rl/base/event.h"
#include "rl/base/json.h"
#include "rl/base/proc.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/model/dockerfile.h"
#include "rl/model/ignore.h"
#include "rl/model/rtspec.h"
#include "rl/svc/build.h"
#include "rl/svc/image.h"

/* In the container's own /dev, so that nothing of it is left in the layer. */
#define BUILD_SCRIPT "/dev/rl-script"

#define BUILD_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Member of an image config: steps and the layers they made (build_share.c). */
#define BUILD_SHARED_KEY "rl.build.cache"

enum { BUILD_KEY_SIZE = 65, BUILD_LAYERS_MAX = 498, BUILD_TAIL_MAX = 64 };

/* ---- digests ---- */

struct build_crypto {
	void *lib;
	void *(*ctx_new)(void);
	void (*ctx_free)(void *);
	const void *(*sha256)(void);
	int (*init)(void *ctx, const void *type, void *engine);
	int (*update)(void *ctx, const void *data, size_t len);
	int (*final)(void *ctx, unsigned char *out, unsigned *len);
};

struct build_hash {
	const struct build_crypto *crypto;
	void *ctx;
};

int build_crypto_open(struct build_crypto *ret, struct err *e) RL_CHECK;
void build_hash_begin(struct build_hash *h, const struct build_crypto *c);
void build_hash_add(struct build_hash *h, const void *data, size_t len);
/* A text with its length before it, so that two lists of texts are never the same bytes. */
void build_hash_text(struct build_hash *h, const char *text);
void build_hash_strv(struct build_hash *h, const struct strv *v);
/* 64 hex digits; ends the hash. */
void build_hash_end(struct build_hash *h, char ret_hex[BUILD_KEY_SIZE]);

/* ---- layers ---- */

struct build_layer {
	char diff_id[STORE_DIGEST_SIZE]; /* "" until it is packed */
	char blob[STORE_DIGEST_SIZE];
	char key[BUILD_KEY_SIZE]; /* of the unpacked directory below layers/MAP */
	const char *media_type;	  /* static */
	int64_t blob_size, unpacked_size;
	int dirfd;     /* O_PATH of the tree */
	char work[32]; /* name in the work directory until it is published, "" */
	bool packing, empty;
	size_t pack_index; /* in rl-image's table + 1; 0: it does not know it */
};

/* ---- sources of COPY ---- */

enum build_source_kind { BUILD_FROM_CONTEXT, BUILD_FROM_LAYERS, BUILD_FROM_HEREDOC, BUILD_FROM_URL, BUILD_FROM_GIT };

struct build_source {
	enum build_source_kind kind;
	char *path; /* pattern below the root, URL, or the name of a here-document's file */
	char *text; /* here-document */
	unsigned line, column;
	size_t pivot; /* --parents: components in front of "/./", which the copy's path does not have */
	/* found when the step's turn comes */
	struct strv found; /* paths below the root that the pattern stands for */
	int fd;		   /* file that was fetched, or unpacked directory; -1 */
	bool archive;	   /* ADD: it is a tar to be unpacked */
};

/* ---- steps ---- */

enum build_step_kind { BUILD_STEP_META, BUILD_STEP_RUN, BUILD_STEP_COPY, BUILD_STEP_WORKDIR };

struct build_mount {
	enum { BUILD_MOUNT_BIND, BUILD_MOUNT_CACHE, BUILD_MOUNT_TMPFS, BUILD_MOUNT_SECRET, BUILD_MOUNT_SSH } kind;
	char *target, *source, *from, *id, *env;
	enum { BUILD_SHARED, BUILD_PRIVATE, BUILD_LOCKED } sharing;
	bool read_only, required;
	int64_t size;
	uint32_t mode, uid, gid;
	bool owner_given;
	int stage, extra; /* of from=, -1 */
};

enum build_state { BUILD_WAITING, BUILD_RUNNING, BUILD_DONE };

struct build_step {
	enum build_step_kind kind;
	const struct dockerfile_instr *instr;
	char *text;    /* as shown */
	char *history; /* created_by */
	/* RUN */
	struct strv args, env, arg_env; /* arg_env: of ARG, "K=V", also part of env */
	struct strv secret_env;		/* proxies: in the environment, in no key and no history */
	char *user, *cwd;
	char *network; /* --network of the instruction, or NULL */
	bool insecure;
	struct build_mount *mounts;
	size_t nmounts;
	char *script; /* a here-document with an interpreter of its own: executed as BUILD_SCRIPT */
	/* COPY, ADD */
	struct build_source *sources;
	size_t nsources;
	char *dest;
	char *from_name; /* as written, or NULL */
	int from_stage;	 /* index, -1: the context */
	int from_extra;	 /* index into build.extras, -1 */
	char *chown, *chmod, *checksum;
	struct ignore exclude;
	struct strv excludes; /* its patterns as they are in the key */
	bool whole;	      /* the ignore file does not count: a bind shows all of the context */
	bool is_add, link, parents, keep_git, no_unpack, force_unpack;
	/* result */
	enum build_state state;
	char key[BUILD_KEY_SIZE];
	char why[160]; /* why it is not cached */
	bool cached, empty, saved;
	size_t layer; /* index into build.layers + 1, 0: none */
	int64_t started_ns, took_ns;
	char created[40];
};

struct build_stage {
	char *name; /* "" where it has none */
	char *base;
	unsigned index, line;
	const struct dockerfile_instr *from;
	size_t first, end; /* instructions */
	int base_stage;	   /* -1: image or scratch */
	bool scratch, needed, planned, started;
	json_t *doc;	  /* the image config document, as it is after the instructions seen so far */
	struct strv args; /* ARG in scope: "K=V" (also those without a value: "K") */
	struct strv shell;
	char *base_name, *base_digest;
	size_t *base_layers; /* indices into build.layers, bottom first */
	size_t nbase;
	struct build_step *steps;
	size_t nsteps;
	size_t next;	/* step to be done */
	size_t *layers; /* base's and those of the steps done, bottom first */
	size_t nlayers;
	char key[BUILD_KEY_SIZE]; /* of the file system as it is now */
	struct build_child *child;
	struct str tail; /* of the output of the running step */
};

/* A further source of files: an image, or a named context. */
struct build_extra {
	char *name;
	bool is_image;
	size_t *layers;
	size_t nlayers;
	char *ref; /* of an image */
	int rootfd;
};

struct build_secret {
	char *id, *source, *env;
};

struct build_context {
	int rootfd; /* -1: there is none (Dockerfile from standard input) */
	struct ignore ignore;
	char *dir; /* for messages */
};

struct build {
	struct build_opts *o;
	struct store store;
	struct store_work work;
	struct idmap map;
	struct build_crypto crypto;
	struct build_context context;
	struct dockerfile file;
	char *file_name;	      /* for messages */
	bool from_stdin;	      /* the Dockerfile was all there was */
	struct dockerfile **triggers; /* ONBUILD of base images, parsed */
	size_t ntriggers;
	struct dockerfile_where where;
	struct strv meta_args, build_args;
	struct build_stage *stages;
	size_t nstages;
	size_t target;
	struct build_layer *layers;
	size_t nlayers;
	struct build_extra *extras;
	size_t nextras;
	struct build_secret *secrets, *ssh;
	size_t nsecrets, nssh;
	int skeletonfd; /* empty mount points, the lowest layer of every RUN */
	int emptyfd;
	struct build_pack *pack;
	struct build_show *show;
	struct build_child *clearing; /* children whose result was taken already */
	struct event_loop loop;
	unsigned jobs, running, counter;
	bool has_epoch, set_times;
	int64_t epoch;
	char created_key[BUILD_KEY_SIZE]; /* under which the cache has the time of the image, "" */
	char created[40];
	size_t squashed;    /* layers that became one, 0: none */
	char failed_id[65]; /* the container of the step that failed */
};

#define BUILD_INIT(opts)                                                                                               \
	{                                                                                                              \
		.o = (opts), .store = {.rootfd = -1}, .work = {.dirfd = -1, .pinsfd = -1}, .context = {.rootfd = -1},  \
		.emptyfd = -1, .skeletonfd = -1, .loop = EVENT_LOOP_INIT                                               \
	}

/* build.c: the store, a work directory in it, and what every step needs; all of it closed and freed again. */
int build_open(struct build *b, const char *root, struct err *e) RL_CHECK;
void build_close(struct build *b);

/* Owners that the map does not have are kept in records, by rl-notifyd in RUN and by COPY. */
static inline bool build_emulates(const struct build *b)
{
	return b->map.form == IDMAP_SINGLE && b->o->run.emulate != RT_EMULATE_OFF;
}

/* build_context.c */
int build_context_open(struct build *b, struct err *e) RL_CHECK;
void build_context_close(struct build_context *c);
int build_read_dockerfile(struct build *b, struct err *e) RL_CHECK;
/* --ignorefile, or what goes with that Dockerfile (a path, or NULL), or the context's. */
int build_find_ignore(struct build *b, const char *dockerfile, struct err *e) RL_CHECK;
/* Anything --build-context or the operand may name. */
int build_context_of(struct build *b, const char *where, struct build_context *ret, struct err *e) RL_CHECK;

/* A URL or repository into a file or directory of the work directory; its content or commit into the hash. */
int build_fetch_source(struct build *b, struct build_step *st, struct build_source *src, struct build_hash *h,
		       struct err *e) RL_CHECK;
/* ADD of a local file: if it is a tar archive, it is unpacked and src->fd is the directory. */
int build_unpack_source(struct build *b, struct build_step *st, struct build_source *src, struct err *e) RL_CHECK;

/* build_plan.c */
int build_plan(struct build *b, struct err *e) RL_CHECK;
void build_plan_free(struct build *b);
/* The stage called `name` (or number) before stage `before`; -1. */
int build_find_stage(const struct build *b, const char *name, size_t before);
/* The stage is used by one that is planned: it is planned as well, and what it uses itself. */
int build_need_stage(struct build *b, size_t index, struct err *e) RL_CHECK;
/* Layers of an image; appends to *ret and gives its config document. */
int build_take_image(struct build *b, const char *ref, size_t **ret_layers, size_t *ret_n, json_t **ret_doc,
		     char **ret_digest, struct err *e) RL_CHECK;
/* Fill b->where for an instruction, and -errno with the line in front of the text. */
int build_at(struct build *b, const struct dockerfile_instr *i, unsigned line, unsigned column, unsigned width,
	     struct err *e);

/* build_config.c: one instruction of a stage; a step is appended to the stage. */
int build_instruction(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e) RL_CHECK;
void build_stage_vars(struct build *b, struct build_stage *s, struct dockerfile_vars *ret);
json_t *build_config_of(struct build_stage *s);
int build_expand(struct build *b, struct build_stage *s, const char *text, char **ret, struct err *e) RL_CHECK;
struct build_step *build_add_step(struct build_stage *s, enum build_step_kind kind, const struct dockerfile_instr *i);
void build_stage_env(const struct build_stage *s, struct strv *ret);
/* build_step.c */
int build_step_run(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e) RL_CHECK;
int build_step_copy(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e) RL_CHECK;
void build_step_free(struct build_step *st);
/* A build argument that every RUN gets, without an ARG. */
bool build_arg_is_proxy(const char *name);

/* build_tree.c: digest of everything a COPY takes; fills sources[].found. */
int build_tree_digest(struct build *b, struct build_stage *s, struct build_step *st, struct build_hash *h,
		      struct err *e) RL_CHECK;

/* build_cache.c */
int build_key(struct build *b, struct build_stage *s, struct build_step *st, struct err *e) RL_CHECK;
/* 1: the cache knows the step; its layer is then in b->layers. */
int build_cache_find(struct build *b, struct build_step *st, struct err *e) RL_CHECK;
/* Is the step, or its layer, here already? */
bool build_cache_knows(struct build *b, const struct build_step *st);
int build_cache_save(struct build *b, const struct build_step *st, struct err *e) RL_CHECK;

/* build_pack.c */
int build_pack_layer(struct build *b, size_t layer, const size_t *lowers, size_t nlowers, struct err *e) RL_CHECK;
int build_pack_wait(struct build *b, struct err *e) RL_CHECK;
/* Wait until every layer is packed, then publish all. */
int build_pack_finish(struct build *b, struct err *e) RL_CHECK;
void build_pack_close(struct build *b);
size_t build_new_layer(struct build *b);

/* build_exec.c */
/* ADD: archives are unpacked, before the step's process starts. */
int build_prepare_sources(struct build *b, struct build_step *st, struct err *e) RL_CHECK;
int build_exec(struct build *b, struct err *e) RL_CHECK;

/* build_run.c, build_copy.c: in the child; -errno, or for RUN the command's exit status. */
struct build_job {
	struct build *b;
	struct build_stage *stage;
	struct build_step *step;
	const int *lowers; /* descriptors, top first */
	size_t nlowers;
	const char *work; /* name of the new layer's directory in the work directory: diff is made or moved there */
	const char *id;	  /* of the container of a RUN */
	int containerfd;  /* COPY into the writable layer of this container's directory; -1: into a new layer */
	int sock;	  /* to the build */
};
/* The mode of a new layer's root directory: that of the layers below, whatever our umask is. */
mode_t build_root_mode(const struct build_job *j);
/* The layer is complete: the build goes on while the child clears up after itself. */
void build_job_done(const struct build_job *j);
/* An empty entry for every place where something is mounted, in the container's directory: the lowest layer, so that
 * none has to be made in the writable one. */
#define BUILD_SKELETON "skeleton"
struct container;
int build_make_skeleton(struct container *c, int *ret_fd, struct err *e) RL_CHECK;
int build_run_child(struct build_job *j, struct err *e) RL_CHECK;
int build_copy_child(struct build_job *j, struct err *e) RL_CHECK;
/* The image of a finished target: config, manifest and record from the stage's document and layers. */
int build_publish(struct build *b, json_t *doc, const size_t *layers, size_t nlayers, struct store_record *ret_rec,
		  struct err *e) RL_CHECK;
/* The target stage's files into a directory, as files of the caller. */
int build_copy_out(struct build *b, int dirfd, struct err *e) RL_CHECK;

/* build_squash.c: the target's own layers become one. */
int build_squash(struct build *b, struct err *e) RL_CHECK;

/* build_share.c: --cache-from before the steps; --cache-to, inline first: into the config that is about to be written. */
int build_share_check(const struct build_opts *o, struct err *e) RL_CHECK;
int build_share_import(struct build *b, struct err *e) RL_CHECK;
void build_share_inline(struct build *b, json_t *doc);
int build_share_export(struct build *b, struct err *e) RL_CHECK;

/* build_show.c */
int build_show_open(struct build *b, struct err *e) RL_CHECK;
void build_show_close(struct build *b);
void build_show_line(struct build *b, const char *fmt, ...) RL_PRINTF(2, 3);
void build_show_start(struct build *b, const struct build_stage *s, const struct build_step *st);
void build_show_output(struct build *b, const struct build_stage *s, const char *data, size_t len);
void build_show_end(struct build *b, const struct build_stage *s, const struct build_step *st);
void build_show_failed(struct build *b, const struct build_stage *s, const struct build_step *st);

/* build_finish.c */
int build_finish(struct build *b, struct str *ret_id, struct err *e) RL_CHECK;
/* build_output.c */
int build_output(struct build *b, const struct store_record *rec, struct err *e) RL_CHECK;
int build_check_outputs(const struct build_opts *o, struct err *e) RL_CHECK;
void build_time_text(int64_t seconds, char ret[40]);

#endif
