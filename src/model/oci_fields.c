/*
 * oci_fields.c - every member of config.json, runtime-spec 1.2 and what later versions add: handled, or why not.
 *
 * In the order of the specification's config.md and config-linux.md.
 */
#include "oci_fields.h"

#define AT(type, member) .offset = offsetof(type, member)

#define TEXT(name_, type, member)                                                                                      \
	{                                                                                                              \
		.name = (name_), .kind = OCI_TEXT, AT(type, member)                                                    \
	}
#define TEXT_REQUIRED(name_, type, member)                                                                             \
	{                                                                                                              \
		.name = (name_), .kind = OCI_TEXT, .required = true, AT(type, member)                                  \
	}
#define BOOL(name_, type, member)                                                                                      \
	{                                                                                                              \
		.name = (name_), .kind = OCI_BOOL, AT(type, member)                                                    \
	}
#define NUMBER(name_, type, member)                                                                                    \
	{                                                                                                              \
		.name = (name_), .kind = OCI_NUMBER, AT(type, member)                                                  \
	}
#define NUMBER_REQUIRED(name_, type, member)                                                                           \
	{                                                                                                              \
		.name = (name_), .kind = OCI_NUMBER, .required = true, AT(type, member)                                \
	}
#define STRINGS(name_, type, member)                                                                                   \
	{                                                                                                              \
		.name = (name_), .kind = OCI_STRINGS, AT(type, member)                                                 \
	}
#define MAP(name_, type, member)                                                                                       \
	{                                                                                                              \
		.name = (name_), .kind = OCI_MAP, AT(type, member)                                                     \
	}
#define LIST(name_, type, member, item, table)                                                                         \
	{                                                                                                              \
		.name = (name_), .kind = OCI_LIST, AT(type, member), .size = sizeof(item), .members = (table)          \
	}
#define OBJECT(name_, type, member, table)                                                                             \
	{                                                                                                              \
		.name = (name_), .kind = OCI_OBJECT, AT(type, member), .members = (table)                              \
	}
/* Its offsets are from the same struct's beginning. */
#define INLINE(name_, table)                                                                                           \
	{                                                                                                              \
		.name = (name_), .kind = OCI_OBJECT, .members = (table)                                                \
	}
#define OBJECT_MARKED(name_, type, member, table)                                                                      \
	{                                                                                                              \
		.name = (name_), .kind = OCI_OBJECT, AT(type, member), .has_present = true,                            \
		.present = offsetof(type, member.given), .members = (table)                                            \
	}
#define REFUSED(name_, why_)                                                                                           \
	{                                                                                                              \
		.name = (name_), .kind = OCI_REFUSED, .why = (why_)                                                    \
	}
#define UNUSED(name_, why_)                                                                                            \
	{                                                                                                              \
		.name = (name_), .kind = OCI_UNUSED, .why = (why_)                                                     \
	}
#define END                                                                                                            \
	{                                                                                                              \
		.name = NULL                                                                                           \
	}

/* ---- process ---- */

static const struct oci_field console[] = {
	NUMBER("height", struct oci_process, console.height),
	NUMBER("width", struct oci_process, console.width),
	END,
};

static const struct oci_field user[] = {
	NUMBER("uid", struct oci_user, uid),
	NUMBER("gid", struct oci_user, gid),
	NUMBER("umask", struct oci_user, umask),
	{.name = "additionalGids", .kind = OCI_NUMBERS, AT(struct oci_user, additional_gids)},
	UNUSED("username", "Windows only"),
	END,
};

static const struct oci_field capabilities[] = {
	STRINGS("bounding", struct oci_caps, bounding),	  STRINGS("permitted", struct oci_caps, permitted),
	STRINGS("effective", struct oci_caps, effective), STRINGS("inheritable", struct oci_caps, inheritable),
	STRINGS("ambient", struct oci_caps, ambient),	  END,
};

static const struct oci_field rlimit[] = {
	TEXT_REQUIRED("type", struct oci_rlimit, type),
	NUMBER_REQUIRED("soft", struct oci_rlimit, soft),
	NUMBER_REQUIRED("hard", struct oci_rlimit, hard),
	END,
};

