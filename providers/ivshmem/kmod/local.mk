# SPDX-License-Identifier: BSD-3-Clause
# The module is built for each kernel on the machine that runs it: what is installed is its
# source, as DKMS wants it, with the two headers that it shares, each at its place.
kmod_files = providers/ivshmem/kmod/Kbuild providers/ivshmem/kmod/Makefile \
	providers/ivshmem/kmod/COPYING \
	providers/ivshmem/kmod/compat.h providers/ivshmem/kmod/device.h \
	providers/ivshmem/kmod/shared_atomic.h providers/ivshmem/kmod/tombolo_uio.h \
	providers/ivshmem/kmod/main.c providers/ivshmem/kmod/map.c \
	providers/ivshmem/kmod/region.c providers/ivshmem/kmod/slot.c \
	providers/ivshmem/kmod/owner.c
kmod_rules = providers/ivshmem/kmod/60-tombolo.rules
EXTRA_DIST += $(kmod_files) $(kmod_rules) providers/ivshmem/kmod/.clang-format
dist_man_MANS += providers/ivshmem/man/tombolo_uio.4

if KMOD
kmodrootdir = $(prefix)/src/tombolo-uio-$(PACKAGE_VERSION)
kmodcoredir = $(kmodrootdir)/core
kmodlayoutdir = $(kmodrootdir)/providers/ivshmem
kmoddir = $(kmodlayoutdir)/kmod
kmodroot_DATA = providers/ivshmem/kmod/dkms.conf
kmodcore_DATA = core/shared.h
kmodlayout_DATA = providers/ivshmem/layout.h
kmod_DATA = $(kmod_files)
udevrulesdir = $(udevdir)/rules.d
udevrules_DATA = $(kmod_rules)
endif
