#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <jansson.h>

#include "access/token.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "command/command.h"
#include "command/token_list.h"
#include "config/units.h"

static const char help[] =
    "Usage: psgate token create --clients FILE --name NAME [OPTIONS]\n"
    "       psgate token list   --clients FILE [--name NAME] [--json]\n"
    "       psgate token revoke --clients FILE --name NAME\n\n"
    "create prints the new token on standard output, once; the file keeps only its\n"
    "SHA-256. A second token for a name overlaps the first, until both are revoked.\n"
    "A running gateway takes a changed file in within a second.\n\n"
    "  --clients FILE     the clients file; create makes it where there is none\n"
    "  --name NAME        the client\n"
    "  --allow OPS        operation ids or globs, with commas between (default: *, "
    "which\n"
    "                     is not those that mint API keys: list shows them)\n"
    "  --deny OPS         the same, for what it may not do\n"
    "  --expires TIME     such as 90d (default: never)\n"
    "  --credential NAME  the API key it uses (default: default)\n"
    "  --team ID          a team it may act on, may be repeated (default: any)\n"
    "  --admin            it may use the admin endpoint\n"
    "  --json             list as JSON; tokens and their digests are never listed\n"
    "  -h, --help         this text\n";

enum { MOST_TEAMS = 64 };

struct request {
    const char *clients, *name, *allow, *deny, *expires, *credential;
    const char *teams[MOST_TEAMS];
    int team_count;
    bool is_admin, is_json;
};

static int fail(const struct error *error)
{
    (void)fprintf(stderr, "psgate token: %s\n", error->text);
    return EXIT_FAILED;
}

/* Two commands at once must not lose each other's change: the folder is the lock. */
static int lock_folder_of(const char *path)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    free(copy);
    if (fd >= 0)
        (void)flock(fd, LOCK_EX);
    return fd;
}

/* The file as JSON; an empty one where there is none and may_be_absent. NULL: error. */
static json_t *load(const char *path, bool may_be_absent, struct error *error)
{
    struct text content = {0};
    json_error_t fault;
    json_t *root = NULL;

    if (may_be_absent && access(path, F_OK) != 0 && errno == ENOENT)
        return json_pack("{s:[]}", "clients");
    if (file_read(path, FILE_PRIVATE, &content, error)) {
        root = json_loadb(content.bytes != NULL ? content.bytes : "", content.len,
                          JSON_REJECT_DUPLICATES, &fault);
        if (root == NULL)
            (void)error_set(error, "%s:%d:%d: not valid JSON: %s", path, fault.line,
                            fault.column, fault.text);
    }
    text_fini(&content);
    if (root != NULL && !json_is_array(json_object_get(root, "clients"))) {
        (void)error_set(error, "%s:1:1: has no array \"clients\" (is it a clients file?)",
                        path);
        json_decref(root);
        root = NULL;
    }
    return root;
}

static bool save(const char *path, const json_t *root, struct error *error)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    struct text whole = {0};
    bool is_saved;

    if (text == NULL)
        return error_set(error, "out of memory");
    text_add_format(&whole, "%s\n", text);
    is_saved = !whole.failed &&
               file_replace_private(path, span_make(whole.bytes, whole.len), error);
    text_fini(&whole);
    free(text);
    return is_saved;
}

static bool has_empty_element(const char *list)
{
    size_t len = list != NULL ? strlen(list) : 0;

    return list != NULL && (len == 0 || list[0] == ',' || list[len - 1] == ',' ||
                            strstr(list, ",,") != NULL);
}

/* "a,b" as a JSON array. */
static json_t *split(const char *list)
{
    json_t *array = json_array();

    for (;;) {
        size_t len = strcspn(list, ",");

        (void)json_array_append_new(array, json_stringn(list, len));
        if (list[len] == '\0')
            return array;
        list += len + 1;
    }
}

