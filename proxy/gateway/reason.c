#include "gateway/reason.h"

#define BAD "BAD_REQUEST"
#define UNAUTHORIZED "UNAUTHORIZED"
#define INTERNAL "INTERNAL_SERVER_ERROR"
#define ERROR "http_request_error"
#define DENIED "http_request_denied"
#define CHALLENGE "WWW-Authenticate: Bearer realm=\"psgate\"\r\n"
#define LATER "Retry-After: 1\r\n"
#define TOO_MANY "TOO_MANY_REQUESTS"
#define METHODS "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"

static const struct reason_row rows[REASON_COUNT] = {
    [REASON_MALFORMED] = {400, BAD, ERROR, "the request is malformed", "mend the client",
                          ""},
    [REASON_TARGET_TOO_LONG] = {414, BAD, ERROR, "the request target is too long",
                                "shorten it, or raise limits.header_bytes", ""},
    [REASON_HEAD_TOO_LARGE] = {431, BAD, ERROR, "the request head is too large",
                               "send fewer or shorter fields, or raise "
                               "limits.header_bytes or limits.headers",
                               ""},
    [REASON_CODING_UNSUPPORTED] = {501, BAD, ERROR, "the transfer coding is unknown",
                                   "send Content-Length or Transfer-Encoding: chunked",
                                   ""},
    [REASON_VERSION_UNSUPPORTED] = {505, BAD, ERROR, "the HTTP version is not supported",
                                    "use HTTP/1.1", ""},
    [REASON_METHOD_REFUSED] = {405, "METHOD_NOT_SUPPORTED", DENIED,
                               "the gateway refuses TRACE and CONNECT",
                               "use another method", METHODS},
    [REASON_OVERRIDE_FIELD] = {400, BAD, DENIED,
                               "a field that overrides method or target is refused",
                               "send the method and target themselves", ""},
    [REASON_HEAD_TIMEOUT] = {408, "TIMEOUT", ERROR,
                             "the request head did not arrive within "
                             "limits.header_timeout",
                             "send it faster", ""},
    [REASON_BODY_TIMEOUT] = {408, "TIMEOUT", ERROR,
                             "the request body came too slowly for limits.body_timeout",
                             "send it faster", ""},
    [REASON_CREDENTIAL_REPEATED] = {400, BAD, ERROR, "a credential field is repeated",
                                    "send one Authorization or one X-Api-Key field", ""},
    [REASON_CREDENTIAL_MISSING] = {401, UNAUTHORIZED, DENIED, "no token was sent",
                                   "send Authorization: Bearer TOKEN with a token that "
                                   "psgate token create made",
                                   CHALLENGE},
    [REASON_CREDENTIAL_MALFORMED] = {401, UNAUTHORIZED, DENIED,
                                     "the Authorization field is not Bearer TOKEN",
                                     "send Authorization: Bearer TOKEN", CHALLENGE},
    [REASON_TOKEN_MALFORMED] = {401, UNAUTHORIZED, DENIED,
                                "that is not a psgate token, or it was cut or mistyped",
                                "check that it was copied whole", CHALLENGE},
    [REASON_TOKEN_UNKNOWN] = {401, UNAUTHORIZED, DENIED,
                              "the token is unknown or was revoked",
                              "ask for a new one (psgate token create)", CHALLENGE},
    [REASON_TOKEN_EXPIRED] = {401, UNAUTHORIZED, DENIED, "the token has expired",
                              "ask for a new one (psgate token create)", CHALLENGE},
    [REASON_CREDENTIALS_DIFFER] = {401, UNAUTHORIZED, DENIED,
                                   "the credentials of this request name different "
                                   "clients (Authorization, X-Api-Key, or who the "
                                   "connection is from)",
                                   "send only one of them", CHALLENGE},
    [REASON_CERTIFICATE_UNKNOWN] = {401, UNAUTHORIZED, DENIED,
                                    "no client has a name of this certificate",
                                    "send a token, or ask for a client with its subject "
                                    "or SAN as tls_subject",
                                    CHALLENGE},
    [REASON_CERTIFICATE_AMBIGUOUS] = {401, UNAUTHORIZED, DENIED,
                                      "more than one client has a name of this "
                                      "certificate",
                                      "have the operator keep one tls_subject of them",
                                      CHALLENGE},
    [REASON_CERTIFICATE_EXPIRED] = {401, UNAUTHORIZED, DENIED,
                                    "the connection's certificate has expired",
                                    "connect again with a new one", CHALLENGE},
    [REASON_CERTIFICATE_REFUSED] =
        {401, UNAUTHORIZED, DENIED,
         "the certificate that the connection began with, or began without, is not "
         "accepted any more",
         "connect again with one that the listener's client_ca and client_crl allow",
         CHALLENGE},
    [REASON_PEER_UNKNOWN] = {401, UNAUTHORIZED, DENIED,
                             "no token was sent, and no client has the uid or gid of the "
                             "process that sent this",
                             "send Authorization: Bearer TOKEN, or ask for a client with "
                             "that uid",
                             CHALLENGE},
    [REASON_PEER_AMBIGUOUS] = {401, UNAUTHORIZED, DENIED,
                               "more than one client has the uid or gid of the process "
                               "that sent this",
                               "have the operator keep one of them", CHALLENGE},
    [REASON_CLIENT_EXPIRED] = {401, UNAUTHORIZED, DENIED,
                               "the client that the connection is from has expired",
                               "ask for a new expires in the clients file", CHALLENGE},
    [REASON_JWT_MALFORMED] = {401, UNAUTHORIZED, DENIED,
                              "the JWT is no compact JWS with sound JSON in it",
                              "send it whole, as its issuer made it", CHALLENGE},
    [REASON_JWT_TOO_LONG] = {401, UNAUTHORIZED, DENIED, "the JWT is longer than 8 KiB",
                             "have its issuer put fewer claims into it", CHALLENGE},
    [REASON_JWT_HEADER] = {401, UNAUTHORIZED, DENIED,
                           "the JWT's header has jwk, jku, x5c, x5u or crit",
                           "have its issuer leave that out: keys come from the "
                           "configuration alone",
                           CHALLENGE},
    [REASON_JWT_TYPE] = {401, UNAUTHORIZED, DENIED,
                         "the JWT's typ is neither JWT nor at+jwt",
                         "send an ID token or an access token of its issuer", CHALLENGE},
    [REASON_JWT_ALGORITHM] = {401, UNAUTHORIZED, DENIED,
                              "the JWT is not signed with RS256, ES256 or EdDSA",
                              "have its issuer sign it with one of these", CHALLENGE},
    [REASON_JWT_ISSUER] = {401, UNAUTHORIZED, DENIED,
                           "the JWT's issuer is not known here",
                           "send one of an issuer that the operator has put into jwt",
                           CHALLENGE},
    [REASON_JWT_KEYS_MISSING] = {503, INTERNAL, "proxy_internal_error",
                                 "the keys of the JWT's issuer have not been fetched yet",
                                 "try again in some seconds; if that does not help, have "
                                 "the operator look at the log",
                                 LATER},
    [REASON_JWT_KEY_UNKNOWN] = {401, UNAUTHORIZED, DENIED,
                                "the JWT's issuer has no key of that id and algorithm",
                                "send a fresh one; if its issuer has just changed keys, "
                                "try again in ten seconds",
                                CHALLENGE},
    [REASON_JWT_SIGNATURE] = {401, UNAUTHORIZED, DENIED, "the JWT's signature is wrong",
                              "send it whole and unchanged, as its issuer made it",
                              CHALLENGE},
    [REASON_JWT_AUDIENCE] = {401, UNAUTHORIZED, DENIED, "the JWT is for somebody else",
                             "ask its issuer for one with an audience that the operator "
                             "has put into jwt",
                             CHALLENGE},
    [REASON_JWT_EXPIRY_MISSING] = {401, UNAUTHORIZED, DENIED, "the JWT has no exp",
                                   "have its issuer say when it expires", CHALLENGE},
    [REASON_JWT_EXPIRED] = {401, UNAUTHORIZED, DENIED, "the JWT has expired",
                            "get a fresh one from its issuer", CHALLENGE},
    [REASON_JWT_TOO_EARLY] = {401, UNAUTHORIZED, DENIED, "the JWT is not valid yet",
                              "check the clocks of its issuer and of the gateway",
                              CHALLENGE},
    [REASON_JWT_NO_CLIENT] = {401, UNAUTHORIZED, DENIED,
                              "the JWT is good, but its claims name no client",
                              "have the operator compare them with the clients file",
                              CHALLENGE},
    [REASON_JWT_SEVERAL_CLIENTS] =
        {401, UNAUTHORIZED, DENIED, "the JWT is good, but its claims name two clients",
         "have the operator make the clients file's claims narrower", CHALLENGE},
    [REASON_JWT_CLIENT_EXPIRED] = {401, UNAUTHORIZED, DENIED,
                                   "the client that the JWT names has expired",
                                   "have the operator renew it in the clients file",
                                   CHALLENGE},
    [REASON_OPERATION_FORBIDDEN] =
        {403, "FORBIDDEN", DENIED, "this client may not do that",
         "see GET /.psgate/whoami, or ask for the operation to "
         "be allowed in the clients file",
         ""},
    [REASON_TEAM_FORBIDDEN] = {403, "FORBIDDEN", DENIED,
                               "this client may not act on that team, or on no team at "
                               "all",
                               "see GET /.psgate/whoami, or ask for the team to be added "
                               "in the clients file",
                               ""},
    [REASON_CLIENT_RATE] = {429, TOO_MANY, DENIED,
                            "this client asks more often than it may",
                            "wait as Retry-After says, or ask for a higher rate in the "
                            "clients file",
                            LATER},
    [REASON_CLIENT_BUSY] = {429, TOO_MANY, DENIED,
                            "this client has as many requests under way as it may",
                            "wait for some of them to end, or ask for a higher "
                            "concurrency in the clients file",
                            LATER},
    [REASON_UPSTREAM_RATE] = {429, TOO_MANY, DENIED,
                              "all clients together send more to upstream than "
                              "limits.upstream_rate allows",
                              "wait as Retry-After says, or have the operator raise it",
                              LATER},
    [REASON_NO_SUCH_ENDPOINT] = {404, "NOT_FOUND", ERROR,
                                 "the gateway has no such endpoint",
                                 "use /.psgate/healthz, /.psgate/readyz or "
                                 "/.psgate/whoami",
                                 ""},
    [REASON_ENDPOINT_METHOD] = {405, "METHOD_NOT_SUPPORTED", ERROR,
                                "the gateway's own endpoints are only read", "use GET",
                                "Allow: GET, HEAD\r\n"},
    [REASON_NOT_READY] = {503, INTERNAL, "proxy_internal_error",
                          "the gateway is shutting down", "try another instance", LATER},
    [REASON_BODY_TOO_LARGE] = {413, "PAYLOAD_TOO_LARGE", ERROR,
                               "the body is larger than a recorded change may be",
                               "send a smaller one, or raise limits.audited_body", ""},
    [REASON_BODIES_TOO_MANY] = {503, INTERNAL, "proxy_internal_error",
                                "too many bodies of recorded changes are held at once",
                                "try again later, or raise limits.audited_bodies_total",
                                LATER},
    [REASON_BODY_UNREADABLE] = {400, BAD, ERROR,
                                "the body does not say for sure which resource it names, "
                                "so the change cannot be recorded",
                                "send one JSON object with each member once", ""},
    [REASON_BODY_ENCODED] = {415, BAD, ERROR,
                             "the body is compressed, so the change that it names cannot "
                             "be recorded",
                             "send it without Content-Encoding", ""},
    [REASON_TRAIL_UNWRITABLE] = {503, INTERNAL, "proxy_internal_error",
                                 "the audit trail cannot be written, so nothing was "
                                 "forwarded",
                                 "try again once the operator has mended it", LATER},
    [REASON_TRAIL_SLOW] =
        {503, INTERNAL, "proxy_internal_error",
         "the audit trail could not be written within audit.timeout, so "
         "nothing was forwarded",
         "try again later", LATER},
    [REASON_NOT_RECORDED] = {500, INTERNAL, "proxy_internal_error",
                             "the change was sent on, but its result could not be "
                             "recorded within audit.timeout",
                             "do not repeat the request: look at what it has changed",
                             ""},
    [REASON_FLEET_AWAY] = {503, INTERNAL, "proxy_internal_error",
                           "the change cannot be announced to the other gateways, which "
                           "could go on answering from before it: nothing was forwarded",
                           "try again when Redis (cluster.redis) is back", LATER},
    [REASON_NOT_ANNOUNCED] = {500, INTERNAL, "proxy_internal_error",
                              "the change was sent on, but the other gateways could not "
                              "be told, and may answer from before it",
                              "do not repeat the request: look at what it has changed",
                              ""},
    [REASON_NO_MEMORY] = {503, INTERNAL, "proxy_internal_error", "memory is out",
                          "try again later", LATER},
    [REASON_NO_DESCRIPTORS] = {503, INTERNAL, "proxy_internal_error",
                               "the gateway may open no more files, and so no connection "
                               "to upstream",
                               "try again later, or have the operator raise LimitNOFILE",
                               LATER},
    [REASON_NOT_CACHED] = {504, "TIMEOUT", ERROR,
                           "nothing usable is stored, and only-if-cached was asked for",
                           "ask without only-if-cached", ""},
    [REASON_KEY_REFUSED] = {502, INTERNAL,
                            "proxy_configuration_error; "
                            "details=\"upstream refused the credential\"",
                            "upstream refused the API key that the gateway holds",
                            "have the operator check the credential's api_key_file", ""},
    [REASON_KEY_IN_ANSWER] = {502, INTERNAL,
                              "proxy_internal_error; "
                              "details=\"the answer contains the credential\"",
                              "upstream's answer contains the API key that the gateway "
                              "holds, so it was stopped",
                              "have the operator look at the gateway's log, and do not "
                              "repeat a change before looking at what it did",
                              ""},
    [REASON_NAME_NOT_RESOLVED] = {502, INTERNAL, "dns_error",
                                  "the upstream's name cannot be resolved",
                                  "check upstream.url and the DNS", LATER},
    [REASON_CONNECTION_REFUSED] = {502, INTERNAL, "connection_refused",
                                   "upstream refused the connection",
                                   "check upstream.url, or try again later", LATER},
    [REASON_CONNECTION_FAILED] = {502, INTERNAL, "destination_ip_unroutable",
                                  "upstream cannot be reached",
                                  "check upstream.url and the network", LATER},
    [REASON_CONNECT_TIMEOUT] = {504, "TIMEOUT", "connection_timeout",
                                "upstream did not accept a connection in time",
                                "try again later", LATER},
    [REASON_TLS_CERTIFICATE] = {502, INTERNAL, "tls_certificate_error",
                                "the upstream's certificate was not accepted, so nothing "
                                "was sent",
                                "check upstream.url and upstream.ca_file", LATER},
    [REASON_TLS_ALERT] = {502, INTERNAL, "tls_alert_received",
                          "upstream refused the TLS handshake",
                          "check upstream.url and its TLS settings", LATER},
    [REASON_TLS_PROTOCOL] = {502, INTERNAL, "tls_protocol_error",
                             "the TLS handshake with upstream failed",
                             "check that upstream.url is an https server", LATER},
    [REASON_NO_CONNECTION_FREE] = {503, INTERNAL, "connection_limit_reached",
                                   "all connections to upstream are in use",
                                   "try again later, or raise upstream.max_connections",
                                   LATER},
    [REASON_SEND_TIMEOUT] = {504, "TIMEOUT", "connection_write_timeout",
                             "upstream stopped taking the request",
                             "check what became of the request before repeating it", ""},
    [REASON_RESPONSE_TIMEOUT] = {504, "TIMEOUT", "http_response_timeout",
                                 "upstream did not answer within "
                                 "upstream.response_timeout",
                                 "check what became of the request before repeating it",
                                 ""},
    [REASON_CLOSED_EARLY] = {502, INTERNAL, "connection_terminated",
                             "upstream closed the connection before it answered",
                             "check what became of the request before repeating it", ""},
    [REASON_CUT_SHORT] = {502, INTERNAL, "http_response_incomplete",
                          "the upstream's answer was cut short",
                          "check what became of the request before repeating it", ""},
    [REASON_RESPONSE_INVALID] = {502, INTERNAL, "http_protocol_error",
                                 "what upstream answered is not sound HTTP",
                                 "check that upstream.url is the API", ""},
    [REASON_RESPONSE_TOO_LARGE] = {502, INTERNAL, "http_response_header_section_size",
                                   "the head of the upstream's answer is too large",
                                   "raise limits.header_bytes or limits.headers", ""},
    [REASON_UNASKED_UPGRADE] = {502, INTERNAL, "http_protocol_error",
                                "upstream switched protocols unasked",
                                "check that upstream.url is the API", ""},
};

