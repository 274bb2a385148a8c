#include "gateway/identify.h"

#include <string.h>

#include "base/secret.h"

/* By what a request is judged. */
struct asking {
    const struct snapshot *snapshot;
    struct token_hasher *hasher;
    struct jwt_memo *memo; /* NULL: every JWT is verified */
    int64_t now_wall_ms;
};

static bool refuse(struct admission *admission, enum reason reason)
{
    admission->reason = reason;
    return false;
}

/* RFC 6750 2.1: the scheme in any case, one token behind it. */
static bool read_bearer(struct span value, struct span *token)
{
    const char *space = memchr(value.at, ' ', value.len);
    size_t len = space != NULL ? (size_t)(space - value.at) : value.len;

    if (!span_equal_nocase(span_make(value.at, len), SPAN("Bearer")))
        return false;
    *token = span_trim(span_make(value.at + len, value.len - len));
    return true;
}

/* What the request shows of credentials; spans are empty where there are none. */
struct shown {
    struct span bearer, api_key;
    bool has_authorization, is_bearer, has_api_key;
    bool is_jwt; /* the bearer has the looks of one */
};

static bool read_credentials(struct admission *admission, const struct http_head *head,
                             struct shown *shown)
{
    unsigned authorizations, api_keys;
    const struct http_field *authorization =
        http_head_find(head, HTTP_FIELD_AUTHORIZATION, &authorizations);
    const struct http_field *api_key =
        http_head_find(head, HTTP_FIELD_X_API_KEY, &api_keys);

    *shown = (struct shown){0};
    if (authorizations > 1 || api_keys > 1)
        return refuse(admission, REASON_CREDENTIAL_REPEATED);
    if (authorization != NULL) {
        shown->has_authorization = true;
        shown->is_bearer =
            read_bearer(http_field_value(head, authorization), &shown->bearer);
        shown->is_jwt = shown->is_bearer && !token_has_prefix(shown->bearer) &&
                        jwt_looks_like(shown->bearer);
        if (shown->is_jwt)
            admission->jwt = shown->bearer;
    }
    if (api_key != NULL) {
        shown->has_api_key = true;
        shown->api_key = http_field_value(head, api_key);
    }
    return true;
}

/* Who has the token; compared by digest only. */
static bool identify_token(struct admission *admission, const struct asking *asking,
                           struct span token, const struct client **client)
{
    unsigned char digest[TOKEN_DIGEST_BYTES];

    if (!token_digest(asking->hasher, token, digest))
        return refuse(admission, REASON_NO_MEMORY);
    *client = client_find(asking->snapshot->clients, digest);
    secret_cleanse(digest, sizeof(digest));
    if (*client == NULL)
        return refuse(admission, token_is_well_formed(asking->hasher, token)
                                     ? REASON_TOKEN_UNKNOWN
                                     : REASON_TOKEN_MALFORMED);
    if (client_is_expired(*client, asking->now_wall_ms))
        return refuse(admission, REASON_TOKEN_EXPIRED);
    return true;
}

static enum reason reason_of_jwt(enum jwt_verdict verdict)
{
    static const enum reason reasons[JWT_VERDICTS] = {
        [JWT_TOO_LONG] = REASON_JWT_TOO_LONG,
        [JWT_MALFORMED] = REASON_JWT_MALFORMED,
        [JWT_HEADER_REFUSED] = REASON_JWT_HEADER,
        [JWT_TYPE_REFUSED] = REASON_JWT_TYPE,
        [JWT_ALGORITHM_REFUSED] = REASON_JWT_ALGORITHM,
        [JWT_ISSUER_UNKNOWN] = REASON_JWT_ISSUER,
        [JWT_KEYS_MISSING] = REASON_JWT_KEYS_MISSING,
        [JWT_KEY_UNKNOWN] = REASON_JWT_KEY_UNKNOWN,
        [JWT_SIGNATURE_WRONG] = REASON_JWT_SIGNATURE,
        [JWT_AUDIENCE_WRONG] = REASON_JWT_AUDIENCE,
        [JWT_EXPIRY_MISSING] = REASON_JWT_EXPIRY_MISSING,
        [JWT_EXPIRED] = REASON_JWT_EXPIRED,
        [JWT_TOO_EARLY] = REASON_JWT_TOO_EARLY,
        [JWT_NO_MEMORY] = REASON_NO_MEMORY,
    };

