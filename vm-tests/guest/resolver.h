/* SPDX-License-Identifier: Apache-2.0 */
/* A DNS server and a DNS client, as small as the smoke tests need them: one question, one A record. */
#pragma once

/* resolver_start(): a process that answers every UDP question with WORLD_LEARNED; its pid, or -1. */
int resolver_start(void);

/* resolver_ask(): sends a question for the A record and waits for its answer; 0 or an errno. */
int resolver_ask(const char *name);
