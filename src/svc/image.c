/*
 * image.c - an image made ready for a run, and the program rl-image as a child; see image.h.
 *
 * The fast path of image_ensure is the store's: a few small reads and one stat per layer. Only when a layer is missing
 * for the map is rl-image started. Its messages are received until it says DONE or sends its error; if it dies
 * otherwise, that is the error.
 *
 * The lease (a shared store lock) is taken when nothing is missing any more, and the layers are looked at once more
 * under it: from then on until the caller has listed them in its container nothing can remove them.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/base/sync.h"
#include "rl/model/imgref.h"
#include "rl/svc/image_platform.h"
#include "system_int.h"

enum { ENSURE_ATTEMPTS = 3, TEXT_MAX = 64 << 20 };

/* ---- rl-image ---- */

static const char peer[] = "rl-image";

static int receive(int sock, const struct image_ui *ui, struct image_list *added, struct str *text, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	for (;;) {
		int r = sync_recv(sock, peer, msg, e);
		if (r < 0)
			return r;
		sync_close_fds(msg);
		switch (msg->step) {
		case IMAGE_STEP_PROGRESS:
			if (ui && ui->progress && msg->len == sizeof(struct image_progress)) {
				struct image_progress p;
				memcpy(&p, msg->data, sizeof(p));
				p.what[sizeof(p.what) - 1] = '\0';
				ui->progress(&p, ui->arg);
			}
			break;
		case IMAGE_STEP_NOTE:
			log_warn("%.*s", (int)msg->len, (const char *)msg->data);
			break;
		case IMAGE_STEP_IMAGE:
			if (msg->len != sizeof(struct image_added))
				return err_set(e, EPROTO, "malformed message from %s", peer);
			added->items = xreallocarray(added->items, added->count + 1, sizeof(*added->items));
			memcpy(&added->items[added->count], msg->data, sizeof(*added->items));
			added->items[added->count].name[sizeof(added->items->name) - 1] = '\0';
			added->count++;
			break;
		case IMAGE_STEP_TEXT:
			if (!text || text->len > TEXT_MAX)
				return err_set(e, EPROTO, "an unexpected text from %s", peer);
			str_add(text, msg->data, msg->len);
			break;
		case IMAGE_STEP_DONE:
			return 0;
		default:
			return err_set(e, EPROTO, "%s sent step %u", peer, msg->step);
		}
	}
}

/* extra: further descriptors of the program, after the socket (PROC_SPAWN_FDS_MAX - 1 at most). */
static int run_program(const struct store *s, const struct idmap *map, const struct strv *verb, bool with_stdin,
		       const int *extra, size_t nextra, const struct image_ui *ui, struct image_list *ret_added,
		       struct str *ret_text, struct err *e)
{
	autofree char *program = xasprintf("%s/%s", proc_libexec_dir(), peer);
	autostrv struct strv argv = STRV_INIT;
	strv_add(&argv, peer);
	strv_add(&argv, verb->items[0]);
	strv_addf(&argv, "--root=%s", s->root);
	if (s->builtin)
		strv_addf(&argv, "--builtin=%s", s->builtin);
	for (size_t i = 1; i < verb->count; i++)
		strv_add(&argv, verb->items[i]);
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	autofd int sock = pair[0];
	autofd int theirs = pair[1];
	int fds[PROC_SPAWN_FDS_MAX] = {theirs};
	size_t nfds = 1;
	while (nfds <= nextra && nfds < ARRAY_SIZE(fds)) {
		fds[nfds] = extra[nfds - 1];
		nfds++;
	}
	struct proc_child child = PROC_CHILD_NONE;
	log_export();
	r = proc_spawn(&(struct proc_spawn){.path = program,
					    .argv = strv_argv(&argv),
					    .fds = fds,
					    .nfds = nfds,
					    .inherit_stdin = with_stdin,
					    .parent_death_signal = SIGKILL},
		       &child, e);
	if (r < 0)
		return r;
	close_fd(&theirs);
	struct image_list added = {0};
	/* If it is dead already, receive() finds what it said before. */
	(void)!sync_send(sock, IMAGE_STEP_START, map, sizeof(*map), NULL, 0, NULL);
	r = receive(sock, ui, &added, ret_text, e);
	close_fd(&sock);
	if (r < 0) {
		struct err ignored = ERR_INIT;
		int status = proc_wait(&child, peer, &ignored);
		if (r == -EPIPE && status > EXIT_SIGNAL_BASE)
			err_set(e, EPIPE, "%s was ended by signal %d", peer, status - EXIT_SIGNAL_BASE);
		image_list_free(&added);
		return r;
	}
	r = proc_wait_ok(&child, peer, e);
	if (r < 0) {
		image_list_free(&added);
		return r;
	}
	if (ret_added)
		*ret_added = added;
	else
		image_list_free(&added);
	return 0;
}

int image_program_run(const struct store *s, const struct idmap *map, const struct strv *verb, bool with_stdin,
		      const struct image_ui *ui, struct image_list *ret_added, struct err *e)
{
	return run_program(s, map, verb, with_stdin, NULL, 0, ui, ret_added, NULL, e);
}

