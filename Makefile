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
# For `make fuzz` only: libFuzzer is clang's.
ifeq ($(FLAVOUR),fuzz)
CC := clang
WARN := -Wall -Wextra -Wno-unused-variable -Wno-missing-field-initializers -Werror
endif
CFLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -fPIE
LDFLAGS_fuzz := -pie -fsanitize=address,undefined
CFLAGS_ALL = -std=gnu17 $(WARN) $(CFLAGS_$(FLAVOUR)) $(CFLAGS)
LDFLAGS_ALL = $(LDFLAGS_$(FLAVOUR)) $(LDFLAGS)

# Libraries from Debian that carry a static archive are linked statically into rl (start time, see rl-internals(7)).
STATIC = $(shell $(CC) -print-file-name=lib$(1).a)

# One static archive per layer and engine; a program or test lists the archives it may use, lowest last.
LAYERS := base kern model engine/store engine/copy engine/archive engine/registry engine/runtime engine/net engine/stdio svc cmd
lib = $(B)/lib/lib$(subst /,-,$(1)).a
srcs = $(wildcard src/$(1)/*.c)
objs = $(patsubst src/%.c,$(B)/obj/%.o,$(call srcs,$(1)))

PROGRAMS := $(B)/bin/rl $(B)/libexec/rl/rl-image $(B)/libexec/rl/rl-netd $(B)/libexec/rl/rl-portd $(B)/libexec/rl/rl-notifyd

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

RL_LIBS := $(foreach l,svc engine/runtime engine/store engine/copy engine/net engine/stdio kern model base,$(call lib,$(l)))
$(B)/bin/rl: $(call objs,cmd) $(RL_LIBS) src/cmd/tables.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -Wl,-T,src/cmd/tables.ld $(call objs,cmd) -Wl,--start-group $(RL_LIBS) -Wl,--end-group $(call STATIC,cap-ng) \
		$(call STATIC,seccomp) $(call STATIC,jansson) -o $@

IMAGE_LIBS := $(foreach l,engine/archive engine/registry engine/store kern model base,$(call lib,$(l)))
$(B)/libexec/rl/rl-image: $(call objs,image) $(IMAGE_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(call objs,image) -Wl,--start-group $(IMAGE_LIBS) -Wl,--end-group \
		$(call STATIC,cap-ng) $(call STATIC,seccomp) $(call STATIC,jansson) $(call STATIC,archive) \
		$(call STATIC,z) -lzstd -lcrypto -lisal -lpthread -ldl -o $@

NETD_LIBS := $(foreach l,engine/net kern model base,$(call lib,$(l)))
$(B)/libexec/rl/rl-netd: $(call objs,netd) $(NETD_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(call objs,netd) -Wl,--start-group $(NETD_LIBS) -Wl,--end-group -lslirp $(call STATIC,cap-ng) \
		$(call STATIC,seccomp) $(call STATIC,jansson) -o $@

PORTD_LIBS := $(foreach l,kern base,$(call lib,$(l)))
$(B)/libexec/rl/rl-portd: $(call objs,portd) $(PORTD_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(call objs,portd) -Wl,--start-group $(PORTD_LIBS) -Wl,--end-group $(call STATIC,cap-ng) \
		$(call STATIC,seccomp) $(call STATIC,jansson) -o $@

NOTIFYD_LIBS := $(foreach l,engine/net kern model base,$(call lib,$(l)))
$(B)/libexec/rl/rl-notifyd: $(call objs,notifyd) $(NOTIFYD_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(call objs,notifyd) -Wl,--start-group $(NOTIFYD_LIBS) -Wl,--end-group $(call STATIC,cap-ng) \
		$(call STATIC,seccomp) $(call STATIC,jansson) -o $@

# --- seccomp: built-in filters and the default profile's text, made from share/seccomp/default.json -----------------
SECCOMP_GEN := $(B)/gen/seccomp_gen
SECCOMP_GEN_OBJS := $(patsubst %,$(B)/obj/%.o,gen/seccomp_gen kern/seccomp kern/seccomp_arch kern/seccomp_rules \
	kern/seccomp_tree kern/seccomp_compile model/seccomp_profile model/seccomp_profile_rules \
	engine/runtime/seccomp_plan)
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
# For 32-bit programs that know sockets only through socketcall (glibc 2.36 of Debian, Go): the default profile with
# it allowed, and with it every socket family to 32-bit code.
SECCOMP_SOCKETCALL := $(B)/share/rl/seccomp/socketcall.json
$(SECCOMP_SOCKETCALL): share/seccomp/default.json
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)sed '/"names": \[ "socketcall" \]/{n;s/"SCMP_ACT_ERRNO", "errnoRet": 38/"SCMP_ACT_ALLOW"/}' $< >$@
	$(Q)! cmp -s $< $@
all: $(SECCOMP_SOCKETCALL)
# --- end of seccomp ----------------------------------------------------------------------------------------------

# --- share/ and completions: data. Files of share/ are copied; a generated one, $(B)/share/rl/PATH, adds itself to
# `all` beside its rule. bin/, libexec/ and share/ lie in $(B) as they do when installed: the build tree runs as it is.
SHARE_SRC := $(shell find share -type f 2>/dev/null)
SHARE_COPIES := $(patsubst share/%,$(B)/share/rl/%,$(SHARE_SRC))
COMPLETIONS := $(addprefix $(B)/completions/,bash zsh fish)
all: $(SHARE_COPIES) $(COMPLETIONS)
	@:

$(SHARE_COPIES): $(B)/share/rl/%: share/%
	@mkdir -p $(@D)
	$(Q)cp -p $< $@
$(COMPLETIONS): $(B)/bin/rl
	@mkdir -p $(@D)
	$(Q)$< completion $(@F) >$@

# The built-in image: an OCI layout made from Debian's static busybox.
BUSYBOX ?= /bin/busybox
BUILTIN_IMAGE := $(B)/share/rl/images/index.json
all: $(BUILTIN_IMAGE)
$(BUILTIN_IMAGE): src/gen/builtin_image.py $(BUSYBOX)
	@mkdir -p $(B)/share/rl
	$(call say,GEN,$@)
	$(Q)python3 $< $(BUSYBOX) $(@D)

# --- test programs. tests/unit/test_X.c links the archives at or below the layer that src/**/X.c (else X*.c) is in and
# nothing else, so that a forbidden call fails at link time; tests/platform/*.c links kern and base. A first line like
# `/* links: engine/net kern base; libs: -lslirp */` says otherwise. Helpers link libc only, unless they say so.
comma := ,
closure_base := base
closure_kern := kern base
closure_model := model base
closure_svc := $(LAYERS)
closure = $(or $(closure_$(1)),$(1) kern model base)
LIBS_base := -ljansson
LIBS_kern := -lcap-ng -lseccomp
LIBS_engine/archive := -larchive -lcrypto -lisal -lzstd -lz -lpthread
LIBS_engine/registry := -lcrypto -ldl
LIBS_engine/net := -lslirp
LIBS_svc := $(LIBS_engine/archive) $(LIBS_engine/registry) $(LIBS_engine/net)

# Literals as argv, and steps that only prepare and whose failure shows in the next line, are normal in tests.
TEST_WARN := -Wno-cast-qual -Wno-unused-result
TEST_SRCS := $(wildcard tests/unit/*.c tests/platform/*.c tests/helpers/*.c)
FUZZ_SRCS := $(wildcard tests/fuzz/*.c)
# One word per file with such a line: FILE|LAYER,LAYER|FLAG,FLAG
TEST_LINKS := $(shell grep -m1 -H '^/\* links:' $(TEST_SRCS) $(FUZZ_SRCS) /dev/null | \
	sed -E 's|:/\* links: *([^;*]*)(; *libs: *([^*]*))?\*/.*$$|\|\1\|\3|; s/ +(\||$$)/\1/g; s/ +/,/g')
test_link_words = $(subst |, ,$(subst ||,|-|,$(filter $(1)|%,$(TEST_LINKS))))
layer_dirs = $(patsubst src/%/,%,$(dir $(1)))
module_layer = $(firstword $(call layer_dirs,$(or $(wildcard src/*/$(1).c src/engine/*/$(1).c),\
	$(wildcard src/*/$(1)*.c src/engine/*/$(1)*.c))))
default_layers = $(if $(filter tests/fuzz/%,$(1)),$(call closure,$(or $(call module_layer,$(patsubst fuzz_%,%,$(basename \
	$(notdir $(1))))),unknown-module)),$(if $(filter tests/platform/%,$(1)),kern base,$(if $(filter tests/helpers/%,$(1)),,\
	$(call closure,$(or $(call module_layer,$(patsubst test_%,%,$(basename $(notdir $(1))))),unknown-module)))))
test_layers = $(if $(filter $(1)|%,$(TEST_LINKS)),$(filter-out -,$(subst $(comma), ,$(word 2,$(call test_link_words,$(1))))),\
	$(call default_layers,$(1)))
test_libs = $(subst $(comma), ,$(word 3,$(call test_link_words,$(1))))
test_archives = $(foreach l,$(call test_layers,$(1)),$(call lib,$(l)))

define TEST_RULE
$(B)/$(basename $(1)): $(1) $(call test_archives,$(1))
	@mkdir -p $$(@D)
	$$(call say,TEST,$$<)
	$$(Q)$$(CC) $$(CPPFLAGS) -Itests/unit -I. $$(CFLAGS_ALL) $$(TEST_WARN) -MMD -MP -MF $$@.d $$< $$(LDFLAGS_ALL) \
		$(if $(call test_archives,$(1)),-Wl$(comma)--start-group $(call test_archives,$(1)) -Wl$(comma)--end-group) \
		$(foreach l,$(call test_layers,$(1)),$(LIBS_$(l))) $(call test_libs,$(1)) -o $$@
endef
$(foreach t,$(TEST_SRCS),$(eval $(call TEST_RULE,$(t))))
test_programs = $(patsubst %.c,$(B)/%,$(filter tests/$(1)/%,$(TEST_SRCS)))
# The payloads run in root file systems without a libc, under any filter: static and without sanitizers.
$(B)/tests/helpers/tinit $(B)/tests/helpers/emulated: CFLAGS_ALL = -std=gnu17 $(WARN) -O1 -g $(CFLAGS)
$(B)/tests/helpers/tinit $(B)/tests/helpers/emulated: LDFLAGS_ALL = -static
$(B)/tests/helpers/interp: CFLAGS_ALL = -std=gnu17 $(WARN) -O1 -ffreestanding -fno-stack-protector -fPIE $(CFLAGS)
$(B)/tests/helpers/interp: LDFLAGS_ALL = -static-pie -nostdlib

# Fuzz targets (FLAVOUR=fuzz): the module is what stands after fuzz_, unless a `links:` line says otherwise.
define FUZZ_RULE
$(B)/$(basename $(1)): $(1) $(call test_archives,$(1))
	@mkdir -p $$(@D)
	$$(call say,FUZZ,$$<)
	$$(Q)$$(CC) $$(CPPFLAGS) -I. $$(CFLAGS_ALL) -MMD -MP -MF $$@.d $$< $$(LDFLAGS_ALL) -fsanitize=fuzzer \
		-Wl,--start-group $(call test_archives,$(1)) -Wl,--end-group \
		$(foreach l,$(call test_layers,$(1)),$(LIBS_$(l))) $(call test_libs,$(1)) -o $$@
endef
$(foreach t,$(FUZZ_SRCS),$(eval $(call FUZZ_RULE,$(t))))
fuzz-targets: $(patsubst %.c,$(B)/%,$(FUZZ_SRCS))

tests: $(foreach k,unit platform helpers,$(call test_programs,$(k)))
unit-tests: $(call test_programs,unit)

# --- running them. check and try install what is missing first; they call make again because what exists (generated
# files, headers of packages) is only known after that.
JOBS ?= $(shell nproc)
submake = $(MAKE) --no-print-directory -j$(JOBS)
RUN_TESTS = tests/run --build $(B)
check:
	@$(MAKE) --no-print-directory deps
	@$(submake) all tests
	@$(RUN_TESTS) $(T)
check-unit: unit-tests
	@$(RUN_TESTS) unit
check-cli: all tests
	@$(RUN_TESTS) cli
check-security: all tests
	@$(RUN_TESTS) security
check-faults: all tests
	@$(RUN_TESTS) faults
soak:
	@$(MAKE) --no-print-directory deps-try
	@$(submake) all
	@tests/soak/run $(B) $(T)
# VM_GUEST=ci is the part that .ci/run has time for; VM_GUEST=systemd VM_KERNEL=PACKAGE one guest.
check-vm:
	@$(MAKE) --no-print-directory deps-vm
	@$(submake) all tests
	@tests/vm/run $(B) $(VM_GUEST) $(VM_KERNEL)
try:
	@$(MAKE) --no-print-directory deps-try
	@$(submake) all
	@tests/helpers/try $(B)
lint:
	@$(MAKE) --no-print-directory deps-lint
	@$(submake) all tests
	@tests/lint/run $(B)
format:
	@clang-format -i $$(git ls-files -co --exclude-standard '*.c' '*.h')
# One stamp per source: as long as its object is current (which knows the headers), it is not analysed again.
LINT_STAMPS := $(patsubst src/%.c,$(B)/lint/%.tidy,$(shell find src -name '*.c'))
lint-stamps: $(LINT_STAMPS)
CPPCHECK := cppcheck -q --error-exitcode=1 --enable=warning,performance,portability --inline-suppr --std=c11 \
	--suppressions-list=tests/lint/cppcheck.txt --template='{file}:{line}: {message} [{id}]' -D__x86_64__ -D_GNU_SOURCE \
	--include=tests/lint/cppcheck.h
$(B)/lint/%.tidy: src/%.c $(B)/obj/%.o .clang-tidy tests/lint/cppcheck.txt
	@mkdir -p $(@D)
	@clang-tidy --quiet $< -- -std=gnu17 $(CPPFLAGS) 2>/dev/null
	@$(CPPCHECK) -Iinclude -I$(B)/gen $<
	@touch $@
# FUZZ_SECONDS each; T="tar imgref" for some of them.
FUZZ_SECONDS ?= 60
fuzz:
	@$(MAKE) --no-print-directory deps-fuzz
	@$(submake) FLAVOUR=fuzz fuzz-targets
	@tests/fuzz/run $(BUILDROOT)/fuzz $(FUZZ_SECONDS) $(T)
# T="test_json verbs" for a part.
valgrind:
	@$(MAKE) --no-print-directory deps-valgrind
	@$(submake) all tests
	@nice tests/valgrind/run $(B) $(T)
# What README says, on a machine that has nothing yet (root).
stranger:
	@$(MAKE) --no-print-directory deps-stranger
	@tests/helpers/stranger
bench:
	@$(MAKE) --no-print-directory deps-bench
	@$(submake) all tests
	@tests/perf/bench.sh $(B)

# --- Debian packages
DEPS_BUILD := make gcc libc6-dev pkg-config libcap-ng-dev libseccomp-dev libjansson-dev libslirp-dev \
	libcurl4-openssl-dev libarchive-dev libssl-dev libisal-dev libzstd-dev zlib1g-dev libmnl-dev libsystemd-dev \
	libsubid-dev busybox-static python3
DEPS_RUN := uidmap iproute2 nftables ca-certificates
DEPS_TEST := perl util-linux procps passwd python3 jq git openssh-client tmux tar gzip xz-utils bzip2 zstd attr libcap2-bin \
	nftables iputils-ping netcat-openbsd iperf3 curl nodejs strace bindfs skopeo umoci podman buildah crun runc mmdebstrap \
	docker-registry apache2-utils openssl bubblewrap containerd docker.io conmon \
	golang-github-opencontainers-specs-dev golang-github-opencontainers-runtime-tools-dev
DEPS_VM := qemu-system-x86 mmdebstrap e2fsprogs kmod cpio xz-utils busybox-static
DEPS_LINT := clang-format clang-tidy cppcheck man-db
DEPS_VALGRIND := valgrind python3
DEPS_STRANGER := git mmdebstrap
DEPS_FUZZ := clang libclang-rt-14-dev llvm
DEPS_BENCH := bubblewrap crun runc podman buildah skopeo umoci slirp4netns passt hyperfine iperf3
deps_try := $(DEPS_BUILD) $(DEPS_RUN)
deps_vm := $(DEPS_VM)
deps_lint := $(DEPS_BUILD) $(DEPS_LINT)
deps_valgrind := $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_VALGRIND)
deps_stranger := $(DEPS_STRANGER)
deps_fuzz := $(DEPS_BUILD) $(DEPS_FUZZ)
deps_bench := $(deps_try) $(DEPS_TEST) $(DEPS_BENCH)
deps:
	@tests/helpers/apt-install $(deps_try) $(DEPS_TEST)
deps-try deps-lint deps-fuzz deps-bench deps-vm deps-valgrind deps-stranger: deps-%:
	@tests/helpers/apt-install $(deps_$*)

# --- installing. install-files is install without building.
I = $(DESTDIR)$(PREFIX)
MAN_PAGES := $(wildcard man/*.[1-8])
install: all install-files
install-files:
	$(Q)install -d $(I)/bin $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(SHAREDIR) $(I)/share/bash-completion/completions \
		$(I)/share/zsh/site-functions $(I)/share/fish/vendor_completions.d
	$(Q)install -m 755 $(B)/bin/rl $(I)/bin/rl
	$(Q)ln -sf rl $(I)/bin/rl-oci
	$(Q)install -m 755 $(wildcard $(B)/libexec/rl/*) $(DESTDIR)$(LIBEXECDIR)
	$(Q)[ ! -d $(B)/share/rl ] || cp -r --no-preserve=ownership,mode $(B)/share/rl/. $(DESTDIR)$(SHAREDIR)
	$(Q)install -m 644 $(B)/completions/bash $(I)/share/bash-completion/completions/rl
	$(Q)install -m 644 $(B)/completions/zsh $(I)/share/zsh/site-functions/_rl
	$(Q)install -m 644 $(B)/completions/fish $(I)/share/fish/vendor_completions.d/rl.fish
	$(Q)for page in $(MAN_PAGES); do \
		dir=$(I)/share/man/man$${page##*.}; \
		install -d $$dir && gzip -9nc $$page >$$dir/$${page##*/}.gz && chmod 644 $$dir/$${page##*/}.gz || exit 1; \
	done
uninstall:
	rm -f $(I)/bin/rl $(I)/bin/rl-oci $(I)/share/bash-completion/completions/rl $(I)/share/zsh/site-functions/_rl \
		$(I)/share/fish/vendor_completions.d/rl.fish
	rm -f $(foreach page,$(MAN_PAGES),$(I)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page)).gz)
	rm -rf $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(SHAREDIR)

