/*
 * What the gateways of a fleet keep in Redis, and the scripts that alone change it. Each
 * runs as a whole, so that a generation and the marks of changes under way are always of
 * one moment.
 *
 *   PREFIXgenerations  hash: "epoch" is the data's own name, made anew when it was lost;
 *                      "s:SCOPE" the scope's generation, "COUNTER-STAMP"; "server" the
 *                      run of Redis that has the data (its run_id), "lost" when (of
 *                      Redis, ms) it got it: marks may have been lost then
 *   PREFIXchanges      sorted set: a member "SCOPE\nGATEWAY\nID" for each change under
 *                      way, by the time (of Redis, ms) at which its mark expires
 *   PREFIXrate:NAME    a bucket: when it is full again, microseconds of Redis's clock
 *
 * A raise is published in the channel PREFIXraised as "GATEWAY\nMARKED\nSCOPE": MARKED is
 * 1 while a change is under way there. A counter alone could come to the same number
 * again after Redis was restored from an old copy; the stamp cannot.
 */
#ifndef PSGATE_CLUSTER_SCRIPTS_H
#define PSGATE_CLUSTER_SCRIPTS_H

#include "base/span.h"

/*
 * KEYS generations changes; ARGV channel gateway stamp epoch-if-none mark-ms doubt-ms,
 * and then a member for each of the gateway's own changes, whose marks are made to last
 * so much longer. Marks that have expired raise. Answers: epoch, {"s:SCOPE", generation,
 * ...}, {member, ...}, and how long (ms, doubt-ms at most) marks may still be missing.
 */
extern const struct span script_sync;

/*
 * KEYS generations changes; ARGV channel gateway stamp member-ms id scope...: raises the
 * scopes. member-ms over 0: marks them for so long; 0: takes the mark away. Answers the
 * number of scopes.
 */
extern const struct span script_raise;

/*
 * KEYS bucket; ARGV microseconds-a-token burst: takes a token. Answers: 1 or 0, and the
 * microseconds until the bucket is full again.
 */
extern const struct span script_take;

#endif