    return reasons[verdict];
}

/* Whom verified claims name. */
static const struct client *find_by_claims(struct admission *admission,
                                           const struct asking *asking,
                                           const struct jwt *jwt)
{
    bool is_ambiguous;
    const struct client *client = client_find_jwt(
        asking->snapshot->clients, jwt->issuer->name, jwt->claims, &is_ambiguous);

    if (client == NULL)
        (void)refuse(admission,
                     is_ambiguous ? REASON_JWT_SEVERAL_CLIENTS : REASON_JWT_NO_CLIENT);
    return client;
}

/* Whom the token names when it is verified now; remembered if it names somebody. */
static const struct client *verify_jwt(struct admission *admission,
                                       const struct asking *asking, struct span token,
                                       const struct jwks_issuers *issuers,
                                       const struct jwt_memo_key *key)
{
    const struct client *client = NULL;
    struct jwt jwt;
    enum jwt_verdict verdict =
        jwt_verify(token, issuers->issuers, issuers->count, asking->now_wall_ms, &jwt);

    if (verdict == JWT_GOOD) {
        client = find_by_claims(admission, asking, &jwt);
        if (client != NULL && asking->memo != NULL)
            jwt_memo_add(asking->memo, key, jwt.from_ms, jwt.until_ms, client);
    } else {
        admission->wants_keys = jwt.wants_keys;
        if (jwt.wants_keys)
            admission->issuer = (size_t)(jwt.issuer - issuers->issuers);
        (void)refuse(admission, reason_of_jwt(verdict));
    }
    jwt_fini(&jwt);
    return client;
}

static bool identify_jwt(struct admission *admission, const struct asking *asking,
                         struct span token, const struct client **client)
{
    struct jwks_issuers *issuers = jwks_take_issuers(asking->snapshot->jwks);
    struct jwt_memo_key key = {.generation = asking->snapshot->generation,
                               .list = issuers->number};

    *client = NULL;
    if (!token_digest(asking->hasher, token, key.digest))
        (void)refuse(admission, REASON_NO_MEMORY);
    else if (asking->memo == NULL ||
             (*client = jwt_memo_find(asking->memo, &key, asking->now_wall_ms)) == NULL)
        *client = verify_jwt(admission, asking, token, issuers, &key);
    secret_cleanse(key.digest, sizeof(key.digest));
    jwks_return_issuers(issuers);
    if (*client != NULL && client_is_expired(*client, asking->now_wall_ms))
        return refuse(admission, REASON_JWT_CLIENT_EXPIRED);
    return *client != NULL;
}

/* A bearer is a token of ours, or a JWT where issuers of such are known. */
static bool identify_bearer(struct admission *admission, const struct asking *asking,
                            const struct shown *shown, const struct client **client)
{
    if (shown->is_jwt && asking->snapshot->jwks != NULL) {
        admission->auth = "jwt";
        return identify_jwt(admission, asking, shown->bearer, client);
    }
    admission->auth = "bearer";
    return identify_token(admission, asking, shown->bearer, client);
}

/*
 * Who has the X-Api-Key, which wins over a bearer that is no token of ours. Only a JWT
 * that names somebody else is a contradiction; one that names nobody does not count.
 */
static bool identify_api_key(struct admission *admission, const struct asking *asking,
                             const struct shown *shown, const struct client **client)
{
    const struct client *named = NULL;
    struct admission aside = {.detail = NULL};

    admission->token = shown->api_key;
    if (!identify_token(admission, asking, shown->api_key, client))
        return false;
    if (shown->is_jwt && asking->snapshot->jwks != NULL &&
        identify_jwt(&aside, asking, shown->bearer, &named) &&
        strcmp(named->name, (*client)->name) != 0)
        return refuse(admission, REASON_CREDENTIALS_DIFFER);
    return true;
}

