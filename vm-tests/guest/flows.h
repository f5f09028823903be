/* SPDX-License-Identifier: Apache-2.0 */
/* Open flows: packets that are known by what their socket remembers, counted one by one, and cut by a change of policy. */
#pragma once

struct world;

/* test_open_flows(): leaves the world under WORLD_POLICY. */
void test_open_flows(struct world *w);
