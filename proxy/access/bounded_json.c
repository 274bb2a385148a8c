#include "access/bounded_json.h"

#include "base/json_text.h"

/*
 * Counts what jansson would allocate for. It need not be right about what is no JSON:
 * jansson judges that.
 */
static bool is_bounded(struct span text, unsigned most_depth, unsigned most_values)
{
    unsigned depth = 0, values = 1;
    bool in_string = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (in_string) {
            if (c == '\\')
                i++;
            in_string = c != '"';
            continue;
        }
        in_string = c == '"';
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        values += c == '{' || c == '[' || c == ',';
        if (depth > most_depth || values > most_values)
            return false;
    }
    return true;
}

json_t *bounded_json_object(struct span text, unsigned depth, unsigned values)
{
    json_t *root;

    if (!is_bounded(text, depth, values))
        return NULL;
    root = json_text_read(text, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}