/* A duration above zero and of at most a hundred years. */
static bool parse_lifetime(const char *text, int64_t *ms)
{
    return units_parse_duration(span_of(text), ms) && *ms > 0 &&
           *ms <= INT64_C(3155760000000);
}

static void set_time(json_t *client, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];

    clock_format_utc(wall_ms, text);
    (void)json_object_set_new(client, key, json_string(text));
}

static void set_digest(json_t *client, const unsigned char digest[TOKEN_DIGEST_BYTES])
{
    char hex[TOKEN_DIGEST_BYTES * 2 + 1];

    for (size_t i = 0; i < TOKEN_DIGEST_BYTES; i++)
        (void)snprintf(hex + i * 2, 3, "%02x", digest[i]);
    (void)json_object_set_new(client, "token_sha256", json_string(hex));
}

/* The new client's object, without its token. */
static json_t *describe(const struct request *request)
{
    json_t *client = json_object();
    json_t *teams = json_array();
    int64_t now_ms = clock_wall_ms();
    int64_t lifetime_ms;

    (void)json_object_set_new(client, "name", json_string(request->name));
    set_time(client, "created", now_ms);
    if (request->credential != NULL)
        (void)json_object_set_new(client, "credential", json_string(request->credential));
    for (int i = 0; i < request->team_count; i++)
        (void)json_array_append_new(teams, json_string(request->teams[i]));
    if (request->team_count > 0)
        (void)json_object_set(client, "teams", teams);
    json_decref(teams);
    if (request->is_admin)
        (void)json_object_set_new(client, "admin", json_true());
    if (request->expires != NULL && parse_lifetime(request->expires, &lifetime_ms))
        set_time(client, "expires", now_ms + lifetime_ms);
    if (request->allow != NULL)
        (void)json_object_set_new(client, "allow", split(request->allow));
    if (request->deny != NULL)
        (void)json_object_set_new(client, "deny", split(request->deny));
    return client;
}

static bool make_token(char token[TOKEN_BYTES + 1],
                       unsigned char digest[TOKEN_DIGEST_BYTES], struct error *error)
{
    struct token_hasher *hasher = token_hasher_new(error);
    bool is_made;

    if (hasher == NULL)
        return false;
    is_made = token_generate(hasher, token, error) &&
              (token_digest(hasher, span_make(token, TOKEN_BYTES), digest) ||
               error_set(error, "cannot compute SHA-256"));
    token_hasher_free(hasher);
    return is_made;
}

/* Shows the token only when the file has it: a token that nobody knows helps nobody. */
static bool add_client(const struct request *request, json_t *root, struct error *error)
{
    char token[TOKEN_BYTES + 1];
    unsigned char digest[TOKEN_DIGEST_BYTES];
    json_t *client = describe(request);
    bool is_added = false;

    if (make_token(token, digest, error)) {
        set_digest(client, digest);
        (void)json_array_append(json_object_get(root, "clients"), client);
        is_added = save(request->clients, root, error);
        if (is_added)
            (void)printf("%s\n", token);
    }
    secret_cleanse(token, sizeof(token));
    json_decref(client);
    return is_added &&
           (fflush(stdout) == 0 ||
            error_set_errno(error, errno, "cannot write the token (revoke it)"));
}

static int create_token(const struct request *request)
{
    struct error error;
    json_t *root;
    int64_t lifetime_ms;
    int lock = -1, status = EXIT_FINE;

    if (request->name == NULL)
        return command_misused("token", "create needs --name");
    if (request->expires != NULL && !parse_lifetime(request->expires, &lifetime_ms))
        return command_misused("token", "--expires takes a time such as 90d or 12h");
    if (has_empty_element(request->allow) || has_empty_element(request->deny))
        return command_misused("token", "--allow and --deny take operations, as a,b");
    lock = lock_folder_of(request->clients);
    root = load(request->clients, true, &error);
    if (root == NULL || !add_client(request, root, &error))
        status = fail(&error);
    json_decref(root);
    if (lock >= 0)
        (void)close(lock);
    return status;
}