/* What is wrong with the connection's identity, if no client goes by it. */
static bool refuse_nobody(struct admission *admission, const struct identity *identity)
{
    if (identity->certificate != NULL) {
        if (identity->certificate->was_starved)
            return refuse(admission, REASON_NO_MEMORY);
        if (identity->certificate->is_unusable)
            admission->detail = "the certificate has too many names, or broken ones";
        return refuse(admission, REASON_CERTIFICATE_UNKNOWN);
    }
    return refuse(admission, identity->has_process ? REASON_PEER_UNKNOWN
                                                   : REASON_CREDENTIAL_MISSING);
}

/*
 * The connection's identity comes last: it names the client of a request that shows no
 * credential, and must not name another than a credential does.
 */
static bool identify_connection(struct admission *admission, const struct asking *asking,
                                const struct identity *identity)
{
    bool has_certificate = identity->certificate != NULL;
    const struct client *client;

    if (identity->is_refused)
        return refuse(admission, REASON_CERTIFICATE_REFUSED);
    if (has_certificate && asking->now_wall_ms >= identity->valid_until_ms)
        return refuse(admission, REASON_CERTIFICATE_EXPIRED);
    switch (identity_find(identity, asking->snapshot->clients, asking->now_wall_ms,
                          &client)) {
    case IDENTITY_AMBIGUOUS:
        return refuse(admission, has_certificate ? REASON_CERTIFICATE_AMBIGUOUS
                                                 : REASON_PEER_AMBIGUOUS);
    case IDENTITY_NONE:
        return admission->client != NULL || refuse_nobody(admission, identity);
    case IDENTITY_FOUND:
        break;
    }
    if (admission->client != NULL)
        return strcmp(client->name, admission->client->name) == 0 ||
               refuse(admission, REASON_CREDENTIALS_DIFFER);
    if (client_is_expired(client, asking->now_wall_ms))
        return refuse(admission, REASON_CLIENT_EXPIRED);
    admission->client = client;
    admission->auth = has_certificate ? "certificate" : "peer";
    return true;
}

/*
 * The credential fields: which of them counts, and that two must agree. True without a
 * client: there is none.
 */
static bool identify_fields(struct admission *admission, const struct http_head *head,
                            const struct asking *asking)
{
    const struct client *other = NULL;
    struct shown shown;
    bool bearer_counts;

    if (!read_credentials(admission, head, &shown))
        return false;
    bearer_counts =
        shown.is_bearer && (!shown.has_api_key || token_has_prefix(shown.bearer));
    if (bearer_counts) {
        admission->token = shown.bearer;
        if (!identify_bearer(admission, asking, &shown, &admission->client))
            return false;
    }
    if (shown.has_api_key) {
        if (!identify_api_key(admission, asking, &shown, &other))
            return false;
        if (bearer_counts && strcmp(other->name, admission->client->name) != 0)
            return refuse(admission, REASON_CREDENTIALS_DIFFER);
        if (!bearer_counts) {
            admission->client = other;
            admission->auth = "api_key";
        }
        return true;
    }
    if (bearer_counts || !shown.has_authorization)
        return true;
    return refuse(admission, REASON_CREDENTIAL_MALFORMED);
}

/* INTERFACES, "On the wire": the order of credentials. */
bool identify(struct admission *admission, const struct http_head *head,
              const struct identity *identity, const struct snapshot *snapshot,
              struct token_hasher *hasher, struct jwt_memo *memo, int64_t now_wall_ms)
{
    const struct asking asking = {
        .snapshot = snapshot, .hasher = hasher, .memo = memo, .now_wall_ms = now_wall_ms};

    if (!identify_fields(admission, head, &asking))
        return false;
    if (identity->vouched == NULL || admission->client != NULL)
        return identify_connection(admission, &asking, identity);
    admission->client = identity->vouched;
    admission->auth = identity->vouched_auth;
    return true;
}