static const struct oci_field scheduler[] = {
	TEXT_REQUIRED("policy", struct oci_scheduler, policy), NUMBER("nice", struct oci_scheduler, nice),
	NUMBER("priority", struct oci_scheduler, priority),    STRINGS("flags", struct oci_scheduler, flags),
	NUMBER("runtime", struct oci_scheduler, runtime),      NUMBER("deadline", struct oci_scheduler, deadline),
	NUMBER("period", struct oci_scheduler, period),	       END,
};

static const struct oci_field io_priority[] = {
	TEXT_REQUIRED("class", struct oci_ioprio, class),
	NUMBER("priority", struct oci_ioprio, priority),
	END,
};

static const struct oci_field affinity[] = {
	TEXT("initial", struct oci_affinity, initial),
	TEXT("final", struct oci_affinity, final),
	END,
};

const struct oci_field oci_process_table[] = {
	BOOL("terminal", struct oci_process, terminal),
	INLINE("consoleSize", console),
	TEXT_REQUIRED("cwd", struct oci_process, cwd),
	STRINGS("env", struct oci_process, env),
	STRINGS("args", struct oci_process, args),
	UNUSED("commandLine", "Windows only"),
	LIST("rlimits", struct oci_process, rlimits, struct oci_rlimit, rlimit),
	TEXT("apparmorProfile", struct oci_process, apparmor_profile),
	OBJECT_MARKED("capabilities", struct oci_process, caps, capabilities),
	BOOL("noNewPrivileges", struct oci_process, no_new_privileges),
	NUMBER("oomScoreAdj", struct oci_process, oom_score_adj),
	OBJECT_MARKED("scheduler", struct oci_process, scheduler, scheduler),
	TEXT("selinuxLabel", struct oci_process, selinux_label),
	OBJECT_MARKED("ioPriority", struct oci_process, ioprio, io_priority),
	OBJECT("execCPUAffinity", struct oci_process, affinity, affinity),
	OBJECT("user", struct oci_process, user, user),
	END,
};

/* ---- mounts, hooks ---- */

static const struct oci_field id_mapping[] = {
	NUMBER_REQUIRED("containerID", struct oci_id_mapping, inside),
	NUMBER_REQUIRED("hostID", struct oci_id_mapping, outside),
	NUMBER_REQUIRED("size", struct oci_id_mapping, size),
	END,
};

static const struct oci_field mount[] = {
	TEXT_REQUIRED("destination", struct oci_mount, destination),
	TEXT("type", struct oci_mount, type),
	TEXT("source", struct oci_mount, source),
	STRINGS("options", struct oci_mount, options),
	LIST("uidMappings", struct oci_mount, uid_mappings, struct oci_id_mapping, id_mapping),
	LIST("gidMappings", struct oci_mount, gid_mappings, struct oci_id_mapping, id_mapping),
	END,
};

static const struct oci_field hook[] = {
	TEXT_REQUIRED("path", struct oci_hook, path),
	STRINGS("args", struct oci_hook, args),
	STRINGS("env", struct oci_hook, env),
	NUMBER("timeout", struct oci_hook, timeout),
	END,
};

#define HOOK(name_, kind) LIST(name_, struct oci_config, hooks[kind], struct oci_hook, hook)
static const struct oci_field hooks[] = {
	HOOK("prestart", OCI_HOOK_PRESTART),
	HOOK("createRuntime", OCI_HOOK_CREATE_RUNTIME),
	HOOK("createContainer", OCI_HOOK_CREATE_CONTAINER),
	HOOK("startContainer", OCI_HOOK_START_CONTAINER),
	HOOK("poststart", OCI_HOOK_POSTSTART),
	HOOK("poststop", OCI_HOOK_POSTSTOP),
	END,
};

/* ---- linux ---- */

static const struct oci_field ns[] = {
	TEXT_REQUIRED("type", struct oci_namespace, type),
	TEXT("path", struct oci_namespace, path),
	END,
};

