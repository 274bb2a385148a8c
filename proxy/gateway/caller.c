#include "gateway/caller.h"

#include <stdlib.h>

#include "base/log.h"
#include "net/tls.h"

struct trust *trust_new(void)
{
    struct trust *trust = calloc(1, sizeof(*trust));

    if (trust != NULL)
        trust->references = 1;
    return trust;
}

void trust_unref(struct trust *trust)
{
    if (trust == NULL || --trust->references > 0)
        return;
    SSL_CTX_free(trust->tls);
    free(trust);
}

void trust_change(struct trust *trust, SSL_CTX *tls)
{
    if (tls != NULL)
        (void)SSL_CTX_up_ref(tls);
    SSL_CTX_free(trust->tls);
    trust->tls = tls;
    trust->generation++;
}

/* Who it is in the logs and the trail; identities do not come from here. */
static void note_peer(struct caller *caller, const struct sockaddr *peer)
{
    caller->has_ip = peer_ip(peer, &caller->ip);
    caller->is_unix = peer->sa_family == AF_UNIX;
    peer_format(peer, caller->text);
}

void caller_init(struct caller *caller, struct trust *trust, int fd,
                 const struct sockaddr *peer)
{
    struct identity *identity = &caller->identity;

    *caller = (struct caller){.trust = trust, .generation = trust->generation};
    trust->references++;
    note_peer(caller, peer);
    if (!caller->is_unix)
        return;
    identity->has_process = peer_read_process(fd, &identity->uid, &identity->gid);
    if (identity->has_process)
        (void)snprintf(caller->text, sizeof(caller->text), "unix uid %u", identity->uid);
}

void caller_take_source(struct caller *caller, const struct sockaddr *source)
{
    note_peer(caller, source);
    caller->is_unix = false; /* of the balancer's sockets, not of ours */
}

struct span caller_source(const struct caller *caller)
{
    const char *colon = strrchr(caller->text, ':');
    size_t len = colon != NULL ? (size_t)(colon - caller->text) : strlen(caller->text);

    if (len > 1 && caller->text[0] == '[')
        return span_make(caller->text + 1, len - 2);
    return span_make(caller->text, len);
}

bool caller_is_among(const struct caller *caller, const struct networks *networks)
{
    return caller->has_ip ? networks_have(networks, &caller->ip)
                          : caller->is_unix && networks->has_unix;
}

void caller_fini(struct caller *caller)
{
    X509_free(caller->certificate);
    sk_X509_pop_free(caller->chain, X509_free);
    caller->certificate = NULL;
    caller->chain = NULL;
    certificate_names_fini(&caller->names);
    trust_unref(caller->trust);
    caller->trust = NULL;
}

void caller_take_certificate(struct caller *caller, SSL *ssl)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);

    caller->certificate = SSL_get1_peer_certificate(ssl);
    if (caller->certificate == NULL)
        return;
    caller->chain = chain != NULL ? X509_chain_up_ref(chain) : NULL;
    certificate_read_names(caller->certificate, &caller->names);
    caller->identity.certificate = &caller->names;
    caller->identity.valid_until_ms =
        tls_chain_valid_until_ms(SSL_get0_verified_chain(ssl));
    /* Tickets with a certificate are not taken (net/tls.c); if one were, look again. */
    if (SSL_session_reused(ssl))
        caller->generation--;
}

/* By what a new connection on the listener would have to show now. */
static bool is_accepted_still(struct caller *caller)
{
    SSL_CTX *tls = caller->trust->tls;
    char why[256];

    if (caller->certificate == NULL)
        return tls == NULL ||
               (SSL_CTX_get_verify_mode(tls) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) == 0;
    if (tls != NULL &&
        tls_verify_client(tls, caller->certificate, caller->chain,
                          &caller->identity.valid_until_ms, why, sizeof(why)))
        return true;
    log_info("client %s: its certificate is not accepted any more: %s", caller->text,
             tls != NULL ? why : "the listener has no TLS");
    return false;
}

const struct identity *caller_identify(struct caller *caller)
{
    if (caller->generation != caller->trust->generation) {
        caller->generation = caller->trust->generation;
        caller->identity.is_refused = !is_accepted_still(caller);
    }
    return &caller->identity;
}
