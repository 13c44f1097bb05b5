/*
 * oci_fields.h - the table of config.json's members; see oci_config.h.
 */
#ifndef RL_MODEL_OCI_FIELDS_H
#define RL_MODEL_OCI_FIELDS_H

#include <stddef.h>

#include "rl/model/oci_config.h"

enum oci_field_kind {
	OCI_TEXT,    /* char * */
	OCI_BOOL,    /* struct oci_num */
	OCI_NUMBER,  /* struct oci_num */
	OCI_STRINGS, /* struct strv */
	OCI_NUMBERS, /* struct oci_list of struct oci_num */
	OCI_OBJECT,  /* `members`, with offsets from this field's; `present` is set */
	OCI_LIST,    /* struct oci_list of items of `size` bytes with `members` */
	OCI_MAP,     /* json_t *: an object whose names are the user's, values strings or, with `members`, objects */
	OCI_RAW,     /* json_t *: read by somebody else */
	OCI_REFUSED, /* `why` */
	OCI_UNUSED,  /* another platform's, or without a meaning to a runtime: `why` */
};

struct oci_field {
	const char *name; /* NULL: end of the table */
	enum oci_field_kind kind;
	bool required;
	size_t offset;
	size_t size;	  /* OCI_LIST */
	bool has_present; /* OCI_OBJECT: the bool at `present` */
	size_t present;
	const struct oci_field *members;
	const char *why;
};

extern const struct oci_field oci_config_table[];
extern const struct oci_field oci_process_table[];
extern const struct oci_field oci_resources_table[];

#endif
