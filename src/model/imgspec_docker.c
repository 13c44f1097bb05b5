/*
 * imgspec_docker.c - manifest.json of a docker archive; see imgspec.h.
 */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/model/imgspec.h"

int imgspec_docker_entry_parse(const json_t *item, struct imgspec_docker_entry *ret_entry, struct err *e)
{
	struct imgspec_docker_entry entry = {.config = NULL};
	const char *config = NULL;
	if (!json_is_object(item))
		return err_set(e, EBADMSG, "an entry is not an object");
	int r = json_get_str(item, "Config", &config, e);
	if (r >= 0)
		r = json_get_strv(item, "RepoTags", &entry.names, e);
	if (r >= 0)
		r = json_get_strv(item, "Layers", &entry.layers, e);
	if (r < 0 && e)
		e->code = EBADMSG;
	if (r >= 0 && (!config || entry.layers.count > IMGSPEC_LAYERS_MAX))
		r = err_set(e, EBADMSG, "an entry without Config or with %zu layers", entry.layers.count);
	if (r < 0) {
		imgspec_docker_entry_free(&entry);
		return -EBADMSG;
	}
	entry.config = xstrdup(config);
	*ret_entry = entry;
	return 0;
}

void imgspec_docker_entry_free(struct imgspec_docker_entry *entry)
{
	free(entry->config);
	strv_free(&entry->names);
	strv_free(&entry->layers);
	*entry = (struct imgspec_docker_entry){.config = NULL};
}