static const struct oci_field device[] = {
	TEXT_REQUIRED("type", struct oci_device, type),
	TEXT_REQUIRED("path", struct oci_device, path),
	NUMBER("major", struct oci_device, major),
	NUMBER("minor", struct oci_device, minor),
	NUMBER("fileMode", struct oci_device, file_mode),
	NUMBER("uid", struct oci_device, uid),
	NUMBER("gid", struct oci_device, gid),
	END,
};

static const struct oci_field clock[] = {
	NUMBER("secs", struct oci_clock, secs),
	NUMBER("nanosecs", struct oci_clock, nanosecs),
	END,
};

static const struct oci_field time_offsets[] = {
	OBJECT("monotonic", struct oci_config, time_offsets.monotonic, clock),
	OBJECT("boottime", struct oci_config, time_offsets.boottime, clock),
	END,
};

static const struct oci_field device_rule[] = {
	{.name = "allow", .kind = OCI_BOOL, .required = true, AT(struct oci_device_rule, allow)},
	TEXT("type", struct oci_device_rule, type),
	NUMBER("major", struct oci_device_rule, major),
	NUMBER("minor", struct oci_device_rule, minor),
	TEXT("access", struct oci_device_rule, access),
	END,
};

static const struct oci_field memory[] = {
	NUMBER("limit", struct oci_resources, memory.limit),
	NUMBER("reservation", struct oci_resources, memory.reservation),
	NUMBER("swap", struct oci_resources, memory.swap),
	NUMBER("kernel", struct oci_resources, memory.kernel),
	NUMBER("kernelTCP", struct oci_resources, memory.kernel_tcp),
	NUMBER("swappiness", struct oci_resources, memory.swappiness),
	BOOL("disableOOMKiller", struct oci_resources, memory.disable_oom_killer),
	BOOL("useHierarchy", struct oci_resources, memory.use_hierarchy),
	BOOL("checkBeforeUpdate", struct oci_resources, memory.check_before_update),
	END,
};

static const struct oci_field cpu[] = {
	NUMBER("shares", struct oci_resources, cpu.shares),
	NUMBER("quota", struct oci_resources, cpu.quota),
	NUMBER("burst", struct oci_resources, cpu.burst),
	NUMBER("period", struct oci_resources, cpu.period),
	NUMBER("realtimeRuntime", struct oci_resources, cpu.rt_runtime),
	NUMBER("realtimePeriod", struct oci_resources, cpu.rt_period),
	TEXT("cpus", struct oci_resources, cpu.cpus),
	TEXT("mems", struct oci_resources, cpu.mems),
	NUMBER("idle", struct oci_resources, cpu.idle),
	END,
};

static const struct oci_field pids[] = {
	NUMBER("limit", struct oci_resources, pids),
	END,
};

static const struct oci_field block_weight[] = {
	NUMBER_REQUIRED("major", struct oci_block_weight, major),
	NUMBER_REQUIRED("minor", struct oci_block_weight, minor),
	NUMBER("weight", struct oci_block_weight, weight),
	NUMBER("leafWeight", struct oci_block_weight, leaf_weight),
	END,
};

static const struct oci_field throttle[] = {
	NUMBER_REQUIRED("major", struct oci_throttle, major),
	NUMBER_REQUIRED("minor", struct oci_throttle, minor),
	NUMBER_REQUIRED("rate", struct oci_throttle, rate),
	END,
};

#define THROTTLE(name_, member) LIST(name_, struct oci_resources, block_io.member, struct oci_throttle, throttle)
static const struct oci_field block_io[] = {
	NUMBER("weight", struct oci_resources, block_io.weight),
	NUMBER("leafWeight", struct oci_resources, block_io.leaf_weight),
	LIST("weightDevice", struct oci_resources, block_io.weight_device, struct oci_block_weight, block_weight),
	THROTTLE("throttleReadBpsDevice", read_bps),
	THROTTLE("throttleWriteBpsDevice", write_bps),
	THROTTLE("throttleReadIOPSDevice", read_iops),
	THROTTLE("throttleWriteIOPSDevice", write_iops),
	END,
};

static const struct oci_field hugepage[] = {
	TEXT_REQUIRED("pageSize", struct oci_hugepage, page_size),
	NUMBER_REQUIRED("limit", struct oci_hugepage, limit),
	END,
};