static const char *const words[REASON_COUNT] = {
    [REASON_MALFORMED] = "malformed",
    [REASON_TARGET_TOO_LONG] = "target_too_long",
    [REASON_HEAD_TOO_LARGE] = "head_too_large",
    [REASON_CODING_UNSUPPORTED] = "coding_unsupported",
    [REASON_VERSION_UNSUPPORTED] = "version_unsupported",
    [REASON_METHOD_REFUSED] = "method_refused",
    [REASON_OVERRIDE_FIELD] = "override_field",
    [REASON_HEAD_TIMEOUT] = "head_timeout",
    [REASON_BODY_TIMEOUT] = "body_timeout",
    [REASON_CREDENTIAL_REPEATED] = "credential_repeated",
    [REASON_CREDENTIAL_MISSING] = "credential_missing",
    [REASON_CREDENTIAL_MALFORMED] = "credential_malformed",
    [REASON_TOKEN_MALFORMED] = "token_malformed",
    [REASON_TOKEN_UNKNOWN] = "token_unknown",
    [REASON_TOKEN_EXPIRED] = "token_expired",
    [REASON_CREDENTIALS_DIFFER] = "credentials_differ",
    [REASON_CERTIFICATE_UNKNOWN] = "certificate_unknown",
    [REASON_CERTIFICATE_AMBIGUOUS] = "certificate_ambiguous",
    [REASON_CERTIFICATE_EXPIRED] = "certificate_expired",
    [REASON_CERTIFICATE_REFUSED] = "certificate_refused",
    [REASON_PEER_UNKNOWN] = "peer_unknown",
    [REASON_PEER_AMBIGUOUS] = "peer_ambiguous",
    [REASON_CLIENT_EXPIRED] = "client_expired",
    [REASON_JWT_MALFORMED] = "jwt_malformed",
    [REASON_JWT_TOO_LONG] = "jwt_too_long",
    [REASON_JWT_HEADER] = "jwt_header",
    [REASON_JWT_TYPE] = "jwt_type",
    [REASON_JWT_ALGORITHM] = "jwt_algorithm",
    [REASON_JWT_ISSUER] = "jwt_issuer",
    [REASON_JWT_KEYS_MISSING] = "jwt_keys_missing",
    [REASON_JWT_KEY_UNKNOWN] = "jwt_key_unknown",
    [REASON_JWT_SIGNATURE] = "jwt_signature",
    [REASON_JWT_AUDIENCE] = "jwt_audience",
    [REASON_JWT_EXPIRY_MISSING] = "jwt_expiry_missing",
    [REASON_JWT_EXPIRED] = "jwt_expired",
    [REASON_JWT_TOO_EARLY] = "jwt_too_early",
    [REASON_JWT_NO_CLIENT] = "jwt_no_client",
    [REASON_JWT_SEVERAL_CLIENTS] = "jwt_several_clients",
    [REASON_JWT_CLIENT_EXPIRED] = "jwt_client_expired",
    [REASON_OPERATION_FORBIDDEN] = "operation_forbidden",
    [REASON_TEAM_FORBIDDEN] = "team_forbidden",
    [REASON_CLIENT_RATE] = "client_rate",
    [REASON_CLIENT_BUSY] = "client_busy",
    [REASON_UPSTREAM_RATE] = "upstream_rate",
    [REASON_NO_SUCH_ENDPOINT] = "no_such_endpoint",
    [REASON_ENDPOINT_METHOD] = "endpoint_method",
    [REASON_NOT_READY] = "not_ready",
    [REASON_BODY_TOO_LARGE] = "body_too_large",
    [REASON_BODIES_TOO_MANY] = "bodies_too_many",
    [REASON_BODY_UNREADABLE] = "body_unreadable",
    [REASON_BODY_ENCODED] = "body_encoded",
    [REASON_TRAIL_UNWRITABLE] = "trail_unwritable",
    [REASON_TRAIL_SLOW] = "trail_slow",
    [REASON_NOT_RECORDED] = "not_recorded",
    [REASON_FLEET_AWAY] = "fleet_away",
    [REASON_NOT_ANNOUNCED] = "not_announced",
    [REASON_NO_MEMORY] = "no_memory",
    [REASON_NO_DESCRIPTORS] = "no_descriptors",
    [REASON_NOT_CACHED] = "not_cached",
    [REASON_KEY_REFUSED] = "key_refused",
    [REASON_KEY_IN_ANSWER] = "key_in_answer",
    [REASON_NAME_NOT_RESOLVED] = "name_not_resolved",
    [REASON_CONNECTION_REFUSED] = "connection_refused",
    [REASON_CONNECTION_FAILED] = "connection_failed",
    [REASON_CONNECT_TIMEOUT] = "connect_timeout",
    [REASON_TLS_CERTIFICATE] = "tls_certificate",
    [REASON_TLS_ALERT] = "tls_alert",
    [REASON_TLS_PROTOCOL] = "tls_protocol",
    [REASON_NO_CONNECTION_FREE] = "no_connection_free",
    [REASON_SEND_TIMEOUT] = "send_timeout",
    [REASON_RESPONSE_TIMEOUT] = "response_timeout",
    [REASON_CLOSED_EARLY] = "closed_early",
    [REASON_CUT_SHORT] = "cut_short",
    [REASON_RESPONSE_INVALID] = "response_invalid",
    [REASON_RESPONSE_TOO_LARGE] = "response_too_large",
    [REASON_UNASKED_UPGRADE] = "unasked_upgrade",
};

