/*
 * fuzz_run_opts.c - any text as the value of an option of run: it is stored or refused with a reason, and what is
 * stored can be freed. The first byte chooses the option.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/model/run_opts.h"
#include "rl/model/user_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int grammar(struct run_opts *o, const char *value, struct err *e);

static grammar *const grammars[] = {
	run_opts_volume,	run_opts_mount,	      run_opts_tmpfs,	    run_opts_device,	  run_opts_shm_size,
	run_opts_rootfs,	run_opts_label,	      run_opts_annotation,  run_opts_entrypoint,  run_opts_workdir,
	run_opts_user,		run_opts_group_add,   run_opts_umask,	    run_opts_ulimit,	  run_opts_sysctl,
	run_opts_oom_score_adj, run_opts_stop_signal, run_opts_timeout,	    run_opts_detach_keys, run_opts_name,
	run_opts_restart,	run_opts_pull,	      run_opts_platform,    run_opts_cap_add,	  run_opts_security_opt,
	run_opts_userns,	run_opts_pid,	      run_opts_ipc,	    run_opts_uts,	  run_opts_cgroupns,
	run_opts_network,	run_opts_hostname,    run_opts_domainname,  run_opts_dns,	  run_opts_dns_search,
	run_opts_dns_option,	run_opts_add_host,    run_opts_mac_address, run_opts_host_access,
};

/* The rest of the input twice: as a passwd and as a group text. */
static void resolve(const char *text, size_t len, struct err *e)
{
	size_t spec_len = strnlen(text, len);
	if (spec_len == len)
		return;
	struct user_spec spec;
	struct user_ids ids;
	if (user_spec_parse(text, &spec, e) < 0)
		return;
	const char *file = text + spec_len + 1;
	size_t file_len = len - spec_len - 1;
	if (user_spec_resolve(&spec, file, file_len, file, file_len, &ids, e) < 0)
		return;
	if (ids.uid == UINT32_MAX || ids.gid == UINT32_MAX || !ids.ngroups || ids.home[0] != '/')
		abort();
	user_ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	struct run_opts o;
	struct err e = ERR_INIT;
	autofree char *text = xcalloc(1, size);
	memcpy(text, data + 1, size - 1);
	size_t which = data[0] % (ARRAY_SIZE(grammars) + 3);
	run_opts_init(&o);
	int r = 0;
	if (which < ARRAY_SIZE(grammars))
		r = grammars[which](&o, text, &e);
	else if (which == ARRAY_SIZE(grammars))
		r = run_opts_env_file(&o, text, size - 1, "file", &e);
	else if (which == ARRAY_SIZE(grammars) + 1)
		r = run_opts_label_file(&o, text, size - 1, "file", &e);
	else
		resolve(text, size - 1, &e);
	if (r < 0 && (r != -e.code || !e.text[0]))
		abort();
	if (r >= 0)
		(void)!run_opts_check(&o, &e);
	for (size_t i = 0; i < o.nmounts; i++)
		if (o.mounts[i].target[0] != '/' || !o.mounts[i].target[1])
			abort();
	run_opts_free(&o);
	return 0;
}