static bool is_named(const json_t *client, const char *name)
{
    const char *own = json_string_value(json_object_get(client, "name"));

    return own != NULL && strcmp(own, name) == 0;
}

static int list_tokens(const struct request *request)
{
    struct error error;
    json_t *root = load(request->clients, false, &error);

    if (root == NULL)
        return fail(&error);
    token_list_print(json_object_get(root, "clients"), request->name, request->is_json);
    json_decref(root);
    return EXIT_FINE;
}

/* Takes every entry of the name out; how many there were. */
static size_t remove_named(json_t *clients, const char *name)
{
    size_t removed = 0;

    for (size_t i = json_array_size(clients); i > 0; i--) {
        if (is_named(json_array_get(clients, i - 1), name) &&
            json_array_remove(clients, i - 1) == 0)
            removed++;
    }
    return removed;
}

static int revoke_tokens(const struct request *request)
{
    struct error error;
    json_t *root;
    size_t removed = 0;
    int lock, status = EXIT_FINE;

    if (request->name == NULL)
        return command_misused("token", "revoke needs --name");
    lock = lock_folder_of(request->clients);
    root = load(request->clients, false, &error);
    if (root != NULL) {
        removed = remove_named(json_object_get(root, "clients"), request->name);
        if (removed == 0)
            (void)error_set(&error,
                            "%s has no client \"%s\" (psgate token list shows them)",
                            request->clients, request->name);
    }
    if (removed == 0 || !save(request->clients, root, &error))
        status = fail(&error);
    else
        (void)fprintf(
            stderr,
            "revoked %zu token%s of %s (a running gateway refuses %s within a second)\n",
            removed, removed == 1 ? "" : "s", request->name,
            removed == 1 ? "it" : "them");
    json_decref(root);
    if (lock >= 0)
        (void)close(lock);
    return status;
}

static int run(const char *verb, const struct request *request)
{
    if (request->clients == NULL)
        return command_misused("token", "needs --clients FILE");
    if (strcmp(verb, "create") == 0)
        return create_token(request);
    if (strcmp(verb, "list") == 0)
        return list_tokens(request);
    if (strcmp(verb, "revoke") == 0)
        return revoke_tokens(request);
    return command_misused("token", "knows create, list and revoke");
}

/* Takes in one option; false when it cannot be. */
static bool take_option(struct request *request, int option)
{
    switch (option) {
    case 'c':
        request->clients = optarg;
        return true;
    case 'n':
        request->name = optarg;
        return *optarg != '\0';
    case 'a':
        request->allow = optarg;
        return true;
    case 'd':
        request->deny = optarg;
        return true;
    case 'e':
        request->expires = optarg;
        return true;
    case 'k':
        request->credential = optarg;
        return *optarg != '\0';
    case 't':
        if (request->team_count == MOST_TEAMS || *optarg == '\0')
            return false;
        request->teams[request->team_count++] = optarg;
        return true;
    case 'A':
        request->is_admin = true;
        return true;
    case 'j':
        request->is_json = true;
        return true;
    default:
        return false;
    }
}

int command_token(int argc, char **argv)
{
    static const struct option options[] = {
        {"clients", required_argument, NULL, 'c'},
        {"name", required_argument, NULL, 'n'},
        {"allow", required_argument, NULL, 'a'},
        {"deny", required_argument, NULL, 'd'},
        {"expires", required_argument, NULL, 'e'},
        {"credential", required_argument, NULL, 'k'},
        {"team", required_argument, NULL, 't'},
        {"admin", no_argument, NULL, 'A'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct request request = {0};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(help, stdout);
            return EXIT_FINE;
        }
        if (!take_option(&request, option))
            return command_bad_option("token", argv);
    }
    if (argc - optind != 1)
        return command_misused("token", "needs one of create, list and revoke");
    return run(argv[optind], &request);
}