const struct reason_row *reason_row(enum reason reason)
{
    return &rows[reason];
}

const char *reason_word(enum reason reason)
{
    return words[reason];
}

enum reason reason_of_fault(enum http_fault fault)
{
    switch (fault) {
    case HTTP_FAULT_START_LINE_TOO_LONG:
        return REASON_TARGET_TOO_LONG;
    case HTTP_FAULT_HEAD_TOO_LARGE:
    case HTTP_FAULT_TOO_MANY_FIELDS:
        return REASON_HEAD_TOO_LARGE;
    case HTTP_FAULT_CODING_UNSUPPORTED:
        return REASON_CODING_UNSUPPORTED;
    case HTTP_FAULT_VERSION:
        return REASON_VERSION_UNSUPPORTED;
    case HTTP_FAULT_OVERRIDE_FIELD:
        return REASON_OVERRIDE_FIELD;
    case HTTP_FAULT_NO_MEMORY:
        return REASON_NO_MEMORY;
    default:
        return REASON_MALFORMED;
    }
}

enum reason reason_of_failure(enum upstream_failure failure)
{
    static const enum reason reasons[UPSTREAM_FAILURES] = {
        [UPSTREAM_NAME_NOT_RESOLVED] = REASON_NAME_NOT_RESOLVED,
        [UPSTREAM_CONNECTION_REFUSED] = REASON_CONNECTION_REFUSED,
        [UPSTREAM_CONNECTION_FAILED] = REASON_CONNECTION_FAILED,
        [UPSTREAM_CONNECT_TIMEOUT] = REASON_CONNECT_TIMEOUT,
        [UPSTREAM_TLS_CERTIFICATE] = REASON_TLS_CERTIFICATE,
        [UPSTREAM_TLS_ALERT] = REASON_TLS_ALERT,
        [UPSTREAM_TLS_PROTOCOL] = REASON_TLS_PROTOCOL,
        [UPSTREAM_NO_CONNECTION_FREE] = REASON_NO_CONNECTION_FREE,
        [UPSTREAM_SEND_TIMEOUT] = REASON_SEND_TIMEOUT,
        [UPSTREAM_RESPONSE_TIMEOUT] = REASON_RESPONSE_TIMEOUT,
        [UPSTREAM_CLOSED_EARLY] = REASON_CLOSED_EARLY,
        [UPSTREAM_CUT_SHORT] = REASON_CUT_SHORT,
        [UPSTREAM_RESPONSE_INVALID] = REASON_RESPONSE_INVALID,
        [UPSTREAM_RESPONSE_TOO_LARGE] = REASON_RESPONSE_TOO_LARGE,
        [UPSTREAM_UNASKED_UPGRADE] = REASON_UNASKED_UPGRADE,
        [UPSTREAM_NO_MEMORY] = REASON_NO_MEMORY,
        [UPSTREAM_NO_DESCRIPTORS] = REASON_NO_DESCRIPTORS,
    };

    return reasons[failure];
}

const char *reason_status_text(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}
