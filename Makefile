# rl: build, test and install. `make` builds build/<flavour>/; `make help` lists the targets.
SHELL := /bin/bash
FLAVOUR ?= release
BUILDROOT ?= build
B := $(BUILDROOT)/$(FLAVOUR)
PREFIX ?= /usr/local
DESTDIR ?=
LIBEXECDIR = $(PREFIX)/libexec/rl
SHAREDIR = $(PREFIX)/share/rl

# V=1 shows the commands.
ifeq ($(V),1)
Q :=
say =
else
Q := @
say = @echo '  $(1)  $(2)'
endif

CC := gcc
WARN := -Wall -Wextra -Wformat=2 -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla \
	-Wundef -Wpointer-arith -Wwrite-strings -Wswitch-enum -Wimplicit-fallthrough \
	-Wcast-qual -Wlogical-op -Wduplicated-cond -Wno-format-nonliteral -Werror
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude -I$(B)/gen -include include/rl/base/banned.h \
	-DRL_LIBEXECDIR='"$(LIBEXECDIR)"' -DRL_SHAREDIR='"$(SHAREDIR)"'
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS_debug := -O0 -g3 -fPIE
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -fPIE
LDFLAGS_release := -pie -Wl,-z,relro,-z,now,--as-needed
LDFLAGS_debug := -pie
LDFLAGS_asan := -pie -fsanitize=address,undefined
CFLAGS_ALL = -std=gnu17 $(WARN) $(CFLAGS_$(FLAVOUR)) $(CFLAGS)
LDFLAGS_ALL = $(LDFLAGS_$(FLAVOUR)) $(LDFLAGS)

# Libraries from Debian that carry a static archive are linked statically into rl (start time, see rl-internals(7)).
STATIC = $(shell $(CC) -print-file-name=lib$(1).a)

# One static archive per layer and engine; a program or test lists the archives it may use, lowest last.
LAYERS := base kern model engine/store engine/archive engine/registry engine/runtime engine/net engine/stdio svc
lib = $(B)/lib/lib$(subst /,-,$(1)).a
srcs = $(wildcard src/$(1)/*.c)
objs = $(patsubst src/%.c,$(B)/obj/%.o,$(call srcs,$(1)))

PROGRAMS := $(B)/bin/rl $(B)/libexec/rl/rl-image $(B)/libexec/rl/rl-netd

all: $(PROGRAMS)

$(B)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

define LAYER_RULE
$(call lib,$(1)): $(call objs,$(1))
	@mkdir -p $$(@D)
	$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call LAYER_RULE,$(l))))

RL_LIBS := $(foreach l,svc engine/runtime engine/store engine/net engine/stdio kern model base,$(call lib,$(l)))
$(B)/bin/rl: $(call objs,cmd) $(RL_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(call objs,cmd) -Wl,--start-group $(RL_LIBS) -Wl,--end-group $(call STATIC,cap-ng) \
		$(call STATIC,seccomp) $(call STATIC,jansson) -o $@

IMAGE_LIBS := $(foreach l,engine/archive engine/registry engine/store kern model base,$(call lib,$(l)))
$(B)/libexec/rl/rl-image: $(call objs,image) $(IMAGE_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(call objs,image) -Wl,--start-group $(IMAGE_LIBS) -Wl,--end-group -lcap-ng -lseccomp \
		-ljansson -lcurl -larchive -lcrypto -lisal -lzstd -lz -lpthread -o $@

NETD_LIBS := $(foreach l,engine/net kern base,$(call lib,$(l)))
$(B)/libexec/rl/rl-netd: $(call objs,netd) $(NETD_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(call objs,netd) -Wl,--start-group $(NETD_LIBS) -Wl,--end-group -lslirp -lcap-ng -lseccomp -ljansson -o $@

# --- seccomp: built-in filters and the default profile's text, made from share/seccomp/default.json -----------------
SECCOMP_GEN := $(B)/gen/seccomp_gen
SECCOMP_GEN_OBJS := $(patsubst %,$(B)/obj/%.o,gen/seccomp_gen kern/seccomp kern/seccomp_arch kern/seccomp_rules \
	kern/seccomp_tree kern/seccomp_compile model/seccomp_profile engine/runtime/seccomp_plan)
$(SECCOMP_GEN): $(SECCOMP_GEN_OBJS) $(call lib,base)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(SECCOMP_GEN_OBJS) $(call lib,base) $(call STATIC,seccomp) $(call STATIC,jansson) -o $@
$(B)/gen/seccomp_default.inc: $(SECCOMP_GEN) share/seccomp/default.json
	$(call say,GEN,$@)
	$(Q)$(SECCOMP_GEN) filters share/seccomp/default.json > $@
$(B)/gen/seccomp_default_text.inc: $(SECCOMP_GEN) share/seccomp/default.json
	$(call say,GEN,$@)
	$(Q)$(SECCOMP_GEN) text share/seccomp/default.json > $@
$(B)/obj/kern/seccomp_default.o: $(B)/gen/seccomp_default.inc
$(B)/obj/engine/runtime/seccomp_cache.o: $(B)/gen/seccomp_default_text.inc
# --- end of seccomp ----------------------------------------------------------------------------------------------

clean:
	rm -rf $(BUILDROOT)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

.PHONY: all clean
.DELETE_ON_ERROR:
