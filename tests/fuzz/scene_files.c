/* The files that a scene's configuration is made of; they are in memory. */
#include <fcntl.h>

#include "fuzz/scene_internal.h"
#include "fuzz/signing.h"

enum {
    FILE_CONFIG,
    FILE_OPERATIONS,
    FILE_CLIENTS,
    FILE_KEY,
    FILE_NEXT_KEY,
    FILE_KEYS,
    FILES
};

static char paths[FILES][32];
static int descriptors[FILES];
static char token[TOKEN_BYTES + 1];
static struct text clients, jwt;

/* What the files say at present. */
static unsigned key_number;
static bool has_next_key, has_no_client, has_other_table;

#define LIMITS                                                                           \
    "\"limits\":{\"header_bytes\":\"4KiB\",\"headers\":16,\"audited_body\":\"1KiB\","    \
    "\"audited_bodies_total\":\"2KiB\"}"
#define CACHE "\"cache\":{\"memory\":\"1MiB\",\"unknown_hold\":\"5s\"}"
#define ISSUER "https://issuer.test"
#define ALL "\"invalidates\":[\"session\",\"members\",\"u\"]"

/* The first %s is how long a session is fresh. */
static const char operations_text[] =
    "{\"operations\":["
    "{\"id\":\"getSession\",\"method\":\"GET\",\"path\":\"/v1/auth/session\",\"cache\":{"
    "\"scope\":\"session\",\"ttl\":\"%s\",\"stale_while_revalidate\":\"30s\","
    "\"stale_if_error\":\"10m\"}},"
    "{\"id\":\"listTeamMembers\",\"method\":\"GET\",\"path\":\"/v1/teams/{t}/users\","
    "\"cache\":{\"scope\":\"members\",\"ttl\":\"2s\",\"stale_while_revalidate\":\"60s\","
    "\"stale_if_error\":\"10m\"}},"
    "{\"id\":\"getU\",\"method\":\"GET\",\"path\":\"/v1/u/"
    "{x}\",\"cache\":{\"scope\":\"u\","
    "\"freshness\":\"upstream\",\"ttl\":\"5s\"}},"
    "{\"id\":\"updateTeamMember\",\"method\":\"PUT\",\"path\":\"/v1/teams/{t}/users/"
    "{u}\","
    "\"user\":\"u\",\"audit\":{\"record\":[\"isAdmin\"]}," ALL "},"
    "{\"id\":\"createTeamSecret\",\"method\":\"POST\",\"path\":\"/v1/teams/{t}/secrets\","
    "\"resource\":{\"type\":\"secret\",\"name\":\"body.name\"},\"audit\":{}," ALL "},"
    "{\"id\":\"deleteTeamSecret\",\"method\":\"DELETE\","
    "\"path\":\"/v1/teams/{t}/secrets/{name}\",\"audit\":{}," ALL "}]}";

static void write_file(int file, struct span content)
{
    fuzz_require(ftruncate(descriptors[file], 0) == 0 &&
                     pwrite(descriptors[file], content.at, content.len, 0) ==
                         (ssize_t)content.len,
                 "a file in memory takes no more");
}

/* Lasts until the next call. */
const char *scene_key(unsigned number)
{
    static char key[sizeof(SCENE_KEY) + 4];

    (void)snprintf(key, sizeof(key), "%s%02u", SCENE_KEY, number % 100);
    return key;
}

unsigned scene_key_number(void)
{
    return key_number;
}

const char *scene_token(void)
{
    return token;
}

const char *scene_jwt(void)
{
    return jwt.bytes;
}

static void write_config(void)
{
    struct text text = {0};

    text_add_format(&text, "{\"upstream\":{\"url\":\"%s://127.0.0.1:1\",",
                    scene_kind.has_tls ? "https" : "http");
    if (scene_kind.has_tls)
        text_add_format(&text, "\"ca_file\":\"%s\",", scene_trust.certificate);
    text_add(&text, SPAN("\"max_connections\":2,\"response_timeout\":\"20s\"},"));
    text_add_format(&text, "\"credentials\":{\"default\":{\"api_key_file\":\"%s\"",
                    paths[FILE_KEY]);
    if (has_next_key)
        text_add_format(&text, ",\"next_api_key_file\":\"%s\"", paths[FILE_NEXT_KEY]);
    text_add_format(&text, "}},\"clients_file\":\"%s\",\"operations_file\":\"%s\",",
                    paths[FILE_CLIENTS], paths[FILE_OPERATIONS]);
    text_add_format(&text,
                    "\"jwt\":[{\"issuer\":\"" ISSUER "\",\"audience\":[\"psgate\"],"
                    "\"jwks_file\":\"%s\",\"leeway\":\"1s\"}],",
                    paths[FILE_KEYS]);
    text_add(&text, SPAN(CACHE "," LIMITS "}"));
    write_file(FILE_CONFIG, fuzz_text(&text));
    text_fini(&text);
}

static void write_files(void)
{
    struct text text = {0};

    write_config();
    text_add_format(&text, operations_text, has_other_table ? "40s" : "30s");
    write_file(FILE_OPERATIONS, fuzz_text(&text));
    write_file(FILE_CLIENTS,
               has_no_client ? SPAN("{\"clients\":[]}") : fuzz_text(&clients));
    write_file(FILE_KEY, span_of(scene_key(key_number)));
    write_file(FILE_KEYS, SPAN(SIGNING_KEYS));
    write_file(FILE_NEXT_KEY, span_of(scene_key(key_number + 1)));
    text_fini(&text);
}

static void make_clients(void)
{
    unsigned char digest[TOKEN_DIGEST_BYTES];
    struct error error;
    struct token_hasher *hasher = token_hasher_new(&error);

    fuzz_require(hasher != NULL && token_generate(hasher, token, &error) &&
                     token_digest(hasher, span_of(token), digest),
                 "no token");
    text_add(&clients, SPAN("{\"clients\":[{\"name\":\"ci\",\"token_sha256\":\""));
    for (size_t i = 0; i < sizeof(digest); i++)
        text_add_format(&clients, "%02x", digest[i]);
    text_add(&clients, SPAN("\"},{\"name\":\"job\",\"jwt\":{\"issuer\":\"" ISSUER "\","
                            "\"claims\":{\"sub\":\"job-*\"}}}]}"));
    token_hasher_free(hasher);
}

static void make_jwt(void)
{
    EVP_PKEY *key = signing_key();
    char claims[160];

    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"" ISSUER "\",\"aud\":\"psgate\",\"sub\":\"job-1\","
                   "\"exp\":%lld}",
                   (long long)SCENE_JWT_EXPIRES_MS / 1000);
    signing_add(&jwt, key, SPAN("{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"), span_of(claims));
    text_add_byte(&jwt, '\0');
    EVP_PKEY_free(key);
}

void scene_files_prepare(void)
{
    for (int i = 0; i < FILES; i++)
        descriptors[i] = fuzz_new_file(SPAN(""), paths[i]);
    make_clients();
    make_jwt();
    write_files();
}

void scene_files_reset(void)
{
    bool is_changed = key_number > 0 || has_next_key || has_no_client || has_other_table;

    key_number = 0;
    has_next_key = has_no_client = has_other_table = false;
    if (is_changed)
        write_files();
}

void scene_files_change(enum scene_reload what)
{
    switch (what) {
    case SCENE_RELOAD_SAME:
        break;
    case SCENE_RELOAD_CLIENTS:
        has_no_client = !has_no_client;
        break;
    case SCENE_RELOAD_KEY:
        key_number += 2;
        break;
    case SCENE_RELOAD_NEXT_KEY:
        has_next_key = !has_next_key;
        break;
    case SCENE_RELOAD_OPERATIONS:
        has_other_table = !has_other_table;
        break;
    }
    write_files();
}

struct snapshot *scene_files_load(const struct snapshot *previous)
{
    struct problems problems = {0};
    struct snapshot *snapshot =
        snapshot_load(paths[FILE_CONFIG], previous, NULL, &problems);

    fuzz_require(snapshot != NULL, "%s", problems.lines.bytes);
    return snapshot;
}

struct snapshot *scene_files_load_clients(struct snapshot *previous)
{
    struct problems problems = {0};
    struct snapshot *snapshot = snapshot_reload_clients(previous, &problems);

    fuzz_require(snapshot != NULL, "%s", problems.lines.bytes);
    return snapshot;
}