static const struct oci_field net_priority[] = {
	TEXT_REQUIRED("name", struct oci_net_priority, name),
	NUMBER_REQUIRED("priority", struct oci_net_priority, priority),
	END,
};

static const struct oci_field network[] = {
	NUMBER("classID", struct oci_resources, class_id),
	LIST("priorities", struct oci_resources, net_priorities, struct oci_net_priority, net_priority),
	END,
};

static const struct oci_field rdma[] = {
	{.name = "hcaHandles", .kind = OCI_NUMBER},
	{.name = "hcaObjects", .kind = OCI_NUMBER},
	END,
};

const struct oci_field oci_resources_table[] = {
	LIST("devices", struct oci_resources, devices, struct oci_device_rule, device_rule),
	INLINE("memory", memory),
	INLINE("cpu", cpu),
	INLINE("pids", pids),
	INLINE("blockIO", block_io),
	LIST("hugepageLimits", struct oci_resources, hugepages, struct oci_hugepage, hugepage),
	INLINE("network", network),
	{.name = "rdma", .kind = OCI_MAP, AT(struct oci_resources, rdma), .members = rdma},
	MAP("unified", struct oci_resources, unified),
	END,
};

static const struct oci_field personality[] = {
	TEXT_REQUIRED("domain", struct oci_config, personality.domain),
	STRINGS("flags", struct oci_config, personality.flags),
	END,
};

static const struct oci_field linux_table[] = {
	LIST("devices", struct oci_config, devices, struct oci_device, device),
	LIST("uidMappings", struct oci_config, uid_mappings, struct oci_id_mapping, id_mapping),
	LIST("gidMappings", struct oci_config, gid_mappings, struct oci_id_mapping, id_mapping),
	LIST("namespaces", struct oci_config, namespaces, struct oci_namespace, ns),
	OBJECT_MARKED("resources", struct oci_config, resources, oci_resources_table),
	TEXT("cgroupsPath", struct oci_config, cgroups_path),
	TEXT("rootfsPropagation", struct oci_config, rootfs_propagation),
	{.name = "seccomp", .kind = OCI_RAW, AT(struct oci_config, seccomp)},
	MAP("sysctl", struct oci_config, sysctl),
	STRINGS("maskedPaths", struct oci_config, masked_paths),
	STRINGS("readonlyPaths", struct oci_config, readonly_paths),
	TEXT("mountLabel", struct oci_config, mount_label),
	REFUSED("intelRdt", "cache and memory bandwidth are not partitioned by this runtime"),
	INLINE("personality", personality),
	{.name = "timeOffsets",
	 .kind = OCI_OBJECT,
	 .has_present = true,
	 .present = offsetof(struct oci_config, time_offsets.given),
	 .members = time_offsets},
	REFUSED("netDevices", "network devices are moved by the engine above (runtime-spec 1.3)"),
	REFUSED("memoryPolicy", "memory is not bound to nodes by policy; use resources.cpu.mems (runtime-spec 1.3)"),
	END,
};

static const struct oci_field root[] = {
	TEXT_REQUIRED("path", struct oci_config, root.path),
	BOOL("readonly", struct oci_config, root.readonly),
	END,
};

const struct oci_field oci_config_table[] = {
	TEXT_REQUIRED("ociVersion", struct oci_config, oci_version),
	INLINE("hooks", hooks),
	MAP("annotations", struct oci_config, annotations),
	TEXT("hostname", struct oci_config, hostname),
	TEXT("domainname", struct oci_config, domainname),
	LIST("mounts", struct oci_config, mounts, struct oci_mount, mount),
	{.name = "root",
	 .kind = OCI_OBJECT,
	 .has_present = true,
	 .present = offsetof(struct oci_config, root.given),
	 .members = root},
	OBJECT_MARKED("process", struct oci_config, process, oci_process_table),
	{.name = "linux",
	 .kind = OCI_OBJECT,
	 .has_present = true,
	 .present = offsetof(struct oci_config, has_linux),
	 .members = linux_table},
	UNUSED("solaris", "another platform"),
	UNUSED("windows", "another platform"),
	UNUSED("zos", "another platform"),
	REFUSED("vm", "no virtual machines"),
	END,
};
