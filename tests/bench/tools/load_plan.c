#include "load_plan.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void misused(const char *what)
{
    (void)fprintf(stderr, "load: %s\n", what);
    exit(64);
}

static double number(const char *text, double most)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value > 0 && value <= most))
        misused("not a number, or too large a one");
    return value;
}

/* Where to connect; gives the path. */
static const char *read_authority(struct load_plan *plan, const char *url,
                                  char *authority, size_t room)
{
    const char *start = strstr(url, "://"), *path, *colon;

    if (strncmp(url, "http", 4) != 0 || start == NULL)
        misused("not a URL");
    start += 3;
    path = start + strcspn(start, "/");
    (void)snprintf(authority, room, "%.*s", (int)(path - start), start);
    colon = strchr(authority, ':');
    if (colon == NULL)
        misused("a URL without a port");
    plan->target.address =
        (struct sockaddr_in){.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    plan->target.host = "localhost";
    return *path != '\0' ? path : "/";
}

static void make_request(struct load_plan *plan, const char *url)
{
    char authority[64], length[64] = "";
    const char *path = read_authority(plan, url, authority, sizeof(authority));
    size_t room = 1024 + strlen(path) + sizeof(plan->fields) + plan->body_bytes;
    char *request = malloc(room);
    int len;

    if (request == NULL)
        misused("out of memory");
    if (plan->body_bytes > 0)
        (void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
                       plan->body_bytes);
    len = snprintf(request, room, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", plan->method,
                   path, authority, plan->fields, length);
    memset(request + len, 'x', plan->body_bytes);
    plan->target.request = request;
    plan->target.request_bytes = (size_t)len + plan->body_bytes;
}

static void read_option(struct load_plan *plan, int option)
{
    size_t used = strlen(plan->fields);

    switch (option) {
    case 'c':
        plan->connections = (int)number(optarg, 20000);
        break;
    case 'd':
        plan->seconds = number(optarg, 9999);
        break;
    case 'r':
        plan->rate = number(optarg, 1e7);
        break;
    case 'n':
        plan->renews = true;
        break;
    case 's':
        plan->target.resumes = true;
        break;
    case 'k':
        plan->keeps = true;
        break;
    case 'X':
        plan->method = optarg;
        break;
    case 'b':
        plan->body_bytes = (size_t)number(optarg, 1 << 30);
        break;
    case 'H':
        (void)snprintf(plan->fields + used, sizeof(plan->fields) - used, "%s\r\n",
                       optarg);
        break;
    default:
        misused("load_plan.h says which options there are");
    }
}

void load_plan_read(struct load_plan *plan, int argc, char **argv)
{
    int option;

    *plan = (struct load_plan){.connections = 1, .seconds = 1, .method = "GET"};
    while ((option = getopt(argc, argv, "c:d:r:nskX:b:H:")) != -1)
        read_option(plan, option);
    if (optind != argc - 1)
        misused("needs one URL");
    if (strncmp(argv[optind], "https", 5) == 0 &&
        (plan->target.context = load_context_new()) == NULL)
        misused("cannot set up TLS");
    make_request(plan, argv[optind]);
}
