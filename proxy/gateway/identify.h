/*
 * Who asks? The credentials of a request and of its connection, in the order of
 * INTERFACES.md ("On the wire"): a token, X-Api-Key, a JWT, a certificate, the peer of a
 * unix socket. Pure, as admission.h is, which is its only caller.
 */
#ifndef PSGATE_GATEWAY_IDENTIFY_H
#define PSGATE_GATEWAY_IDENTIFY_H

#include "gateway/admission.h"

/*
 * Finds the client of a complete request head. True: admission has client, auth, and
 * what is to be blanked. False: refused, see admission's reason; wants_keys says whether
 * newer keys of an issuer might have changed that.
 */
bool identify(struct admission *admission, const struct http_head *head,
              const struct identity *identity, const struct snapshot *snapshot,
              struct token_hasher *hasher, struct jwt_memo *memo, int64_t now_wall_ms);

#endif
