#include "connect.h"
#include "notifyd.h"
#include "owner.h"

const struct notifyd_module *const notifyd_modules[] = {
	&owner_change_module,
	&owner_show_module,
	&connect_module,
	NULL,
};
