/* doctor.c - the rows of `rl doctor`, in the order a person should repair things. */
#include "rl/svc/doctor.h"

#include <unistd.h>

#include "doctor_int.h"
#include "rl/base/mem.h"

static const struct {
	const char *name;
	doctor_probe *probe;
} probes[] = {
	{"user namespaces", doctor_userns},
	{"user ids", doctor_ids},
	{"programs", doctor_programs},
	{"user", doctor_user},
	{"store", doctor_store_dir},
	{"extended attributes", doctor_xattr},
	{"overlay", doctor_overlay},
	{"procfs", doctor_proc},
	{"mount calls", doctor_mount_calls},
	{"network device", doctor_network},
	{"ping", doctor_ping},
	{"low ports", doctor_ports},
	{"limits", doctor_cgroups},
	{"seccomp", doctor_seccomp},
	{"landlock", doctor_landlock},
	{"security modules", doctor_lsm},
	{"groups", doctor_groups},
	{"runtime directory", doctor_runtime_dir},
	{"linger", doctor_linger},
};

static json_t *row_object(const struct doctor_row *row)
{
	static const char *const states[] = {
		[DOCTOR_WORKS] = "works", [DOCTOR_RUNG] = "rung", [DOCTOR_MISSING] = "missing"};
	json_t *out = json_object();
	json_put_str(out, "Name", row->name);
	json_put_str(out, "State", states[row->state]);
	json_put_str(out, "Finding", row->finding.buf);
	json_put_str(out, "Remedy", row->remedy.buf);
	json_put_bool(out, "Root", row->command != NULL);
	json_put_str(out, "Command", row->command ? row->command : "");
	return out;
}

int doctor_collect(const char *root, json_t **ret_rows, bool *ret_can_run, struct err *e)
{
	struct doctor d = {.store = {.rootfd = -1}, .is_root = geteuid() == 0};
	autojson json_t *rows = json_array();
	int r = idmap_detect(false, &d.map, e);
	if (r < 0)
		return r;
	d.has_store = store_open(root, true, &d.store, &d.store_error) == 0;
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		struct doctor_row row = {.name = probes[i].name, .finding = STR_INIT, .remedy = STR_INIT};
		row.state = probes[i].probe(&d, &row);
		json_array_append_new(rows, row_object(&row));
		str_free(&row.finding);
		str_free(&row.remedy);
	}
	store_close(&d.store);
	*ret_can_run = d.has_userns && d.has_store;
	*ret_rows = json_incref(rows);
	return 0;
}
