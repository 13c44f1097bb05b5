/*
 * build_pack.c - layers packed by rl-image beside the steps (rl/model/build_proto.h), and published.
 *
 * A layer is used as a lower directory by the next step at once; that it is packed at the same time does not disturb,
 * because both only read. Publishing moves it by rename, which nobody who has it mounted or open notices; all who
 * start later have its descriptor. The file system is synced once for all layers that wait (publish), not once per
 * layer: thirty small steps would otherwise spend their time waiting for the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/model/build_proto.h"
#include "rl/model/imgspec.h"

static const char peer[] = "rl-image";

struct build_pack {
	struct proc_child child;
	int sock;
	struct event_source source;
	size_t ndirs;
	size_t waiting;
};

size_t build_new_layer(struct build *b)
{
	b->layers = xreallocarray(b->layers, b->nlayers + 1, sizeof(*b->layers));
	b->layers[b->nlayers] = (struct build_layer){.dirfd = -1, .unpacked_size = -1};
	return b->nlayers++;
}

static int on_socket(void *arg, uint32_t events, struct err *e);

static int start(struct build *b, struct err *e)
{
	struct build_pack *p = xcalloc(1, sizeof(*p));
	*p = (struct build_pack){.child = PROC_CHILD_NONE, .sock = -1, .source = EVENT_SOURCE_INIT};
	b->pack = p;
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	p->sock = pair[0];
	autofd int theirs = pair[1];
	autofree char *program = xasprintf("%s/%s", proc_libexec_dir(), peer);
	autofree char *root = xasprintf("--root=%s", b->store.root);
	char *argv[] = {(char *)(uintptr_t)peer, (char *)(uintptr_t) "pack-layers", root, NULL};
	log_export();
	r = proc_spawn(
		&(struct proc_spawn){
			.path = program, .argv = argv, .fds = &theirs, .nfds = 1, .parent_death_signal = SIGKILL},
		&p->child, e);
	if (r >= 0)
		r = sync_send(p->sock, IMAGE_STEP_START, &b->map, sizeof(b->map), NULL, 0, e);
	return r < 0 ? r : event_add(&b->loop, &p->source, p->sock, EPOLLIN, on_socket, b, e);
}

/* Number of a layer's directory in rl-image's table. */
static int introduce(struct build *b, size_t layer, struct err *e)
{
	struct build_layer *l = &b->layers[layer];
	if (l->pack_index)
		return 0;
	int fd = openat(l->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* The root of a layer may be one we cannot read as ourselves; the packer can. */
	if (fd < 0)
		fd = fcntl(l->dirfd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_sys(e, errno, "open a layer");
	int r = sync_send(b->pack->sock, BUILD_STEP_DIR, NULL, 0, &fd, 1, e);
	close(fd);
	l->pack_index = ++b->pack->ndirs;
	return r;
}

int build_pack_layer(struct build *b, size_t layer, const size_t *lowers, size_t nlowers, struct err *e)
{
	int r = b->pack ? 0 : start(b, e);
	autofree struct build_pack_order *o = xcalloc(1, sizeof(*o));
	if (r >= 0)
		r = introduce(b, layer, e);
	for (size_t i = 0; i < nlowers && r >= 0; i++) {
		r = introduce(b, lowers[nlowers - 1 - i], e);
		o->lowers[i] = (uint16_t)(b->layers[lowers[nlowers - 1 - i]].pack_index - 1);
	}
	if (r < 0)
		return r;
	struct build_layer *l = &b->layers[layer];
	o->dir = (uint32_t)(l->pack_index - 1);
	o->nlowers = (uint32_t)nlowers;
	bool clamp = b->has_epoch && b->o->rewrite_timestamp != NO;
	o->times = b->set_times ? BUILD_TIMES_SET : clamp ? BUILD_TIMES_CLAMP : BUILD_TIMES_KEEP;
	o->epoch = b->epoch;
	o->trust_records = build_emulates(b);
	autofree char *blob = xasprintf("%s.blob", l->work);
	autofd int fd = openat(b->work.dirfd, blob, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "create %s", blob);
	r = sync_send(b->pack->sock, BUILD_STEP_PACK, o, sizeof(*o), &fd, 1, e);
	l->packing = r >= 0;
	b->pack->waiting += r >= 0;
	return r;
}

/* ---- results ---- */

static int write_info(struct build *b, const struct build_layer *l, const struct build_packed *p, struct err *e)
{
	autojson json_t *doc = json_object();
	json_put_int(doc, "version", 1);
	json_put_str(doc, "diffID", l->diff_id);
	json_put_bool(doc, "needsLower", false);
	json_put_int(doc, "unpacked", p->unpacked_size);
	json_put_int(doc, "tar", p->tar_size);
	json_put_int(doc, "entries", p->entries);
	json_put_int(doc, "records", 0);
	json_put_int(doc, "sidecar", 0);
	json_put_int(doc, "maxUid", p->max_uid);
	json_put_int(doc, "maxGid", p->max_gid);
	json_put_bool(doc, "hasRoot", true);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	str_addc(&text, '\n');
	autofree char *path = xasprintf("%s/info.json", l->work);
	return io_write_file(b->work.dirfd, path, text.buf, text.len, 0600, e);
}

static int on_packed(struct build *b, const struct build_packed *p, struct err *e)
{
	for (size_t i = 0; i < b->nlayers; i++) {
		struct build_layer *l = &b->layers[i];
		if (l->pack_index != p->dir + 1 || !l->packing)
			continue;
		l->packing = false;
		l->empty = p->only_root;
		snprintf(l->diff_id, sizeof(l->diff_id), "%.71s", p->diff_id);
		snprintf(l->blob, sizeof(l->blob), "%.71s", p->blob);
		snprintf(l->key, sizeof(l->key), "%s", l->diff_id + 7);
		l->media_type = IMGSPEC_OCI_LAYER;
		l->blob_size = p->blob_size;
		l->unpacked_size = p->unpacked_size;
		b->pack->waiting--;
		return write_info(b, l, p, e);
	}
	return err_set(e, EPROTO, "%s packed a layer that nobody asked for", peer);
}

static int on_socket(void *arg, uint32_t events, struct err *e)
{
	struct build *b = arg;
	(void)events;
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	struct build_packed packed;
	int r = sync_recv(b->pack->sock, peer, m, e);
	if (r < 0)
		return r;
	sync_close_fds(m);
	if (m->step != BUILD_STEP_PACKED || m->len != sizeof(packed))
		return err_set(e, EPROTO, "%s sent step %u", peer, m->step);
	memcpy(&packed, m->data, sizeof(packed));
	return on_packed(b, &packed, e);
}

static int publish_layer(struct build *b, struct build_layer *l, struct err *e)
{
	autofree char *blob = xasprintf("%s.blob", l->work);
	int r = store_publish_blob(&b->work, blob, l->blob, e);
	if (r >= 0)
		r = store_publish_layer(&b->work, l->work, b->map.key, l->key, e);
	if (r >= 0)
		l->work[0] = '\0';
	return r;
}

static int save_steps(struct build *b, struct err *e)
{
	int r = 0;
	for (size_t k = 0; k < b->nstages; k++)
		for (size_t i = 0; i < b->stages[k].nsteps && r >= 0; i++) {
			struct build_step *st = &b->stages[k].steps[i];
			if (st->state != BUILD_DONE || st->cached || st->saved || st->kind == BUILD_STEP_META)
				continue;
			if (st->layer && b->layers[st->layer - 1].empty) {
				st->layer = 0;
				st->empty = true;
			}
			r = build_cache_save(b, st, e);
			st->saved = r >= 0;
		}
	return r;
}

int build_pack_wait(struct build *b, struct err *e)
{
	int r = 0;
	while (r >= 0 && b->pack && b->pack->waiting)
		r = on_socket(b, 0, e);
	return r;
}

int build_pack_finish(struct build *b, struct err *e)
{
	int r = build_pack_wait(b, e);
	size_t fresh = 0;
	for (size_t i = 0; i < b->nlayers; i++)
		fresh += *b->layers[i].work != '\0';
	if (r >= 0 && fresh && syncfs(b->store.rootfd) < 0)
		r = err_sys(e, errno, "sync the store");
	b->work.synced = true;
	for (size_t i = 0; i < b->nlayers && r >= 0; i++)
		if (*b->layers[i].work && !b->layers[i].empty)
			r = publish_layer(b, &b->layers[i], e);
	return r < 0 ? r : save_steps(b, e);
}

void build_pack_close(struct build *b)
{
	if (!b->pack)
		return;
	event_del(&b->loop, &b->pack->source);
	close_fd(&b->pack->sock);
	struct err ignored = ERR_INIT;
	/* It ends by itself when the socket is closed; what it was packing is not wanted any more. */
	if (b->pack->waiting || proc_wait(&b->pack->child, peer, &ignored) < 0)
		proc_kill_wait(&b->pack->child);
	free(b->pack);
	b->pack = NULL;
}