int image_program_ask(const struct store *s, const struct idmap *map, const struct strv *verb, struct str *ret_text,
		      struct err *e)
{
	return run_program(s, map, verb, false, NULL, 0, NULL, NULL, ret_text, e);
}

int image_program_feed(const struct store *s, const struct idmap *map, const struct strv *verb, const int *fds,
		       size_t nfds, const struct image_ui *ui, struct image_list *ret_added, struct err *e)
{
	return run_program(s, map, verb, false, fds, nfds, ui, ret_added, NULL, e);
}

int image_program_ask_ui(const struct store *s, const struct idmap *map, const struct strv *verb,
			 const struct image_ui *ui, struct str *ret_text, struct err *e)
{
	return run_program(s, map, verb, false, NULL, 0, ui, NULL, ret_text, e);
}

void image_list_free(struct image_list *l)
{
	free(l->items);
	*l = (struct image_list){0};
}

/* ---- ready for a run ---- */

/* The map layers are unpacked with: that of the run, but for keep-id (and nomap), whose layers have container id n on
 * subordinate id n whatever id is the caller's. */
static int unpack_map(const struct idmap *map, struct idmap *ret_map, struct err *e)
{
	if (!str_after(map->key, "keep")) {
		*ret_map = *map;
		return 0;
	}
	struct idmap ranged;
	int r = idmap_detect(false, &ranged, e);
	if (r < 0)
		return r;
	uint32_t nuid = 0;
	uint32_t ngid = 0;
	for (size_t i = 1; i < ranged.nuid; i++)
		nuid += ranged.uid[i].count;
	for (size_t i = 1; i < ranged.ngid; i++)
		ngid += ranged.gid[i].count;
	return idmap_keepid(&ranged, nuid, ngid, ret_map, e);
}

static int unpack(const struct store *s, const struct store_image *image, const struct idmap *map,
		  const struct image_ui *ui, struct err *e)
{
	struct idmap with;
	int r = unpack_map(map, &with, e);
	if (r < 0)
		return r;
	if (!str_eq(with.key, map->key))
		return err_set(e, EINVAL, "layers for the id map %s would be unpacked as %s", map->key, with.key);
	autostrv struct strv verb = STRV_INIT;
	strv_add(&verb, "unpack-image");
	strv_add(&verb, image->manifest_digest);
	return image_program_run(s, &with, &verb, false, ui, NULL, e);
}

/* Found and complete: 0; a layer is missing: 1. */
static int look(const struct store *s, const char *ref, const struct idmap *map, struct image_run *run, struct err *e)
{
	size_t missing;
	store_image_free(&run->image);
	strv_free(&run->lowers);
	int r = store_find_image(s, ref, &run->image, e);
	if (r < 0)
		return r;
	run->leasefd = store_lease(s, e);
	if (run->leasefd < 0)
		return run->leasefd;
	r = store_layer_dirs(s, &run->image, map->key, &run->lowers, &missing, e);
	if (r != 0)
		close_fd(&run->leasefd);
	return r;
}

/* Fetch it for a run. Unpacking is for the run's map, or for the one its layers are unpacked with. */
static int fetch(const struct store *s, const struct image_want *want, const struct idmap *map,
		 const struct image_ui *ui, struct err *e)
{
	struct idmap with;
	const struct image_pull_opts o = {
		.name = want->ref, .policy = want->policy, .platform = want->platform, .registry = want->registry};
	int r = unpack_map(map, &with, e);
	return r < 0 ? r : image_pull_into(s, &with, &o, ui, NULL, e);
}

/* Look for it in the store; an image of another platform is not it. */
static int look_for(const struct store *s, const struct image_want *want, const struct idmap *map,
		    struct image_run *run, struct err *e)
{
	int r = look(s, want->ref, map, run, e);
	if (r < 0 || image_platform_matches(run->image.config, want->platform))
		return r;
	image_run_free(run);
	*run = (struct image_run)IMAGE_RUN_INIT;
	err_set(e, ENOENT, "image %s: the store has it for another platform than %s", want->ref, want->platform);
	return err_hint(e, "rl pull --platform %s %s", want->platform, want->ref);
}

/* May this text be the name of an image in a registry? A prefix of an id is one of the store or nothing. */
static bool is_fetchable(const char *ref)
{
	struct imgref parsed;
	if (imgref_parse(ref, &parsed, NULL) < 0)
		return false;
	imgref_free(&parsed);
	return true;
}

/* docker's rule of --pull: always and newer ask first (and newer is content with what is here when it cannot ask);
 * missing asks only for what is not here. A name of the store that is nearly what was typed is worth more than the
 * registry's "not found", so the store's error stays the one reported, with the registry's and its remedy beside it. */
