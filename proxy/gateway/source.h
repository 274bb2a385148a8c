/*
 * Where a request comes from: the other end of its connection (which a load balancer's
 * PROXY header may have named), or whom a trusted proxy forwards it for.
 */
#ifndef PSGATE_GATEWAY_SOURCE_H
#define PSGATE_GATEWAY_SOURCE_H

#include "gateway/exchange.h"

/* At the beginning, with the head complete: learns exchange->source. */
void source_learn(struct exchange *exchange);

/*
 * The address alone: "192.0.2.7", or "unix uid 1000"; empty: not known any more. Borrowed
 * from the exchange or its connection.
 */
struct span source_ip(const struct exchange *exchange);

/* The same with the port where it is known: "192.0.2.7:4711", "[2001:db8::1]:4711". */
struct span source_address(const struct exchange *exchange);

#endif
