# SPDX-License-Identifier: BSD-3-Clause
EXTRA_DIST += core/man/links.sh
pages3 = core/man/tmb_atomic.3 core/man/tmb_collective.3 core/man/tmb_flush.3 \
	core/man/tmb_init.3 core/man/tmb_lock.3 core/man/tmb_mem.3 core/man/tmb_peer_state.3 \
	core/man/tmb_put.3 core/man/tmb_signal.3 core/man/tmb_team.3 core/man/tmb_win.3
dist_man_MANS += core/man/tombolo.7 core/man/tombolo-bootstrap.7 $(pages3)

# Each function is found by its own name: a page that includes its family's.
man_links = cd $(srcdir) && sh core/man/links.sh $(pages3)
install-data-hook:
	dir='$(DESTDIR)$(man3dir)' && $(man_links) | while read function page; do \
		echo ".so man3/$$page" >"$$dir/$$function.3" || exit 1; done
uninstall-hook:
	dir='$(DESTDIR)$(man3dir)' && $(man_links) | while read function page; do \
		rm -f "$$dir/$$function.3"; done
