/* SPDX-License-Identifier: BSD-3-Clause */
/* The agent: one thread per process that executes what peers ask of memory which they
 * can't reach themselves. Started by the first window that needs it, asleep until kicked;
 * the application may compute or sleep meanwhile. */
#ifndef TMBI_AGENT_H
#define TMBI_AGENT_H

/* Start it unless it runs. Any thread. */
int tmbi_agent_start(void);
/* End it, if it runs. No peer asks any more. */
void tmbi_agent_stop(void);

#endif
