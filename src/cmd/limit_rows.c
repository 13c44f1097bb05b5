#include "limit_rows.h"

#define X(name)                                                                                                        \
	int set_limit_##name(const struct opt_def *def, void *target, const char *value, struct err *e)                \
	{                                                                                                              \
		void *limits = (char *)target + def->offset;                                                           \
		return limit_opts_##name(limits, value, e);                                                            \
	}
LIMIT_SETTERS(X)
#undef X
