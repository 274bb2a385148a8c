/*
 * What cppcheck cannot know, as it reads no system headers: macros that are loops. Put
 * before each file by tests/static/run.sh.
 */
#define json_object_foreach(object, key, value)                                          \
    for (void *each = json_object_iter(object);                                          \
         (key = json_object_iter_key(each)) != NULL &&                                   \
         (value = json_object_iter_value(each)) != NULL;                                 \
         each = json_object_iter_next(object, each))
#define json_array_foreach(array, index, value)                                          \
    for (index = 0; (value = json_array_get(array, index)) != NULL; index++)
#define LIST_FOREACH(each, list, member)                                                 \
    for (each = list_first(list); each != NULL; each = list_next(each))
#define TAILQ_FOREACH(each, list, member) LIST_FOREACH(each, list, member)
#define TAILQ_LAST(list, name) list_last(list)
#define LEAK_IS_NONE
#define LEAK_LOOK_AGAIN