clean:
	rm -rf $(BUILDROOT)

help:
	@echo 'make                  build $(B) (FLAVOUR=release|debug|asan, BUILDROOT=build)'
	@echo 'make try              install what is missing, build, run a command in a container and show it'
	@echo 'make check            install what is missing, build, run all tests (T="cli unit NAME" for some of them)'
	@echo 'make check-unit       the unit tests only;  make check-cli: the command-line tests only'
	@echo 'make check-security   what has gone wrong elsewhere, and escapes, tried on rl'
	@echo 'make check-faults     kills and failing system calls in every verb (some 20 minutes)'
	@echo 'make soak             10,000 runs in a row and 2,000 eight at once; nothing may be left'
	@echo 'make check-vm         on other kernels and under a real systemd, in QEMU (root; VM_GUEST=ci for a part)'
	@echo 'make lint             format, clang-tidy, cppcheck, and the rules of the tree'
	@echo 'make format           let clang-format rewrite the sources'
	@echo 'make fuzz             every fuzz target for FUZZ_SECONDS=60 (clang); findings become files'
	@echo 'make valgrind         memcheck over the unit tests and the verbs that are one process (T="test_json verbs")'
	@echo 'make stranger         a fresh Debian, an ordinary user, what README says line by line (root; some 15 minutes)'
	@echo 'make bench            measure against the other container tools (as an ordinary user)'
	@echo 'make deps             install the Debian packages for building, running and testing'
	@echo 'make install          into DESTDIR=, PREFIX=/usr/local;  make uninstall removes it'
	@echo 'make clean            remove $(BUILDROOT)'

-include $(shell find $(B)/obj $(B)/tests -name '*.d' 2>/dev/null)

.PHONY: all fuzz fuzz-targets clean help lint-stamps format tests unit-tests check check-unit check-cli check-security check-faults soak try lint valgrind stranger bench deps deps-try deps-lint deps-bench deps-vm deps-valgrind deps-stranger check-vm \
	install install-files uninstall
.DELETE_ON_ERROR:
