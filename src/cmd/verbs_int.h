/*
 * verbs_int.h - every verb, for verbs.c; each is defined in cmd_<verb>.c.
 */
#ifndef RL_CMD_VERBS_INT_H
#define RL_CMD_VERBS_INT_H

#include "rl/cmd/verb.h"

extern const struct verb verb_attach;
extern const struct verb verb_build;
extern const struct verb verb_builder_prune;
extern const struct verb verb_commit;
extern const struct verb verb_completion_cmd;
extern const struct verb verb_container_exists;
extern const struct verb verb_container_prune;
extern const struct verb verb_cp;
extern const struct verb verb_create;
extern const struct verb verb_events;
extern const struct verb verb_doctor;
extern const struct verb verb_exec;
extern const struct verb verb_healthcheck_run;
extern const struct verb verb_diff;
extern const struct verb verb_export;
extern const struct verb verb_generate_systemd;
extern const struct verb verb_help_cmd;
extern const struct verb verb_history;
extern const struct verb verb_image_exists;
extern const struct verb verb_manifest_add;
extern const struct verb verb_manifest_annotate;
extern const struct verb verb_manifest_create;
extern const struct verb verb_manifest_exists;
extern const struct verb verb_manifest_inspect;
extern const struct verb verb_manifest_push;
extern const struct verb verb_manifest_remove;
extern const struct verb verb_manifest_rm;
extern const struct verb verb_image_prune;
extern const struct verb verb_image_tree;
extern const struct verb verb_images;
extern const struct verb verb_import;
extern const struct verb verb_info;
extern const struct verb verb_init;
extern const struct verb verb_inspect;
extern const struct verb verb_kill;
extern const struct verb verb_load;
extern const struct verb verb_login;
extern const struct verb verb_logout;
extern const struct verb verb_pull;
extern const struct verb verb_push;
extern const struct verb verb_rmi;
extern const struct verb verb_run;
extern const struct verb verb_save;
extern const struct verb verb_search;
extern const struct verb verb_secret_create;
extern const struct verb verb_secret_exists;
extern const struct verb verb_secret_inspect;
extern const struct verb verb_secret_ls;
extern const struct verb verb_secret_rm;
extern const struct verb verb_logs;
extern const struct verb verb_pause;
extern const struct verb verb_pod_create;
extern const struct verb verb_pod_exists;
extern const struct verb verb_pod_inspect;
extern const struct verb verb_pod_kill;
extern const struct verb verb_pod_prune;
extern const struct verb verb_pod_ps;
extern const struct verb verb_pod_restart;
extern const struct verb verb_pod_rm;
extern const struct verb verb_pod_start;
extern const struct verb verb_pod_stop;
extern const struct verb verb_port;
extern const struct verb verb_port_add;
extern const struct verb verb_port_rm;
extern const struct verb verb_ps;
extern const struct verb verb_rename;
extern const struct verb verb_restart;
extern const struct verb verb_rm;
extern const struct verb verb_snapshot_branch;
extern const struct verb verb_snapshot_create;
extern const struct verb verb_snapshot_diff;
extern const struct verb verb_snapshot_ls;
extern const struct verb verb_snapshot_merge;
extern const struct verb verb_snapshot_rm;
extern const struct verb verb_snapshot_rollback;
extern const struct verb verb_start;
extern const struct verb verb_stats;
extern const struct verb verb_stop;
extern const struct verb verb_system_check;
extern const struct verb verb_system_df;
extern const struct verb verb_system_prune;
extern const struct verb verb_system_reset;
extern const struct verb verb_tag;
extern const struct verb verb_unshare;
extern const struct verb verb_top;
extern const struct verb verb_unpause;
extern const struct verb verb_untag;
extern const struct verb verb_update;
extern const struct verb verb_version;
extern const struct verb verb_volume_create;
extern const struct verb verb_volume_exists;
extern const struct verb verb_volume_export;
extern const struct verb verb_volume_import;
extern const struct verb verb_volume_inspect;
extern const struct verb verb_volume_ls;
extern const struct verb verb_volume_prune;
extern const struct verb verb_volume_rm;
extern const struct verb verb_wait;

#endif