static int find_or_fetch(const struct store *s, const struct image_want *want, const struct idmap *map,
			 const struct image_ui *ui, struct image_run *run, struct err *e)
{
	struct err why = ERR_INIT;
	const char *ref = want->ref;
	if (want->policy == PULL_ALWAYS) {
		int r = fetch(s, want, map, ui, e);
		return r < 0 ? r : look_for(s, want, map, run, e);
	}
	if (want->policy == PULL_NEWER && fetch(s, want, map, ui, &why) < 0)
		log_debug(LOG_STORE, "%s", why.text);
	int r = look_for(s, want, map, run, e);
	if (r != -ENOENT || want->policy != PULL_MISSING || !is_fetchable(ref))
		return r;
	if (fetch(s, want, map, ui, &why) < 0) {
		char hint[ERR_HINT_SIZE];
		memcpy(hint, e->hint, sizeof(hint));
		bool near = strstr(hint, "did you mean") != NULL;
		err_set(e, ENOENT, "image %s: not in the store%s%s, and %s", ref, want->platform ? " for " : "",
			want->platform ? want->platform : "", why.text);
		if (near && why.hint[0])
			return err_hint(e, "%s; else: %s", hint, why.hint);
		return err_hint(e, "%s", near || !why.hint[0] ? hint : why.hint);
	}
	err_clear(e);
	return look_for(s, want, map, run, e);
}

/* An archive or a layout that a transport names: its image is loaded, and known by its id from then on. */
static int load_for_run(const struct store *s, const char *source, const struct idmap *map, const struct image_ui *ui,
			char ret_id[STORE_DIGEST_SIZE], struct err *e)
{
	struct image_list list = {0};
	struct idmap with;
	int r = unpack_map(map, &with, e);
	if (r >= 0)
		r = image_load_into(s, &with, source, ui, &list, e);
	if (r >= 0)
		r = image_list_single(&list, source, ret_id, e);
	image_list_free(&list);
	return r;
}

static int resolve_transport(const struct store *s, struct image_want *want, const struct idmap *map,
			     const struct image_ui *ui, char id[STORE_DIGEST_SIZE], struct err *e)
{
	struct imgref_location at;
	/* No transport has a '/' before its colon, and most names have no colon at all. */
	if (!strchr(want->ref, ':'))
		return 0;
	int r = imgref_locate(want->ref, &at, e);
	if (r < 0)
		return r;
	if (at.transport == IMGREF_DOCKER) {
		want->ref = str_after(want->ref, "docker://");
	} else if (at.transport != IMGREF_STORE) {
		r = load_for_run(s, want->ref, map, ui, id, e);
		want->ref = id;
		want->policy = PULL_NEVER;
	}
	imgref_location_free(&at);
	return r;
}

static bool is_damage(int r)
{
	return r == -EBADMSG || r == -EIO;
}

/* A run met something broken. What could be mended is, and then it is looked at again; else the error stays. */
static int mend(const struct store *s, const char *ref, enum pull_policy policy, const struct idmap *map,
		struct image_run *run, int broken, struct err *e)
{
	struct err cannot = ERR_INIT;
	struct idmap with;
	int r = unpack_map(map, &with, &cannot);
	if (r >= 0)
		r = system_mend_image(s, ref, &with, policy == PULL_NEVER, &cannot);
	if (r <= 0) {
		log_debug(LOG_STORE, "nothing could be mended: %s", r < 0 ? cannot.text : "nothing was found");
		return broken;
	}
	err_clear(e);
	return look(s, ref, map, run, e);
}

int image_ensure(const struct store *s, const char *ref, enum pull_policy policy, const struct idmap *map,
		 const struct image_ui *ui, struct image_run *ret_run, struct err *e)
{
	const struct image_want want = {.ref = ref, .policy = policy, .registry = {.tls_verify = UNSET}};
	return image_ensure_wanted(s, &want, map, ui, ret_run, e);
}

int image_ensure_wanted(const struct store *s, const struct image_want *wanted, const struct idmap *map,
			const struct image_ui *ui, struct image_run *ret_run, struct err *e)
{
	struct image_run run = IMAGE_RUN_INIT;
	struct image_want want = *wanted;
	char id[STORE_DIGEST_SIZE] = "";
	bool mended = false;
	int r = resolve_transport(s, &want, map, ui, id, e);
	if (r >= 0)
		r = find_or_fetch(s, &want, map, ui, &run, e);
	for (int attempt = 0; attempt < ENSURE_ATTEMPTS; attempt++) {
		if (is_damage(r) && !mended) {
			mended = true;
			r = mend(s, want.ref, want.policy, map, &run, r, e);
		}
		if (r != 1)
			break;
		r = unpack(s, &run.image, map, ui, e);
		if (r == 0)
			r = look(s, want.ref, map, &run, e);
		else if (r == -ENOENT)
			r = -EBADMSG; /* a blob is gone, not the image */
	}
	if (r == 1)
		r = err_set(e, EAGAIN, "its layers are removed as fast as they are unpacked");
	if (r < 0) {
		image_run_free(&run);
		return r == -ENOENT || r == -EINVAL ? r : err_ctx(e, "image %s", want.ref);
	}
	*ret_run = run;
	return 0;
}

void image_run_release_lease(struct image_run *run)
{
	close_fd(&run->leasefd);
}

void image_run_free(struct image_run *run)
{
	close_fd(&run->leasefd);
	store_image_free(&run->image);
	strv_free(&run->lowers);
}
