#include "sandbox/routes.h"

#include <stdio.h>

#include "sandbox/path.h"

/* Where the team and the item stand in a path that has them. */
#define TEAM_SEGMENT 2
#define ITEM_SEGMENT 4

static const struct route {
    enum sandbox_method method;
    const char *segments[SANDBOX_SEGMENTS_MAX]; /* "*" is a parameter; NULL ends them */
    sandbox_operation *operation;
} routes[] = {
    {SANDBOX_GET, {"v1", "auth", "session"}, sandbox_get_session},
    {SANDBOX_GET, {"v1", "teams", "*", "users"}, sandbox_list_members},
    {SANDBOX_PUT, {"v1", "teams", "*", "users", "*"}, sandbox_update_member},
    {SANDBOX_DELETE, {"v1", "teams", "*", "users", "*"}, sandbox_remove_member},
    {SANDBOX_GET, {"v1", "teams", "*", "secrets"}, sandbox_list_secrets},
    {SANDBOX_POST, {"v1", "teams", "*", "secrets"}, sandbox_create_secret},
    {SANDBOX_GET, {"v1", "teams", "*", "secrets", "*"}, sandbox_get_secret},
    {SANDBOX_PATCH, {"v1", "teams", "*", "secrets", "*"}, sandbox_update_secret},
    {SANDBOX_DELETE, {"v1", "teams", "*", "secrets", "*"}, sandbox_delete_secret},
};

static const char *const method_names[] = {
    [SANDBOX_GET] = "GET, HEAD", [SANDBOX_POST] = "POST",     [SANDBOX_PUT] = "PUT",
    [SANDBOX_PATCH] = "PATCH",   [SANDBOX_DELETE] = "DELETE",
};

static bool matches(const struct route *route, const struct sandbox_path *path)
{
    size_t i;

    for (i = 0; i < path->count && route->segments[i] != NULL; i++) {
        struct span wanted = span_of(route->segments[i]);

        if (span_equal(wanted, SPAN("*")) ? path->segments[i].len == 0
                                          : !span_equal_nocase(wanted, path->segments[i]))
            return false;
    }
    return i == path->count && route->segments[i] == NULL;
}

static void allow(struct sandbox_answer *answer, enum sandbox_method method)
{
    size_t used = strlen(answer->allow);

    (void)snprintf(answer->allow + used, sizeof(answer->allow) - used, "%s%s",
                   used > 0 ? ", " : "", method_names[method]);
}

/* The route of a path and method, or NULL with the answer filled. */
static const struct route *find_route(const struct sandbox_path *path,
                                      enum sandbox_method method,
                                      struct sandbox_answer *answer)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!matches(&routes[i], path))
            continue;
        if (routes[i].method == method) {
            answer->allow[0] = '\0';
            return &routes[i];
        }
        allow(answer, routes[i].method);
    }
    if (answer->allow[0] == '\0')
        sandbox_answer_problem(answer, SANDBOX_NOT_FOUND, "no operation has this path");
    else
        sandbox_answer_problem(answer, SANDBOX_METHOD_NOT_SUPPORTED,
                               "no operation has this path and method (it takes %s)",
                               answer->allow);
    return NULL;
}

/* Whether the caller's side of the request is in order; false with the answer filled. */
static bool admit(const struct route *route, const struct sandbox_task *task,
                  struct sandbox_answer *answer)
{
    if (!task->is_authorized && route->operation != sandbox_get_session)
        sandbox_answer_problem(answer, SANDBOX_UNAUTHORIZED,
                               "send the team's API key as Authorization: Bearer KEY");
    else if (task->body->is_too_long)
        sandbox_answer_problem(answer, SANDBOX_PAYLOAD_TOO_LARGE,
                               "the body is longer than %zu bytes", SANDBOX_BODY_MAX);
    else if (task->body->failed)
        sandbox_answer_problem(answer, SANDBOX_INTERNAL_SERVER_ERROR, "out of memory");
    return answer->status == 0;
}

void sandbox_perform(struct sandbox_state *state, struct sandbox_request *request,
                     struct sandbox_answer *answer)
{
    bool is_read = request->method == SANDBOX_GET || request->method == SANDBOX_HEAD;
    const struct route *route;
    struct sandbox_path path;

    if (!sandbox_path_split(request->path, &path)) {
        sandbox_answer_problem(answer, SANDBOX_BAD_REQUEST, "the path is malformed");
        return;
    }
    route = find_route(&path, is_read ? SANDBOX_GET : request->method, answer);
    if (route == NULL || !admit(route, &request->task, answer))
        return;
    if (path.count > TEAM_SEGMENT + 1 &&
        !sandbox_state_is_team(state, path.segments[TEAM_SEGMENT])) {
        sandbox_answer_problem(answer, SANDBOX_NOT_FOUND, "there is no such team");
        return;
    }
    if (path.count > ITEM_SEGMENT)
        request->task.item = path.segments[ITEM_SEGMENT];
    route->operation(state, &request->task, answer);
    request->task.item = span_make(NULL, 0); /* path ends here */
    if (is_read)
        sandbox_answer_validate(answer, request->if_none_match);
}
