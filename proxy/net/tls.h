/*
 * TLS contexts, and the place that reads OpenSSL's error queue on workers. Servers and
 * clients speak TLS 1.2 or later, without renegotiation and compression.
 */
#ifndef PSGATE_NET_TLS_H
#define PSGATE_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/error.h"

struct tls_server_options {
    const char *certificate; /* PEM, with its chain */
    const char *private_key;
    const char *client_ca;  /* NULL: clients are not asked */
    const char *client_crl; /* NULL: revocation is not looked at */
    bool requires_client_certificate;
};

/* A context for a listener; the caller drops its reference with SSL_CTX_free. */
SSL_CTX *tls_server_context(const struct tls_server_options *options,
                            struct error *error) MUST_CHECK;

/*
 * Looks at a client's certificate again as a handshake under the context would: chain,
 * time, purpose, revocation. False with why.
 */
bool tls_verify_client(SSL_CTX *context, X509 *certificate, STACK_OF(X509) * chain,
                       int64_t *valid_until_ms, char *why, size_t len) MUST_CHECK;

/* When the first certificate of a chain expires, wall clock. */
int64_t tls_chain_valid_until_ms(const STACK_OF(X509) * chain);

/* Whether a handshake failed for want of a revocation list in force. */
bool tls_is_about_crl(const SSL *ssl);

/* When the context's own certificate ends (wall clock); false: it has none. */
bool tls_certificate_until(SSL_CTX *context, int64_t *until_ms);

/* Whether one of the context's revocation lists is out of date: then what and when. */
bool tls_has_stale_crl(SSL_CTX *context, char *text, size_t len);

/*
 * How to reach one upstream over TLS: its host and whom to trust. Sessions are kept here
 * and nowhere else, because a resumed session is not checked against the host name again.
 * Immutable but for the session; used by all workers.
 */
struct tls_client;

/* ca_file NULL: the system's store. */
struct tls_client *tls_client_new(const char *host, const char *ca_file,
                                  struct error *error) MUST_CHECK;
void tls_client_free(struct tls_client *client);

/*
 * A client's end of a connection: demands a certificate for the host from a trusted
 * chain, sends SNI unless the host is a literal address, resumes the last session.
 */
SSL *tls_client_connection(struct tls_client *client, struct error *error) MUST_CHECK;

/* What a failed call left in the queue, as text; the queue is empty afterwards. */
void tls_take_error(char *text, size_t len);

/* What the failure was about. */
enum tls_failure { TLS_FAILURE_PROTOCOL, TLS_FAILURE_CERTIFICATE, TLS_FAILURE_ALERT };

/* Classifies a failed handshake and describes it; empties the queue. */
enum tls_failure tls_describe_failure(const SSL *ssl, char *text, size_t len);

#endif
